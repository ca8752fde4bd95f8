"""Histogram observers: activations that stream by, at a memory that does not grow with them.

A histogram spans [-R, R) in BINS equal bins. When a value falls outside, R doubles: neighbouring
bins merge pairwise, and nothing is lost but resolution, of which there is plenty (BINS is 32 times
the levels of 8 bits). Extremes, and the extremes of each channel, are exact. Bins are filled
from a sample of each batch's values, extremes from all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from core.compress.linalg import parallel
from core.errors import PassPrecondition

Array = np.ndarray[Any, Any]
Range = tuple[float, float]

BINS = 8192
SAMPLE = 1 << 14  # values of one tensor of one image that enter its histogram
LEVELS = 1024  # pixels of three channels take 768 values


@dataclass
class Observer:
    """What is known of one tensor so far.

    `levels` are all its distinct values, as far as they were sampled; None where they are many.
    """

    name: str
    low: float = np.inf
    high: float = -np.inf
    radius: float = 0.0
    counts: Array = field(default_factory=lambda: np.zeros(BINS, np.int64))
    channel_low: Array | None = None
    channel_high: Array | None = None
    levels: Array | None = field(default_factory=lambda: np.zeros(0, np.float32))
    images: int = 0

    @property
    def extent(self) -> Range:
        """The exact extremes."""
        return self.low, self.high

    def add(self, batch: Array, start: int | None = None, maker: ir.Node | None = None) -> None:
        """Take in a batch, whose first image has the number `start`, or follows the last one.

        Raises:
            PassPrecondition: NaN or infinity, with the image, and the layer that made it.
        """
        low, high = self._extremes(batch)
        if not (np.isfinite(low) and np.isfinite(high)):
            refuse_bad(self.name, batch, self.images if start is None else start, maker)
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.images += len(batch) if batch.ndim else 1
        self._grow(max(-low, high))
        if self.radius:
            flat = batch.reshape(-1)
            step = max(flat.size // (SAMPLE * max(len(batch) if batch.ndim else 1, 1)), 1)
            step += 1 - step % 2  # odd, so that it does not keep to one channel or column
            some = flat[::step]
            if self.levels is not None:
                self.levels = np.union1d(self.levels, some).astype(np.float32)
                self.levels = self.levels if len(self.levels) <= LEVELS else None
            scaled = some * np.float32(BINS / 2 / self.radius) + np.float32(BINS / 2)
            index = np.clip(scaled.astype(np.int32), 0, BINS - 1)
            self.counts += np.bincount(index, minlength=BINS)

    def centres(self) -> Array:
        """The middle of each bin."""
        return (np.arange(BINS) + 0.5) * (2 * self.radius / BINS) - self.radius

    def _extremes(self, batch: Array) -> Range:
        if batch.ndim < 2 or batch.size == 0:
            return (float(batch.min()), float(batch.max())) if batch.size else (0.0, 0.0)
        rows = batch.reshape(*batch.shape[:2], -1)
        low, high = rows.min(axis=2).min(axis=0), rows.max(axis=2).max(axis=0)
        if self.channel_low is None or self.channel_high is None:
            self.channel_low, self.channel_high = low, high
        elif self.channel_low.shape == low.shape:
            self.channel_low = np.minimum(self.channel_low, low)
            self.channel_high = np.maximum(self.channel_high, high)
        return float(low.min()), float(high.max())

    def _grow(self, reach: float) -> None:
        if reach <= 0:
            return
        if not self.radius:
            self.radius = reach * 1.001
        while reach >= self.radius:
            quarter = BINS // 4
            merged = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.concatenate(
                [np.zeros(quarter, np.int64), merged, np.zeros(quarter, np.int64)]
            )
            self.radius *= 2


def observe(
    batches: Iterable[dict[str, Array]],
    names: Sequence[str],
    graph: ir.Model | None = None,
    at: Callable[[], int] | None = None,
) -> dict[str, Observer]:
    """Name -> what was seen of it.

    Args:
        batches: values of these tensors.
        names: the tensors.
        graph: that computes them, so that the first bad tensor and its layer are named.
        at: where in the set the batch given last begins; else they follow each other.

    Raises:
        PassPrecondition: nothing came, or a tensor holds NaN or infinity.
    """
    makers = {v.name: n for n in graph.graph for v in n.outputs} if graph is not None else {}
    ranked = {name: index for index, name in enumerate(makers)}
    found = {name: Observer(name) for name in sorted(names, key=lambda n: ranked.get(n, -1))}
    for batch in batches:
        start = at() if at else None

        def add(
            name: str, batch: dict[str, Array] = batch, start: int | None = start
        ) -> PassPrecondition | None:
            try:
                found[name].add(batch[name], start, makers.get(name))
            except PassPrecondition as bad:
                return bad
            return None

        # The first bad tensor is told, whichever core finds one first.
        if bad := next(filter(None, parallel.each(add, list(found))), None):
            raise bad
    if missing := [o.name for o in found.values() if not o.images]:
        raise PassPrecondition(f"The calibration images give no value for {missing[0]!r}.")
    return found


def refuse_bad(name: str, batch: Array, start: int, maker: ir.Node | None = None) -> None:
    """Let only finite values through.

    Args:
        name: the tensor.
        batch: its values.
        start: number of the batch's first image.
        maker: the layer that computes it.

    Raises:
        PassPrecondition: NaN or infinity, with the layer and the image it came from.
    """
    if batch.dtype.kind != "f" or np.isfinite(batch).all():
        return
    rows = batch.reshape(len(batch), -1) if batch.ndim else batch.reshape(1, 1)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    kind = "NaN" if np.isnan(rows).any() else "infinity"
    layer = f", which {maker.op_type} {maker.name!r} makes," if maker is not None else ""
    raise PassPrecondition(
        f"{name!r}{layer} holds {kind} for calibration image {start + int(bad[0])} (counted from "
        "0); a range cannot be found. Check the preprocessing, or leave that image out."
    )
