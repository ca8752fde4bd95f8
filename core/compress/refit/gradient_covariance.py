"""Gradient covariance: how much channels matter together, the mean of g g' over gradients g."""

from __future__ import annotations

import numpy as np

from core.compress.graph_executor.spill_cache import Array

ROWS = 1024  # that are multiplied at once


class Power:
    """The mean of g g' over rows g, multiplied when there are enough of them."""

    def __init__(self) -> None:
        """No rows yet."""
        self._waiting: list[Array] = []
        self._total: Array | None = None
        self._count = 0

    def add(self, rows: Array) -> None:
        """Count more rows, (n, channels)."""
        self._waiting.append(rows)
        self._count += len(rows)
        if sum(map(len, self._waiting)) >= ROWS:
            self._multiply()

    def mean(self) -> Array:
        """(channels, channels), in single precision."""
        self._multiply()
        total = np.zeros((0, 0), np.float32) if self._total is None else self._total
        return np.asarray(total / np.float32(max(self._count, 1)))

    def _multiply(self) -> None:
        if self._waiting:
            rows = np.concatenate(self._waiting)
            product = rows.T @ rows
            self._total = product if self._total is None else self._total + product
            self._waiting = []
