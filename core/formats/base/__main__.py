"""The conversion child: writes one model in one format, within its limits."""

from __future__ import annotations

from pathlib import Path

from core.devices.local import Progress, serve
from core.errors import UnsupportedFormat
from core.formats.base import parse
from core.records import Json


def export(args: Json, progress: Progress) -> Json:
    """Write `args["model"]` as `args["format"]` into the folder `args["out"]`."""
    del progress
    kind, variant = parse(args["format"])
    if kind.exporter is None:
        raise UnsupportedFormat(f"{kind.label} is not written from ONNX.")
    notes = kind.exporter.export(Path(args["model"]), variant, Path(args["out"]))
    return {"report": list(notes)}


if __name__ == "__main__":
    serve({"export": export})
