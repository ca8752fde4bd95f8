"""Scratch folders that are swept when the process that made them is dead.

A killed process leaves its folders behind. Each holds a lock of its maker on a file inside: the
kernel drops that with the process, however it ends, so what can be locked belongs to nobody any
more. No process id, which another process may have by now, and no age is asked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "lathe-"
HELD = ".held"
MAKING = ".held.part"


class Scratch:
    """A folder of this process in the system's temporary directory; gone when it is closed."""

    def __init__(self, prefix: str = PREFIX) -> None:
        """Make it.

        Args:
            prefix: of its name; begins with PREFIX, by which it is found.
        """
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        # Locked before it has its name: whoever sweeps never finds it free.
        self._lock = os.open(self.path / MAKING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.rename(self.path / MAKING, self.path / HELD)

    def close(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


def sweep() -> int:
    """Delete the scratch folders of this user's processes that are dead.

    Returns:
        How many there were.
    """
    return sum(map(_swept, Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{HELD}")))


def _swept(held: Path) -> bool:
    try:
        if held.stat().st_uid != os.getuid() or held.is_symlink():
            return False
        lock = os.open(held, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(held.parent, ignore_errors=True)
            return True
    finally:
        os.close(lock)
    return False
