"""Session state of Compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.records import Conditions
from core.search.pareto import Cost
from pages.shared.field import Field, Linked, Pick


@dataclass(frozen=True, slots=True)
class CompareState:
    """Whose candidates are listed, which of them, and which stand side by side.

    A candidate is named by RUN/DIGEST.

    Attributes:
        model: digest of the model whose candidates are listed.
        backend: on which they are weighed.
        cost: what accuracy is held against.
        search: words that a candidate must have.
        tags: of which it must have one.
        pinned: whether only pinned ones are listed.
        chart: of the trade-off, in which points can be picked.
        table: of the candidates, in which rows can be ticked.
        order: the candidates of that table, line by line.
        ticked: of them, as the table last had them.
        picks: that stand side by side.
        cards: files of cards.
    """

    model: Linked = Linked("compare.model", "", "model")
    backend: Field[str] = Field("compare.backend", "")
    cost: Field[Cost] = Field("compare.cost", "latency")
    search: Field[str] = Field("compare.search", "")
    tags: Field[Sequence[str]] = Field("compare.tags", ())
    pinned: Field[bool] = Field("compare.pinned", False)
    chart: Field[Pick | None] = Field("compare.chart", None)
    table: Field[Pick | None] = Field("compare.table", None)
    order: Field[Sequence[str]] = Field("compare.order", ())
    ticked: Field[Sequence[str]] = Field("compare.ticked", ())
    picks: Field[Sequence[str]] = Field("compare.picks", ())
    cards: Field[Any] = Field("compare.cards", None)

    def conditions(self, model: str, backend: str) -> Field[Conditions | None]:
        """Under which conditions the candidates of a model are weighed on a backend."""
        return Field(f"compare.conditions.{model}.{backend}", None)

    def pin(self, key: str) -> Field[bool]:
        """Whether a candidate is pinned."""
        return Field(f"compare.pin.{key}", False)

    def name(self, key: str) -> Field[str]:
        """What its user calls a candidate."""
        return Field(f"compare.name.{key}", "")

    def note(self, key: str) -> Field[str]:
        """What its user notes of a candidate."""
        return Field(f"compare.note.{key}", "")

    def tags_of(self, key: str) -> Field[Sequence[str]]:
        """The tags of a candidate."""
        return Field(f"compare.tags.{key}", ())


state = CompareState()
