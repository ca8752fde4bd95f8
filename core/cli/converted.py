"""`--format`: the model that a command made, written in another file format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.cli.result import count
from core.records import Json, ModelSummary
from core.workspace import Workspace
from core.workspace.formats import label


@dataclass(frozen=True, slots=True)
class Converted:
    """What a command says of a converted model, for scripts and for people."""

    data: Json
    text: str


def convert(
    workspace: Workspace, model: ModelSummary, form: str, out: Path
) -> tuple[Converted, Sequence[Path]]:
    """Write a model in another format.

    Args:
        workspace: converts it.
        model: as admitted or made.
        form: `format`, or `format.variant`.
        out: the main file; the others lie beside it, with their own endings.

    Raises:
        CoreError: see `Models.convert`.
    """
    made = workspace.models.convert(model, form, out)
    artifact = {
        "digest": made.artifact.digest,
        "size_bytes": made.size_bytes,
        "exporter": made.artifact.exporter,
        "exporter_version": made.artifact.exporter_version,
        "check": made.check,
    }
    notes = " ".join((made.check, *made.artifact.report))
    text = f"format      {label(form)}, {count(made.size_bytes)}B: {notes}"
    return Converted({"format": form, "artifact": artifact}, text), made.files
