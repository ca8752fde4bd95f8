"""Run in a line of a list: the answer, and its numbers in few words."""

from __future__ import annotations

from collections.abc import Sequence

from core.charts import palette
from core.charts.summary import NO_DELTA, accuracy_delta, headline, latency_delta
from core.records import Answer, Hindsight, Run
from core.records.standing import Standing, first_threads
from core.search.choose import best
from core.tasks.base import primary_metric


def answer(run: Run, seen: Sequence[Hindsight] = ()) -> Answer:
    """What a list says of a run.

    Args:
        run: with or without numbers.
        seen: forecasts of its cuts beside what was counted.
    """
    return Answer(
        headline(run),
        len(seen),
        sum(one.held for one in seen),
        speed=_speed(run),
        accuracy=_accuracy(run),
        images=_images(run),
        machine=f"{run.host.cpu}, {run.host.cores} cores" if run.host else "",
    )


def _digest(run: Run) -> str:
    """Of the best recipe's file; empty where no recipe made one."""
    found = best(run)
    return found.candidate.digest if found is not None and found.candidate is not None else ""


def _speed(run: Run) -> str:
    """The verdict of the best recipe on the backend where it gains most."""
    rows, digest, threads = Standing(run), _digest(run), first_threads(run)
    ratios = {
        backend: ratio
        for backend in run.spec.backends
        if (ratio := rows.value(digest, "latency_ratio", backend, threads)) is not None
    }
    if not digest or not ratios:
        return ""
    backend = min(ratios, key=lambda name: ratios[name])
    delta = latency_delta(run, digest, backend)
    return f"{delta.change} {delta.verdict} on {palette.label(backend)}"


def _accuracy(run: Run) -> str:
    digest = _digest(run)
    if not digest:
        return ""
    delta = accuracy_delta(run, digest)
    if delta.after == NO_DELTA:
        return delta.verdict
    return f"{delta.after} ({delta.change})" if delta.change else delta.after


def _images(run: Run) -> int | None:
    metric = primary_metric(Standing(run))
    counts = {row.condition.get("images", "") for row in run.measurements if row.metric == metric}
    return max((int(count) for count in counts if count.isdigit()), default=None)
