"""One measurement at a time on a host: a file lock that every process of Lathe respects.

Latency takes it alone; work that only loads the machine (evaluating, building) shares it, and
lets go of its share where it must time something itself. Who
waits stands in a door that is held alone: otherwise those who share it, following each other
without a gap, would keep a latency measurement waiting for ever. The kernel drops both with the
process that holds them, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_S = 0.1
NAME = "lathe-measure.lock"

_fixed: list[Path] = []
_waiting: set[int] = set()  # threads of this process


def path() -> Path:
    """Where the lock lies: the same file for every user of the host."""
    return (_fixed[-1] if _fixed else Path(tempfile.gettempdir())) / NAME


def fix() -> None:
    """Stay with this lock when the process's temporary directory becomes another one."""
    _fixed.append(path().parent)


@contextlib.contextmanager
def alone(check: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock exclusively; `check` is called while waiting and may raise."""
    with _held(fcntl.LOCK_EX, check):
        yield


def is_waited_for() -> bool:
    """Whether somebody stands in the door: who holds the lock for long may make room."""
    descriptor = _opened(path().with_suffix(".door"))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_waiting() -> bool:
    """Whether this thread waits for the lock now; asked by the `check` of who took it."""
    return threading.get_ident() in _waiting


class Share:
    """The lock as held by one who shares it."""

    def __init__(self, check: Callable[[], None]) -> None:
        """Take it."""
        self._check = check
        self._room = contextlib.ExitStack()
        self._take()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock exclusively for a while: the share is let go, and taken again after."""
        self.close()
        try:
            with alone(self._check):
                yield
        finally:
            self._take()

    def close(self) -> None:
        """Let go of it."""
        self._room.close()

    def _take(self) -> None:
        self._room.enter_context(_held(fcntl.LOCK_SH, self._check))


@contextlib.contextmanager
def shared(check: Callable[[], None] = lambda: None) -> Iterator[Share]:
    """Hold the lock together with others that share it."""
    share = Share(check)
    try:
        yield share
    finally:
        share.close()


@contextlib.contextmanager
def _held(kind: int, check: Callable[[], None]) -> Iterator[None]:
    with contextlib.ExitStack() as room:
        with _locked(path().with_suffix(".door"), fcntl.LOCK_EX, check):
            room.enter_context(_locked(path(), kind, check))
        yield


@contextlib.contextmanager
def _locked(file: Path, kind: int, check: Callable[[], None]) -> Iterator[None]:
    descriptor = _opened(file)
    try:
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _waiting.add(threading.get_ident())
                check()
                time.sleep(POLL_S)
        _waiting.discard(threading.get_ident())
        yield
    finally:
        _waiting.discard(threading.get_ident())
        os.close(descriptor)


def _opened(file: Path) -> int:
    try:  # without O_CREAT: Linux refuses to "create" another user's file in a sticky folder
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
