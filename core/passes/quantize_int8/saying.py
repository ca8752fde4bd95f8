"""What the report of a quantization to int8 says beside what its steps found."""

from __future__ import annotations

from collections.abc import Collection

from core.compress.quantization.images import Images
from core.compress.quantization.partition import WEIGHTED, Selection, is_weighted
from core.compress.quantization.target_scheme import Scheme
from core.passes.base import Graph, Report

FEW_IMAGES = 32


def say_data(images: Images, count: int, report: Report) -> None:
    """Which images were used for what."""
    report.note(
        f"Calibrated on {count} images"
        + (f", {images.judged} of them held out to judge by." if images.separate else ".")
    )
    if not images.separate:
        report.note("Too few images to hold any out: errors are on the calibration images.")
    elif count < FEW_IMAGES:
        report.note(f"{count} images are few; 100 or more give steadier ranges.")


def say_scheme(used: Scheme, report: Report) -> None:
    """Which integers the layers compute with."""
    kind = f"{'s' if used.signed else 'u'}{used.bits}"
    kind += f", s{used.bits} where they lie around zero" if used.mixed else ""
    report.note(
        f"{report.changed} layers with weights compute in integers (activations {kind}, "
        "weights s8)."
    )
    if used.saturates:
        report.note(
            "This processor has no VNNI and adds products in pairs of 16 bits; weights were "
            "kept small enough for no pair to overflow."
        )


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
            report.skip(name, "there is no layer of this name")
    for name in exclude:
        said = "left alone as asked" if name in known else "there is no layer of this name"
        report.skip(name, said)
    for node in source.graph:
        if node.op_type in WEIGHTED | {"ConvTranspose"} and not is_weighted(node):
            report.skip(node.name, "stays float: no integer kernel for it, or no constant weight")
        elif is_weighted(node) and selection and not _settled(node.name, selection, report):
            report.skip(node.name, "stays float: the net is faster so")


def _settled(name: str | None, selection: Selection, report: Report) -> bool:
    return name in selection.nodes or any(skip.node == name for skip in report.skipped)
