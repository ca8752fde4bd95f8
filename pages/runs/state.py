"""Session state of Runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.records import Answer, RunProgress
from pages.shared.field import Field, Pick


@dataclass(frozen=True, slots=True)
class RunsState:
    """What is chosen in the lists.

    Attributes:
        chosen: id of the run that the buttons are about.
        table: of the runs, in which one can be picked.
        order: ids of the runs, line by line of that table.
        search: words that a run must have.
        models: names of the models, of which it must be of one.
        states: in one of which it must be.
        tags: one of which its candidates must have.
        pinned: whether only runs with a pinned candidate are listed.
        worded: what was said of runs since this visitor came, each with how far its run was.
        upload: digest of the upload that may be deleted.
    """

    chosen: Field[str] = Field("runs.chosen", "")
    table: Field[Pick | None] = Field("runs.table", None)
    order: Field[Sequence[str]] = Field("runs.order", ())
    search: Field[str] = Field("runs.search", "")
    models: Field[Sequence[str]] = Field("runs.models", ())
    states: Field[Sequence[str]] = Field("runs.states", ())
    tags: Field[Sequence[str]] = Field("runs.tags", ())
    pinned: Field[bool] = Field("runs.pinned", False)
    worded: Field[Mapping[str, tuple[RunProgress, Answer]]] = Field("runs.worded", {})
    upload: Field[str] = Field("uploads.chosen", "")


state = RunsState()
