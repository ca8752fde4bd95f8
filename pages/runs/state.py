"""Session state of Runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pages.shared.field import Field, Pick


@dataclass(frozen=True, slots=True)
class RunsState:
    """What is chosen in the lists.

    Attributes:
        chosen: id of the run that the buttons are about.
        table: of the runs, in which one can be picked.
        order: ids of the runs, line by line of that table.
        upload: digest of the upload that may be deleted.
    """

    chosen: Field[str] = Field("runs.chosen", "")
    table: Field[Pick | None] = Field("runs.table", None)
    order: Field[Sequence[str]] = Field("runs.order", ())
    upload: Field[str] = Field("uploads.chosen", "")

    def side(self, name: str) -> Field[str]:
        """Id of the run that is compared as "A" or "B"."""
        return Field(f"compare.{name}.run", "")

    def side_recipe(self, name: str, run: str) -> Field[str]:
        """Digest of the candidate of that run that is compared."""
        return Field(f"compare.{name}.recipe.{run}", "")


state = RunsState()
