"""Fidelity of outputs: signal to quantization noise ratio (SQNR) of the worst group of channels.

A detector's output holds boxes in pixels beside scores in 0 .. 1: over the whole of it the scores
could all be zero and the ratio still read 56 dB. So channels whose magnitudes lie a decade apart
are told apart, each group has a ratio of its own, and the worst one counts; so does the worst
output.
SQNR = 10 log10(sum of squares of the reference / sum of squares of the difference), in dB.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
CAP_DB = 200.0  # of equal outputs, whose SQNR is infinite
LOST_DB, FAR_OFF_DB = 3.0, 10.0
GAP = 10.0  # between the magnitudes of two groups
MOST_CHANNELS = 1024
LEAST_SHARE = 1 / 8  # of the channels: fewer, such as classes that never occur, count with others


@dataclass(slots=True)
class Powers:
    """Sums of squares of one output by channel: of the reference, of the difference.

    Attributes:
        signal: (C,) sums over everything but the channel axis; (1,) where there is none, or where
            its length changes from one call to the next.
        noise: (C,)
        axis: that of the channels, told by what came first.
    """

    signal: Array = field(default_factory=lambda: np.zeros(1))
    noise: Array = field(default_factory=lambda: np.zeros(1))
    axis: int | None = None
    _seen: bool = False

    def add(self, wanted: Array, got: Array) -> None:
        """Count some images in: (images, ...), both of one shape.

        What is not finite in the reference is left out; in the other alone it counts as lost (0).
        """
        if not self._seen:
            self.axis, self._seen = channel_axis(wanted.shape), True
        a, b = np.asarray(wanted, np.float64), np.asarray(got, np.float64).reshape(wanted.shape)
        known = np.isfinite(a)
        a = np.where(known, a, 0.0)
        error = np.where(known, a - np.where(np.isfinite(b), b, 0.0), 0.0)
        others = tuple(i for i in range(a.ndim) if i != self.axis)
        signal, noise = (np.atleast_1d((x**2).sum(others)) for x in (a, error))
        if len(self.signal) == 1 or self.signal.shape == signal.shape:
            self.signal, self.noise = self.signal + signal, self.noise + noise
            return
        self.axis = None
        self.signal = np.atleast_1d(self.signal.sum() + signal.sum())
        self.noise = np.atleast_1d(self.noise.sum() + noise.sum())

    def error(self) -> float:
        """Sum of squares of the difference to that of the reference, in the worst group.

        The error itself where the reference is zero all over.
        """
        found = [(noise, self.signal[g].sum()) for g, noise in self._grouped()]
        return float(max(noise / signal if signal else noise for noise, signal in found))

    def sqnr_db(self) -> tuple[float, Array]:
        """The ratio of the worst group of channels, and which they are."""
        found = [(_ratio_db(self.signal[g].sum(), noise), g) for g, noise in self._grouped()]
        return min(found, key=lambda item: item[0])

    def _grouped(self) -> list[tuple[Array, float]]:
        """Each group with its noise; what stands in silent channels counts in the quietest one."""
        found = [(g, float(self.noise[g].sum())) for g in groups(self.signal)]
        (first, noise), rest = found[0], float(self.noise.sum()) - sum(n for _, n in found)
        return [(first, noise + max(rest, 0.0)), *found[1:]]


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """The axis of (images, ...) whose entries mean different things.

    Of a square map the one that is no side of it, else the shortest of several. None where there is
    but one axis of values (scores of classes, an embedding), or none.
    """
    axes = [i for i in range(1, len(shape)) if shape[i] > 1]
    if len(axes) < 2:
        return None
    chosen = min(axes, key=lambda i: shape[i])
    if len(shape) == 4 and len(axes) == 3 and shape[1] != shape[3]:
        chosen = 1 if shape[2] == shape[3] else 3 if shape[1] == shape[2] else chosen
    return chosen if shape[chosen] <= MOST_CHANNELS else None


def groups(signal: Array) -> list[Array]:
    """Channels by magnitude: (C,) sums of squares -> index arrays, the quietest first.

    A group begins where the next channel is ten times as loud; one of few channels joins the next.
    """
    order = np.argsort(signal, kind="stable")
    loudness = np.sqrt(signal[order])
    starts = [0]
    for i in range(1, len(order)):
        if loudness[i] > GAP * loudness[i - 1] and i - starts[-1] >= LEAST_SHARE * len(order):
            starts.append(i)
    bounds = [*starts, len(order)]
    found = [order[a:b] for a, b in itertools.pairwise(bounds)]
    heard = [group for group in found if signal[group].any()]
    return heard or found[:1]


def in_words(sqnr_db: float) -> str:
    """What a low ratio means; empty where there is nothing to warn of."""
    if sqnr_db < LOST_DB:
        return "useless: the error is as large as the signal"
    return "far off" if sqnr_db < FAR_OFF_DB else ""


def _ratio_db(signal: float, noise: float) -> float:
    if noise == 0 or signal == 0:
        return CAP_DB if noise == 0 else -CAP_DB
    return min(CAP_DB, 10 * math.log10(signal / noise))
