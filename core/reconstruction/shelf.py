"""Activations between two steps of a walk: in memory while they are few, then on disk.

So memory stays flat in the number of images, however many lie on the shelf.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LIMIT_BYTES = 256 << 20


class Shelf:
    """Arrays by (name, batch)."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        """Nothing is on disk before more than `limit_bytes` are kept."""
        self._limit, self._bytes = limit_bytes, 0
        self._held: dict[str, dict[int, Array | Path]] = {}
        self._folder: Path | None = None
        self._written = 0

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def names(self) -> list[str]:
        """What is kept."""
        return list(self._held)

    def put(self, name: str, batch: int, array: Array) -> None:
        """Keep an array."""
        kept: Array | Path = array
        if self._bytes + array.nbytes > self._limit:
            kept = self._write(array)
        else:
            self._bytes += array.nbytes
        self._held.setdefault(name, {})[batch] = kept

    def get(self, name: str, batch: int) -> Array:
        """An array that was kept."""
        kept = self._held[name][batch]
        return np.load(kept) if isinstance(kept, Path) else kept

    def drop(self, name: str) -> None:
        """Forget every batch of `name`."""
        for kept in self._held.pop(name, {}).values():
            if isinstance(kept, Path):
                kept.unlink(missing_ok=True)
            else:
                self._bytes -= kept.nbytes

    def _write(self, array: Array) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="shelf-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._written += 1
        path = self._folder / f"{self._written}.npy"
        np.save(path, array)
        return path
