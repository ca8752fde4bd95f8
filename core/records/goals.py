"""What a user wants of a model: the goal that a run searches towards."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Objective(enum.Enum):
    """What is to become best within the limit."""

    FASTEST = "fastest"
    SMALLEST = "smallest"
    MOST_ACCURATE = "most accurate"  # of what is shown to be faster


@dataclass(frozen=True, slots=True)
class Goal:
    """The best recipe by one objective, on one backend, found in so much time.

    Attributes:
        objective: what is to become best.
        max_drop: points of the primary metric, without annotations percent of changed answers, that
            may be lost at most.
        backend: `name` or `name:precision`, where it is measured.
        minutes: of wall time, about.
    """

    objective: Objective
    max_drop: float
    backend: str
    minutes: float
