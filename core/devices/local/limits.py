"""What a child process may use, and how it is held to that.

Wall time misjudges by a factor of ten on a loaded machine, so the verdict on a hang comes from CPU
time (RLIMIT_CPU); the wall-clock limit, ten times as long, catches what sleeps or waits on a pipe.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import threading
import time
from dataclasses import dataclass

from core.devices.local import memory

GIB = 1 << 30
WALL_PER_CPU = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one child.

    Attributes:
        memory_bytes: private memory of the process (RLIMIT_DATA) until a request grants another.
        cpu_s: CPU seconds of one request.
        file_bytes: largest file that it may write.
        open_files: file descriptors.
    """

    memory_bytes: int = 3 * GIB
    cpu_s: float = 60.0
    file_bytes: int = 4 * GIB
    open_files: int = 256

    @property
    def wall_s(self) -> float:
        """The wall-clock limit of one request."""
        return self.cpu_s * WALL_PER_CPU


def apply(limits: Limits) -> None:
    """Hold the calling process to `limits` for good; called once, before heavy imports."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    grant_memory(limits.memory_bytes)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.open_files, limits.open_files))


def grant_memory(size: int) -> None:
    """Let the calling process hold `size` bytes; allocating more fails inside of it."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    size += memory.untouched_bytes()
    most = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def grant_cpu(seconds: float) -> None:
    """Give the calling process `seconds` of CPU from now on; SIGXCPU ends it after that."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = used.ru_utime + used.ru_stime
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(spent + seconds) + 1, hard))


def die_with_parent(lifeline: int, interval_s: float = 0.5) -> None:
    """End this process when its parent is gone, even inside of native code that never returns.

    Args:
        lifeline: a pipe whose other end only the parent holds, and never writes to. Linux kills
            this process when that end closes; elsewhere a thread looks for the parent.
        interval_s: how often that thread looks.
    """
    parent = os.getppid()
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(interval_s)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
