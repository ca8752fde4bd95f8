"""A recipe of several lossy steps beside each of them alone: together is not always better.

Channels that go may cost an integer kernel more than they save, so a combination is worth its loss
only where it beats its parts. What a run did not measure is said to be missing.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.charts import palette, text
from core.metrics.base import DELTA
from core.passes.base import catalogue, label
from core.recipes import key
from core.records import Outcome, Recipe, Run, Step
from core.records.standing import Standing, first_threads, measured
from core.tasks.base import primary_metric


def beside_parts(run: Run, outcome: Outcome) -> str:
    """How a combined recipe stands against each of its parts; empty for a single step."""
    steps = lossy(outcome.recipe)
    if outcome.candidate is None or len(steps) < 2:
        return ""
    rows, threads = Standing(run), first_threads(run)
    ratios = {
        backend: ratio
        for backend in run.spec.backends
        if (ratio := _ratio(rows, outcome.candidate.digest, backend, threads)) is not None
    }
    if not ratios:
        return ""
    backend = min(ratios, key=lambda name: ratios[name])
    found, missing = [], []
    for step, digest in _parts(run, steps):
        ratio = _ratio(rows, digest, backend, threads) if digest else None
        if ratio is None:
            missing.append(label(step))
        else:
            found.append(f"{label(step)} alone {ratio:.2f}×{_points(rows, digest, backend)}")
    together = f"together {ratios[backend]:.2f}×"
    together += _points(rows, outcome.candidate.digest, backend)
    words = []
    if found:
        where = palette.label(backend)
        words.append(f"Of the original's time on {where}: {', '.join(found)}, {together}.")
    if missing:
        words.append(f"Not measured alone, so not compared: {', '.join(missing)}.")
    return " ".join(words)


def lossy(recipe: Recipe) -> tuple[Step, ...]:
    """The steps of a recipe that change what the model computes."""
    passes = catalogue()
    return tuple(
        step
        for step in recipe.steps
        if (kind := passes.get(step.pass_name)) is None or not kind.exact
    )


def _parts(run: Run, steps: tuple[Step, ...]) -> Iterator[tuple[Step, str]]:
    """Each step, and the candidate that it alone made in this run; "" where there is none."""
    alone: dict[str, str] = {}
    for outcome in run.outcomes:
        found = lossy(outcome.recipe)
        if outcome.candidate is not None and len(found) == 1:
            alone[key(found)] = outcome.candidate.digest
    for step in steps:
        yield step, alone.get(key((step,)), "")


def _ratio(rows: Standing, digest: str, backend: str, threads: int) -> float | None:
    return measured(rows.row(digest, "latency_ratio", backend, threads))


def _points(rows: Standing, digest: str, backend: str) -> str:
    """The accuracy that goes with it, in brackets."""
    value = measured(rows.row(digest, primary_metric(rows) + DELTA, backend))
    return "" if value is None else f" ({text.signed(value)} points)"
