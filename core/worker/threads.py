"""The threads of this process, as the kernel sees them: asleep or not, and how long they queued.

A runtime keeps threads of its own, which go on spinning for some 40 ms after a call in the hope of
another one. Beside a second model in the same process they would burn the core that it needs.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

TASKS = Path("/proc/self/task")
STAT = Path("/proc/stat")
POLL_S = 0.0005
LONGEST_S = 0.25  # of waiting for threads that never sleep
BLIND_S = 0.06  # where the system tells nothing: longer than any runtime here spins
_RUNNING = b") R"  # the state follows the name, which is in brackets
_STEAL = 8  # field of the first line of /proc/stat


def settle() -> None:
    """Wait until every other thread of this process sleeps."""
    if not TASKS.exists():
        time.sleep(BLIND_S)
        return
    own = str(threading.get_native_id())
    deadline = time.monotonic() + LONGEST_S
    while _running(own) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _running(own: str) -> bool:
    """Whether a thread other than `own` is on a core or waits for one."""
    return any(
        _RUNNING in _read(TASKS / name / "stat") for name in os.listdir(TASKS) if name != own
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the thread has ended
        return b""


class Queue:
    """How long the threads of this process stood in line for a core."""

    def __init__(self) -> None:
        """Watch the threads that there are now."""
        self._files: list[int] = []
        if TASKS.exists():
            for name in os.listdir(TASKS):
                try:
                    self._files.append(os.open(TASKS / name / "schedstat", os.O_RDONLY))
                except OSError:  # it has ended, or the kernel keeps no such counts
                    continue

    def waited_ns(self) -> int:
        """Nanoseconds until now, all threads together."""
        total = 0
        for file in self._files:
            try:
                total += int(os.pread(file, 64, 0).split()[1])
            except (OSError, IndexError, ValueError):
                continue
        return total

    def close(self) -> None:
        """Watch no longer."""
        for file in self._files:
            os.close(file)
        self._files.clear()


def stolen_s() -> float:
    """CPU seconds that the hypervisor gave to others since the start, all cores together."""
    try:
        ticks = STAT.read_bytes().split(b"\n", 1)[0].split()[_STEAL]
        return int(ticks) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0
