"""A reserve: bytes set aside while there is room, given up so that deleting works on a full disk.

Deleting rows needs space first: SQLite writes what changes before the old pages become free.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from typing import TypeVar

from core.errors import StoreError
from core.runs.home import Home

SIZE = 4 << 20
LEAST, MARGIN = 1 << 18, 1 << 16  # what still lets a run be deleted; what files round up to
R = TypeVar("R")


class Reserve:
    """The file that holds the bytes."""

    def __init__(self, home: Home) -> None:
        """Nothing is set aside yet."""
        self._path = home.root / "reserve"

    def fill(self) -> None:
        """Set the bytes aside, where the disk has them."""
        try:
            held = self._path.stat().st_size if self._path.exists() else 0
            size = min(SIZE, held + shutil.disk_usage(self._path.parent).free - MARGIN)
            if size < max(LEAST, held + 1):
                return
            with self._path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError:  # a full disk, or one that is read-only: then there is none
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def with_room(self, act: Callable[[], R]) -> R:
        """Do something that must work on a full disk, too; the reserve is given up for it.

        Raises:
            StoreError: it does not work even so.
        """
        try:
            return act()
        except StoreError:
            if not self._path.exists():
                raise
            self._path.unlink(missing_ok=True)
            return act()
        finally:
            self.fill()
