"""The staircase behind a slider: the summed times of the layers that it changes, value by value.

    seconds(v) = sum over the layers of t(layer at v)

Half-widths of the single times are independent and add in squares; a shape that stands n times
in the sum counts n-fold. Of two values only the layers that differ between them bring noise into
their difference. A value is a step where the sum lies below the last step's by more than that noise
and by at least 1 % of it: what lies between two steps costs accuracy and buys no time.

Approximate: what a network spends outside of these layers is not in the sum, nor is what fusing
them differently would change. It is no measurement of the model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from core.records import Stair, Staircase
from core.timings import Chain, LayerSignature, LayerTime, LayerTimes
from core.verdict import is_drop

Counts = Mapping[LayerSignature, int]


def wanted(rungs: Sequence[Chain]) -> tuple[Chain, ...]:
    """Every layer of a ladder to be timed, each shape once: the ends first, then halves of halves.

    A table cut short then holds a coarse staircase, not the beginning of a fine one.
    """
    return tuple(dict.fromkeys((layer,) for at in _halves(len(rungs)) for layer in rungs[at]))


def _halves(count: int) -> list[int]:
    found = [0, count - 1] if count > 1 else list(range(count))
    gaps = [(0, count - 1)]
    for low, high in gaps:  # grows while it is gone through
        middle = (low + high) // 2
        if low < middle < high:
            found.append(middle)
            gaps += [(low, middle), (middle, high)]
    return found


def staircase(rungs: Sequence[Chain], stops: Sequence[float], table: LayerTimes) -> Staircase:
    """The staircase of a ladder as far as its layers are in the table.

    Args:
        rungs: for each stop, the layers that change, in the same order.
        stops: values of the parameter, growing.
        table: a layer that has no time at one stop is left out at all of them.
    """
    known = [all((layer,) in table for layer in rung) for rung in rungs]
    rungs = [rung for rung, there in zip(rungs, known, strict=True) if there]
    stops = [stop for stop, there in zip(stops, known, strict=True) if there]
    rows = {layer: table.row((layer,)) for rung in rungs for layer in rung}
    timed = {layer: row for layer, row in rows.items() if row and row.seconds is not None}
    places = range(len(rungs[0]) if rungs else 0)
    kept = [place for place in places if all(rung[place] in timed for rung in rungs)]
    counts = [Counter(rung[place] for place in kept) for rung in rungs]
    falls = _falls(counts, timed)
    stairs = []
    for at, count, fall in zip(stops, counts, falls, strict=True):
        seconds, noise = _sum(count, timed), _noise(count, timed)
        stairs.append(Stair(at, seconds, max(0.0, seconds - noise), seconds + noise, fall))
    where, untimed = table.target, len(places) - len(kept)
    return Staircase(where.spec, where.threads, tuple(stairs), len(kept), untimed, all(known))


def _falls(counts: Sequence[Counts], timed: Mapping[LayerSignature, LayerTime]) -> list[bool]:
    """Whether each value lies below the last one that did, by more than the noise."""
    found: list[bool] = []
    best = counts[0] if counts else {}
    for count in counts:
        kinds = best.keys() | count.keys()
        changed = {kind: best.get(kind, 0) - count.get(kind, 0) for kind in kinds}
        drop = _sum(changed, timed)
        falls = is_drop(drop, _noise(changed, timed), _sum(best, timed))
        found.append(falls)
        best = count if falls else best
    return found


def _sum(counts: Counts, timed: Mapping[LayerSignature, LayerTime]) -> float:
    return sum(count * (timed[kind].seconds or 0.0) for kind, count in counts.items())


def _noise(counts: Counts, timed: Mapping[LayerSignature, LayerTime]) -> float:
    """Half of the interval of a sum, or of a difference."""
    widths = [count * _half(timed[kind]) for kind, count in counts.items()]
    return math.sqrt(sum(width**2 for width in widths))


def _half(row: LayerTime) -> float:
    seconds = row.seconds or 0.0
    low = seconds if row.low is None else row.low
    high = seconds if row.high is None else row.high
    return max(high - seconds, seconds - low)
