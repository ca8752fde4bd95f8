"""Session state of Optimize, beside the forms that it shares with Explore."""

from __future__ import annotations

from dataclasses import dataclass

from core.records import Json, Objective
from pages.shared.field import Field

Question = tuple[str, str, str, int]  # run, candidate, backend, threads


@dataclass(frozen=True, slots=True)
class OptimizeState:
    """What the panels of Optimize stand at.

    Attributes:
        draft: the forms as they were kept last, or began; None until a session has begun.
        objective: of the goal, by its value.
        max_drop: points that it may lose.
        goal_backend: on which.
        minutes: that its search may take.
        goal_at: the run that searches towards a goal, and the recipe at which the form stood when
            it was opened: while it stands there, the best of the run is shown.
        backend: of which the tiles tell.
        next_for: what the buttons beside them are about.
        arrived: the model that opened by itself: the focus goes to measuring it.
        snaps: whether sliders stop only where time falls.
        why_backend: on which the speed is explained.
        why_pending: the explanation that is being measured.
        why_refused: the explanation that failed, and why.
    """

    draft: Field[Json | None] = Field("draft", None)
    objective: Field[str] = Field("goal.objective", Objective.FASTEST.value)
    max_drop: Field[float] = Field("goal.max_drop", 1.0)
    goal_backend: Field[str] = Field("goal.backend", "")
    minutes: Field[float] = Field("goal.minutes", 5.0)
    goal_at: Field[tuple[str, str]] = Field("goal.at", ("", ""))
    backend: Field[str] = Field("answer.backend", "")
    next_for: Field[str] = Field("next.for", "")
    arrived: Field[str] = Field("arrived.at", "")
    snaps: Field[bool] = Field("staircase.snap", True)
    why_backend: Field[str] = Field("why.backend", "")
    why_pending: Field[Question | None] = Field("why.pending", None)
    why_refused: Field[tuple[Question, str] | None] = Field("why.refused", None)


state = OptimizeState()
