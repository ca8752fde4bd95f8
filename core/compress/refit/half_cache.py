"""Half-precision cache of activations: half the memory, an error far below that of any fit.

Each array is scaled so that its largest number is near the end of the range.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from core.compress.graph_executor.spill_cache import Array, SpillCache

LARGEST = 2.0**15


class HalfCache:
    """Arrays by (name, batch), in memory, on disk or in a mapped file."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self._cache = SpillCache()
        self._mapped: dict[str, dict[int, Array]] = {}
        self._scales: dict[tuple[str, int], float] = {}
        self.nbytes, self._lock = 0, threading.Lock()  # of all

    def __contains__(self, name: str) -> bool:
        return name in self._cache or name in self._mapped

    def put(self, name: str, batch: int, array: Array) -> None:
        """Keep an array."""
        top = float(np.abs(array).max(initial=0.0))
        scale = top / LARGEST if np.isfinite(top) and top > 0 else 1.0
        self._scales[name, batch] = scale
        with self._lock:
            self.nbytes += array.size * 2
        self._cache.put(name, batch, (array * np.float32(1 / scale)).astype(np.float16))

    def get(self, name: str, batch: int) -> Array:
        """An array that was kept, as float32."""
        found = self.raw(name, batch).astype(np.float32)
        found *= np.float32(self._scales[name, batch])
        return found

    def raw(self, name: str, batch: int) -> Array:
        """As it is kept."""
        kept = self._mapped.get(name)
        return kept[batch] if kept is not None else self._cache.get(name, batch)

    def scales(self, name: str, batches: int) -> Array:
        """Of each batch."""
        return np.array([self._scales[name, batch] for batch in range(batches)])

    def map(self, name: str, arrays: Mapping[int, Array], scales: Array) -> None:
        """Let these take the place of what was put."""
        if name not in self:
            self.nbytes += sum(array.nbytes for array in arrays.values())
        self._cache.drop(name)
        self._mapped[name] = dict(arrays)
        self._scales |= {(name, batch): float(scale) for batch, scale in enumerate(scales)}
