"""Session state of Explore, beside the forms that it shares with Optimize."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.records import Recipe
from core.search.pareto import Cost
from pages.shared.field import Field, Linked, Pick


@dataclass(frozen=True, slots=True)
class ExploreState:
    """The sweep that is shown, and the one that the forms ask for.

    Attributes:
        run: the sweep that is shown.
        filled_for: id of the sweep whose question the forms were set to.
        mode: whether recipes are made by a grid or listed.
        listed: the recipes of the list, by name.
        kept: names of those that are tried.
        chart: of the trade-off, in which points can be picked.
        cost: what accuracy is held against.
    """

    run: Linked = Linked("explore.run", "", "run")
    filled_for: Field[str] = Field("explore.forms_of", "")
    mode: Field[str] = Field("explore.mode", "")
    listed: Field[Mapping[str, Recipe]] = Field("explore.list", {})
    kept: Field[Sequence[str]] = Field("explore.kept", ())
    chart: Field[Pick | None] = Field("explore.chart", None)
    cost: Field[Cost] = Field("explore.cost", "latency")

    def axis(self, name: str) -> Field[Sequence[str]]:
        """Names of the variants of an axis that the grid holds, of those in the row."""
        return Field(f"explore.axis.{name}", ())

    def axis_others(self, name: str) -> Field[Sequence[str]]:
        """Names of the variants of an axis that the grid holds, of those not in the row."""
        return Field(f"explore.axis.{name}.other", ())

    def threads(self, run: str) -> Field[int]:
        """The number of threads at which a sweep is drawn."""
        return Field(f"explore.threads.{run}", 1)

    def backend(self, run: str) -> Field[str]:
        """The backend of the point of a sweep that was picked."""
        return Field(f"explore.backend.{run}", "")


state = ExploreState()
