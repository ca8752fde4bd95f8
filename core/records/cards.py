"""Card file: one recipe's result with all that it holds under, to be measured again elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from core.records.measurements import Measurement
from core.records.recipes import Recipe
from core.records.runs import ExperimentSpec
from core.records.targets import Host


@dataclass(frozen=True, slots=True)
class CardFile:
    """What the JSON of a result card holds.

    Attributes:
        model: name of the original.
        spec: the question, with the original and this one recipe.
        original, candidate: digests of the two files.
        rows: the standing rows of both.
        created: UTC, ISO 8601.
        link: where it could be seen.
    """

    model: str
    spec: ExperimentSpec
    original: str
    candidate: str
    rows: tuple[Measurement, ...]
    host: Host | None = None
    created: str = ""
    link: str = ""

    @property
    def recipe(self) -> Recipe:
        """The recipe that made the candidate."""
        return self.spec.recipes[-1]
