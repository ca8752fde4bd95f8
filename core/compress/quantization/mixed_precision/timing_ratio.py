"""Timing ratio of graphs raced in turns, and its interval: whether one really is faster.

The ratio of two graphs is the median over blocks of t_b / t_a, where both were timed next to each
other; its interval is that between the order statistics that hold the median at 95 %, which assumes
nothing of the noise (blocks of one session share its layout in memory, so what decides takes
several sessions).

Source: David and Nagaraja 2003, Order Statistics, section 7.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from core.calibration.services import Lap, Race
from core.verdict import is_surely_faster, may_be_faster

TAIL = 0.025
CAREFUL = 3  # sessions of a race that decides
REPEATS = 3  # such races at most, where the noise hides the answer


class Ratio(NamedTuple):
    """Time of a graph to that of another, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def faster(self) -> bool:
        """Whether it is faster beyond the noise."""
        return is_surely_faster(self)


NEVER = Ratio(math.inf, math.inf, math.inf)


def careful(race: Race, contestants: Sequence[ir.Model]) -> list[Lap]:
    """Laps of several sessions; more of them while it is open whether the last one beats the first.

    Being told as good as equal is an answer too: then the first one has won.
    """
    laps = list(race(contestants, sessions=CAREFUL))
    for _ in range(REPEATS - 1):
        if not may_be_faster(ratio(laps[-1], laps[0])):
            break
        more = race(contestants, sessions=CAREFUL)
        laps = [joined(*pair) for pair in zip(laps, more, strict=True)]
    return laps


def joined(one: Lap, other: Lap) -> Lap:
    """Both; what failed once has failed."""
    reason = one.reason or other.reason
    return Lap(() if reason else one.seconds + other.seconds, reason)


def ratio(lap: Lap, base: Lap) -> Ratio:
    """Time of `lap` to that of `base`; infinite where either has none."""
    if not lap.seconds or not base.seconds:
        return NEVER
    found = np.sort(np.asarray(lap.seconds) / np.asarray(base.seconds))
    rank = _rank(len(found))
    return Ratio(float(np.median(found)), float(found[rank]), float(found[-1 - rank]))


def _rank(count: int) -> int:
    """How many extremes can be left out on each side so that the median stays inside."""
    below, rank = 0.5**count, 0
    while below + math.comb(count, rank + 1) * 0.5**count <= TAIL:
        rank += 1
        below += math.comb(count, rank) * 0.5**count
    return rank
