"""Confidence intervals of ratios, medians, proportions and their differences.

Latency ratios: the median over blocks of log(min B / min A), with a hierarchical bootstrap that
draws session pairs first and blocks within them (a session's layout in memory shifts all of its
blocks together, so blocks alone are not independent). Of n pairs n - 1 are drawn: drawing all n
understates the variance between them by (n - 1) / n, a third with three pairs (Rao and Wu 1988,
Journal of the American Statistical Association 83, section 2).
Accuracy: Wilson's interval for one proportion (Wilson 1927); for the difference of two on the same
images the adjusted Wald interval (Agresti and Min 2005, Statistics in Medicine 24, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Z95 = 1.959963984540054
RESAMPLES = 2000


class Interval(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Of the interval, relative to the value."""
        return (self.high - self.low) / abs(self.value) if self.value else math.inf


def ratio(pairs: Sequence[tuple[Sequence[float], Sequence[float]]], seed: int = 0) -> Interval:
    """The ratio B / A from block minima.

    Args:
        pairs: for each pair of fresh sessions, the block minima of A and of B.
        seed: of the bootstrap, so that the same samples give the same interval.
    """
    logs = [np.log(np.asarray(b) / np.asarray(a)) for a, b in pairs]
    draws = _hierarchical_medians(logs, seed)
    low, high = np.quantile(draws, (0.025, 0.975))
    middle = float(np.median(np.concatenate(logs)))
    low, high = min(float(low), middle), max(float(high), middle)
    return Interval(math.exp(middle), math.exp(low), math.exp(high))


def median(sessions: Sequence[Sequence[float]], seed: int = 0) -> Interval:
    """The median of samples drawn in several sessions."""
    groups = [np.asarray(s, dtype=np.float64) for s in sessions]
    low, high = np.quantile(_hierarchical_medians(groups, seed), (0.025, 0.975))
    middle = float(np.median(np.concatenate(groups)))
    return Interval(middle, min(float(low), middle), max(float(high), middle))


def _hierarchical_medians(groups: Sequence[Floats], seed: int) -> Floats:
    """Medians of redrawn sessions; each draws from all of its blocks, as many as the shortest."""
    rng = np.random.default_rng(seed)
    lengths = np.array([len(group) for group in groups])
    table = np.zeros((len(groups), lengths.max()))
    for row, group in zip(table, groups, strict=True):
        row[: len(group)] = group
    drawn = max(1, len(groups) - 1)
    pair = rng.integers(len(groups), size=(RESAMPLES, drawn, 1))
    block = rng.integers(lengths[pair], size=(RESAMPLES, drawn, lengths.min()))
    return np.asarray(np.median(table[pair, block].reshape(RESAMPLES, -1), axis=1))


def wilson(hits: int, count: int) -> Interval:
    """A proportion with Wilson's 95 % interval, all in percent."""
    p, z2 = hits / count, Z95**2
    centre = (p + z2 / (2 * count)) / (1 + z2 / count)
    spread = Z95 * math.sqrt(p * (1 - p) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    low, high = max(0.0, centre - spread), min(1.0, centre + spread)
    return Interval(100 * p, 100 * min(low, p), 100 * max(high, p))


def paired_difference(won: int, lost: int, count: int) -> Interval:
    """Change of a proportion on the same images, in points.

    Args:
        won: images that only the candidate has right.
        lost: images that only the baseline has right.
        count: images.
    """
    more_won, more_lost, more = won + 0.5, lost + 0.5, count + 2
    centre = (more_won - more_lost) / more
    spread = more_won + more_lost - (more_won - more_lost) ** 2 / more
    half = Z95 * math.sqrt(spread) / more
    value = (won - lost) / count
    low, high = min(centre - half, value), max(centre + half, value)
    return Interval(100 * value, 100 * max(-1.0, low), 100 * min(1.0, high))
