"""What the report of a quantization to int8 says beside what its steps found."""

from __future__ import annotations

from collections.abc import Collection

from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.partition import WEIGHTED, Selection, is_weighted
from core.compress.quantization.target_scheme import Scheme
from core.passes.base import Graph, Report
from core.records import Note

FEW_IMAGES = 32


def say_data(images: CalibrationSplit, count: int, report: Report) -> None:
    """Which images were used for what."""
    held_out = images.judged if images.separate else 0
    report.note(Note.of("int8.calibrated", images=count, held_out=held_out))
    if not images.separate:
        report.note(Note.of("int8.none_held_out"))
    elif count < FEW_IMAGES:
        report.note(Note.of("int8.few_images", images=count))


def say_scheme(used: Scheme, report: Report) -> None:
    """Which integers the layers compute with."""
    kind = {"signed": used.signed, "bits": used.bits, "mixed": used.mixed}
    report.note(Note.of("int8.arithmetic", layers=report.changed, **kind))
    if used.saturates:
        report.note(Note.of("int8.no_vnni"))


def say_skipped(
    source: Graph,
    selection: Selection | None,
    exclude: Collection[str],
    wide: Collection[str],
    report: Report,
) -> None:
    """Why each layer that stays float does, where no step has said so yet."""
    known = {node.name for node in source.graph}
    for name in wide:
        if name not in known:
            report.skip(name, Note.of("no_such_layer"))
    for name in exclude:
        report.skip(name, Note.of("as_asked" if name in known else "no_such_layer"))
    for node in source.graph:
        if node.op_type in WEIGHTED | {"ConvTranspose"} and not is_weighted(node):
            report.skip(node.name, Note.of("int8.no_kernel"))
        elif is_weighted(node) and selection and not _settled(node.name, selection, report):
            report.skip(node.name, Note.of("int8.faster_float"))


def _settled(name: str | None, selection: Selection, report: Report) -> bool:
    return name in selection.nodes or any(skip.node == name for skip in report.skipped)
