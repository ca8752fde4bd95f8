"""The conversion child: writes one model in one format, within its limits."""

from __future__ import annotations

from pathlib import Path

from core.devices.local import Progress, serve
from core.errors import UnsupportedFormat
from core.formats.base import parse
from core.formats.base.sizes import sized
from core.records import Json


def export(args: Json, progress: Progress) -> Json:
    """Write `args["model"]` as `args["format"]` into the folder `args["out"]`."""
    del progress
    kind, variant = parse(args["format"])
    if kind.exporter is None:
        raise UnsupportedFormat(f"{kind.label} is not written from ONNX.")
    model, out = Path(args["model"]), Path(args["out"])
    if not kind.fixed:
        return {"report": list(kind.exporter.export(model, variant, out))}
    with sized(model, args["shapes"]) as frozen:
        return {"report": list(kind.exporter.export(frozen, variant, out))}


if __name__ == "__main__":
    serve({"export": export})
