"""Intervals of times.

Latency ratios: the median over blocks of log(min B / min A), with a hierarchical bootstrap that
draws session pairs first and blocks within them (a session's layout in memory shifts all of its
blocks together, so blocks alone are not independent). Of n pairs n - 1 are drawn: drawing all n
understates the variance between them by (n - 1) / n, a third with three pairs (Rao and Wu 1988,
Journal of the American Statistical Association 83, section 2).
Those of accuracy are in `core.metrics.base.intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.metrics.base.intervals import Interval

Floats = NDArray[np.floating[Any]]
RESAMPLES = 2000


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
