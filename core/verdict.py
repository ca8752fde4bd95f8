"""Verdict of a timing: what the ratio of two times means, from its 95 % interval.

One rule for all who time: models beside each other (`core.measure.latency`), graphs that a pass
races (`timing_ratio`), sums of layers along a slider (`core.runs.latency_curve`). How the interval
comes about is theirs: it follows from how the samples were drawn.
"""

from __future__ import annotations

from typing import Protocol

from core.records import Verdict

SMALLEST_EFFECT = 0.01  # a difference below 1 % is not called one
WIDEST = 0.03  # an interval wider than 3 % of the ratio settles nothing


class Interval(Protocol):
    """A ratio of two times with its 95 % interval."""

    @property
    def value(self) -> float:
        """The ratio."""
        ...

    @property
    def low(self) -> float:
        """Its lower end."""
        ...

    @property
    def high(self) -> float:
        """Its upper end."""
        ...


def verdict(ratio: Interval, enough: bool = True) -> Verdict:
    """What a latency ratio (candidate / baseline) means in words.

    Args:
        ratio: with its interval.
        enough: whether enough sessions were run to say anything.
    """
    if not enough:
        return Verdict.NOT_ENOUGH_DATA
    if ratio.high < 1 and ratio.value <= 1 - SMALLEST_EFFECT:
        return Verdict.FASTER
    if ratio.low > 1 and ratio.value >= 1 + SMALLEST_EFFECT:
        return Verdict.SLOWER
    return Verdict.SAME if is_narrow(ratio) else Verdict.NOT_ENOUGH_DATA


def is_narrow(ratio: Interval) -> bool:
    """Whether an interval settles the question, and more samples would not change the answer."""
    width = (ratio.high - ratio.low) / abs(ratio.value) if ratio.value else float("inf")
    return width <= WIDEST


def is_surely_faster(ratio: Interval) -> bool:
    """Whether even the upper end is a difference: of many races, chance wins one at times."""
    return ratio.high < 1 - SMALLEST_EFFECT


def may_be_faster(ratio: Interval) -> bool:
    """Whether it is open, and not unlikely, that more samples find it surely faster."""
    return not is_surely_faster(ratio) and ratio.low < 1 - SMALLEST_EFFECT and not ratio.value >= 1


def is_drop(drop: float, noise: float, of: float) -> bool:
    """Whether a sum of times lies below another one by more than its noise, and by enough.

    Args:
        drop: by how much, in any unit of time.
        noise: half of the interval of that difference.
        of: the larger sum.
    """
    return drop > max(noise, SMALLEST_EFFECT * of)
