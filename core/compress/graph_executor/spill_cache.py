"""Spill cache of activations between two steps: in memory while they are few, then on disk.

So memory stays flat in the number of images, however many there are.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from core.devices.local import memory

Array = np.ndarray[Any, Any]

LIMIT_BYTES = 256 << 20
SHARE = 16  # of the memory that is free, one part for a spill cache at most


class SpillCache:
    """Arrays by (name, batch)."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        """Nothing is on disk before more than `limit_bytes`, or a share of memory, are kept."""
        share = min(LIMIT_BYTES, memory.budget_bytes() // SHARE)
        self._limit, self._bytes = share if limit_bytes is None else limit_bytes, 0
        self._held: dict[str, dict[int, Array | Path]] = {}
        self._folder: Path | None = None
        self._written, self._lock = 0, threading.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def names(self) -> list[str]:
        """What is kept."""
        return list(self._held)

    def put(self, name: str, batch: int, array: Array) -> None:
        """Keep an array."""
        with self._lock:  # several threads may put at once
            fits = self._bytes + array.nbytes <= self._limit
            self._bytes += array.nbytes if fits else 0
            path = None if fits else self._next()
        if path is not None:
            np.save(path, array)
        kept: Array | Path = array if path is None else path
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

    def _next(self) -> Path:
        """Where the next array goes that is kept on disk."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="shelf-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._written += 1
        return self._folder / f"{self._written}.npy"
