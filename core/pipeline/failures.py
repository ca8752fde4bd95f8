"""Steps that were asked for and failed: why, in one form, and what is left of the recipe then.

A library says in its own words, and in an error of its own kind, that it could not allocate; that
is the same failure wherever it happens, and it has a remedy.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import (
    MORE_MEMORY,
    CoreError,
    NotEnoughMemory,
    WorkerOutOfMemory,
    says_out_of_memory,
)
from core.passes.base import label, not_applied
from core.recipes import without
from core.records import Outcome, Recipe, StepReport

DEFECT = "Defect"
FEWER = "Use fewer calibration images or a smaller input. "


def typed(error: Exception) -> CoreError | None:
    """The failure as an error with its remedy; None for a defect of a pass."""
    if isinstance(error, WorkerOutOfMemory):
        return error
    if isinstance(error, MemoryError) or says_out_of_memory(str(error)):
        said = str(error).strip().splitlines()
        words = f" ({said[0][:200]})" if said and said[0] else ""
        return NotEnoughMemory(f"it ran out of memory while it worked{words}.", FEWER + MORE_MEMORY)
    return error if isinstance(error, CoreError) else None


def nothing(recipe: Recipe, reports: Sequence[StepReport]) -> Outcome:
    """What became of a recipe of which no step held: no file, which would be the original's."""
    reason = " ".join(not_applied(report) for report in reports)
    return Outcome(recipe, None, None, reason, tuple(reports))


def renamed(recipe: Recipe, reports: Sequence[StepReport]) -> Recipe:
    """The recipe under a name that promises no step which failed; its steps stay."""
    failed = [label(report.step) for report in reports if report.reverted]
    return without(recipe, failed)
