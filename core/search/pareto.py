"""Pareto front: accuracy against latency or size, and the recipes that no other one beats.

A point is on the front if no other point of its backend is at least as good in both directions and
better in one.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.records import Candidate, Measurement, Recipe, Run
from core.records.standing import Standing, baseline, first_threads, measured
from core.search.loss import Deciding, deciding

Cost = Literal["latency", "ratio", "size", "zipped"]
METRICS: Mapping[Cost, str] = {
    "latency": "latency_ms",
    "ratio": "latency_ratio",
    "size": "size_bytes",
    "zipped": "zipped_bytes",
}
SIZES = ("size", "zipped")  # of a file: the same on every backend


@dataclass(frozen=True, slots=True)
class Point:
    """One recipe on one backend.

    Attributes:
        cost: in the unit of its metric; smaller is better.
        gain: the run's primary metric, in its unit; larger is better.
        front: whether no other point of the backend beats it.
    """

    digest: str
    backend: str
    recipe: Recipe
    cost: float
    gain: float
    cost_span: tuple[float, float]
    gain_span: tuple[float, float]
    is_baseline: bool = False
    front: bool = False


def points(run: Run, cost: Cost = "latency", threads: int | None = None) -> tuple[Point, ...]:
    """Every recipe that has both numbers on a backend, with the front of each backend marked."""
    rows = Standing(run)
    how = deciding(rows)
    found: list[Point] = []
    for backend in run.spec.backends:
        here = [
            point
            for candidate in _candidates(run)
            if (point := _point(run, rows, how, candidate, backend, cost, threads)) is not None
        ]
        edge = front([(p.cost, p.gain) for p in here])
        found += [replace(p, front=index in edge) for index, p in enumerate(here)]
    return tuple(found)


def front(pairs: Sequence[tuple[float, float]]) -> set[int]:
    """Indices of the pairs (cost, gain) that no other pair beats; equal pairs are all kept."""
    kept: set[int] = set()
    best_gain, best_cost = float("-inf"), float("nan")
    for index in sorted(range(len(pairs)), key=lambda i: (pairs[i][0], -pairs[i][1])):
        cost, gain = pairs[index]
        if gain > best_gain or (gain == best_gain and cost == best_cost):
            kept.add(index)
            best_gain, best_cost = gain, cost
    return kept


def latency(
    run: Run, rows: Standing, candidate: str, backend: str, threads: int
) -> Measurement | None:
    """A latency that compares between the candidates of a run; the candidate's own for want of it.

    The machine drifts between comparisons, so a candidate's own median would be compared with
    another moment's. Each is placed at its paired ratio times one latency of the original: the
    median over all comparisons.
    """
    base = baseline(run)
    own = rows.row(candidate, "latency_ms", backend, threads)
    originals = rows.rows(base.digest, "latency_ms", backend, threads) if base else []
    known = [value for row in originals if (value := measured(row))]
    if not known or base is None:
        return own
    common = statistics.median(known)
    if candidate == base.digest:
        return replace(own, value=common, low=common, high=common) if own else None
    ratio = rows.row(candidate, "latency_ratio", backend, threads)
    if ratio is None or measured(ratio) is None or ratio.low is None or ratio.high is None:
        return own
    value, low, high = (common * (part or 0.0) for part in (ratio.value, ratio.low, ratio.high))
    return replace(ratio, metric="latency_ms", value=value, low=low, high=high)


def _candidates(run: Run) -> list[Candidate]:
    unique: dict[str, Candidate] = {}
    for outcome in run.outcomes:
        if outcome.candidate is not None:
            unique.setdefault(outcome.candidate.digest, outcome.candidate)
    return list(unique.values())


def _point(
    run: Run,
    rows: Standing,
    how: Deciding,
    candidate: Candidate,
    backend: str,
    cost: Cost,
    threads: int | None,
) -> Point | None:
    base = baseline(run)
    first = base is not None and base.digest == candidate.digest
    count = first_threads(run) if threads is None else threads
    if cost == "latency":
        spent = latency(run, rows, candidate.digest, backend, count)
    elif cost in SIZES:
        spent = rows.row(candidate.digest, METRICS[cost])
    else:
        spent = rows.row(candidate.digest, METRICS[cost], backend, count)
    gained = rows.row(candidate.digest, how.gain, backend)
    value = 1.0 if first and cost == "ratio" else measured(spent)
    gain = how.whole if first and how.is_relative and how.whole is not None else measured(gained)
    if value is None or gain is None:
        return None
    return Point(
        candidate.digest, backend, candidate.recipe, value, gain,
        _span(spent, value), _span(gained, gain), is_baseline=first,
    )  # fmt: skip


def _span(row: Measurement | None, value: float) -> tuple[float, float]:
    if row is None or row.low is None or row.high is None:
        return (value, value)
    return (row.low, row.high)
