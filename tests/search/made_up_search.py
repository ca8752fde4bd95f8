"""A search whose recipes are measured by a function: what each loses, and how fast it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from core.recipes import key
from core.records import (
    Candidate,
    Goal,
    Measurement,
    Objective,
    Outcome,
    Recipe,
    Run,
    RunProgress,
    State,
)
from core.search import goal
from tests.charts import builders as b


@dataclass(frozen=True)
class Fate:
    """What becomes of a recipe; of `reason` no model."""

    lost: float = 0.0
    ratio: float = 1.0
    size: float = 1.0
    reason: str = ""


Oracle = Callable[[Recipe], Fate]
FASTEST = Goal(Objective.FASTEST, 1.0, "onnxruntime", 5.0)


def digest_of(recipe: Recipe) -> str:
    return hashlib.sha256(key(recipe.steps).encode()).hexdigest()


def begun(wanted: Goal = FASTEST, calibrated: bool = True, cores: int = 1, **model: object) -> Run:
    """A run that knows its original alone."""
    summary = replace(b.summary(), **model)
    spec = goal.question(wanted, summary, "e" * 64 if calibrated else "", "d" * 64)
    base = Candidate(b.BASE, Path("x.onnx"), spec.recipes[0])
    rows = b.accuracy(b.BASE, wanted.backend, 90.0, None)
    rows += b.latency(b.BASE, wanted.backend, 2.0, 1.0, "same")[:1]
    return Run(
        "run", "me", "2026-01-02T03:04:05", spec, RunProgress(State.RUNNING), summary,
        (Outcome(spec.recipes[0], base, summary),), tuple(rows), replace(b.HOST, cores=cores),
    )  # fmt: skip


def measured(run: Run, recipe: Recipe, fate: Fate) -> Run:
    """The run after a recipe was tried."""
    spec = replace(run.spec, recipes=(*run.spec.recipes, recipe))
    if fate.reason:
        found, rows = Outcome(recipe, None, None, fate.reason), ()
    else:
        digest = digest_of(recipe)
        summary = replace(run.model, digest=digest, size_bytes=int(fate.size * 1e6))
        found = Outcome(recipe, Candidate(digest, Path("y.onnx"), recipe), summary)
        rows = _rows(digest, run.spec.backends[0], fate)
    return replace(
        run, spec=spec, outcomes=(*run.outcomes, found), measurements=(*run.measurements, *rows)
    )


def _rows(digest: str, backend: str, fate: Fate) -> tuple[Measurement, ...]:
    verdict = "faster" if fate.ratio < 0.99 else "slower" if fate.ratio > 1.01 else "same"
    return (
        *b.accuracy(digest, backend, 90.0 - fate.lost, -fate.lost),
        *b.latency(digest, backend, 2.0 * fate.ratio, fate.ratio, verdict),
    )


def searched(run: Run, oracle: Oracle, most: int = 60) -> Run:
    """The run once nothing is left to try."""
    for _ in range(most):
        trial = goal.following(run)
        if trial is None:
            return run
        if trial.threads:
            rows = b.latency(digest_of(trial.recipe), run.spec.backends[0], 1.0, 0.5, "faster")
            count = {"threads": str(trial.threads[0])}
            rows = [replace(row, condition={**row.condition, **count}) for row in rows]
            run = replace(run, measurements=(*run.measurements, *rows))
        else:
            run = measured(run, trial.recipe, oracle(trial.recipe))
    raise AssertionError("it never ended")


def names(run: Run) -> list[str]:
    return [recipe.name for recipe in run.spec.recipes[1:]]
