"""What a forecast had said, beside what a run then counted."""

from __future__ import annotations

from collections.abc import Callable

from core.records import (
    Candidate,
    Cut,
    Hindsight,
    Measurement,
    Recipe,
    Run,
    Sensitivity,
    Status,
)
from core.runs.forecast import forecast, uncut

Known = Callable[[Recipe], Sensitivity | None]


def hindsights(run: Run, known: Known) -> tuple[Hindsight, ...]:
    """Of every candidate of a run whose last step is a repaired cut.

    Args:
        run: with measurements.
        known: the sensitivity of the model as a recipe leaves it, if it was ever measured.
    """
    if not run.spec.calibration:
        return ()
    counted = {row.candidate: row for row in _counted(run)}
    found = []
    for outcome in run.outcomes:
        made = outcome.candidate
        cuts = _cuts(made) if made is not None and made.digest in counted else ()
        if made is None or not cuts:
            continue
        learnt = known(uncut(made.recipe, len(made.recipe.steps) - 1))
        expected = forecast(cuts, learnt) if learnt is not None else None
        if expected is not None:
            row = counted[made.digest]
            found.append(Hindsight(made.digest, expected, row.value or 0.0, row.backend))
    return tuple(found)


def _counted(run: Run) -> list[Measurement]:
    """The agreement of each candidate, that of the first backend that has one last."""
    order = {backend: at for at, backend in enumerate(run.spec.backends)}
    rows = [r for r in run.measurements if r.metric == "agreement" and r.status is Status.OK]
    known = [row for row in rows if row.value is not None]
    return sorted(known, key=lambda row: -order.get(row.backend, len(order)))


def _cuts(made: Candidate) -> tuple[Cut, ...]:
    """What the last step removed; nothing if an earlier one cut too, or if nothing was refitted."""
    if not made.report or any(cut.removed for step in made.report[:-1] for cut in step.cuts):
        return ()
    last = made.report[-1]
    if last.reverted or last.step.params.get("repair") is False:
        return ()
    return last.cuts if any(cut.removed for cut in last.cuts) else ()
