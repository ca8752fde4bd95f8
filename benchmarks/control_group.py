"""Run a command in a control group that bounds its memory, made below the group of this process.

Version 1 needs a writable group of the memory controller; version 2 also one that hands the
controller down (`+memory` in cgroup.subtree_control), which no group with processes of its own can.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
SWITCH = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


@dataclass(frozen=True)
class Group:
    """A bounded control group, or why there is none.

    Attributes:
        path: its folder; None where none could be made.
        reason: why not.
    """

    path: Path | None
    reason: str = ""

    def command(self, command: Sequence[str]) -> list[str]:
        """The command, begun inside the group."""
        return ["sh", "-c", SWITCH, str(self.path), *command] if self.path else list(command)

    def kills(self) -> int:
        """Processes that the kernel has ended here for lack of memory."""
        names = ("memory.events", "memory.oom_control")
        for name in names if self.path else ():
            with contextlib.suppress(OSError):
                lines = (line.split() for line in (self.path / name).read_text().splitlines())  # type: ignore[operator]
                return next((int(n) for key, n in lines if key == "oom_kill"), 0)
        return 0


@contextlib.contextmanager
def bounded(size: int) -> Iterator[Group]:
    """A group of at most `size` bytes (with swap, where it is counted); removed at the end."""
    group = _made(size)
    try:
        yield group
    finally:
        if group.path:
            _remove(group.path)


def _made(size: int) -> Group:
    reasons = []
    for parent, names in _parents():
        path = parent / f"benchmark-{os.getpid()}-{time.monotonic_ns()}"
        try:
            path.mkdir()
        except OSError as error:
            reasons.append(f"{parent}: {error.strerror}")
            continue
        try:
            (path / names[0]).write_text(str(size))
        except OSError as error:
            _remove(path)
            reasons.append(f"{parent}: no memory controller here ({error.strerror})")
            continue
        with contextlib.suppress(OSError):  # only there where swap is counted
            (path / names[1]).write_text(names[2].format(size))
        return Group(path)
    return Group(None, "; ".join(reasons) or "no control groups")


def _parents() -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Groups of this process that may bound memory, with the files that hold the bounds."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, inside = line.split(":", 2)
        if "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "{}")
            yield CGROUPS / "memory" / inside.lstrip("/"), names
        elif not controllers:
            # Version 2 counts swap apart from memory.
            yield CGROUPS / inside.lstrip("/"), ("memory.max", "memory.swap.max", "0")


def _remove(path: Path) -> None:
    """A group goes once its last process is gone, which takes a moment."""
    for _ in range(40):
        try:
            path.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            return
