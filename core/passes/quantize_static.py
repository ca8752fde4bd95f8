"""Compute with 8-bit integers: weights and activations quantized by ranges found beforehand.

x is stored as round(x / scale) + zero_point; weights have one symmetric scale per output channel,
activations one scale per tensor from their range on calibration images. QuantizeLinear and
DequantizeLinear nodes mark it (QDQ), and runtimes fuse them into integer kernels. What comes after
the last layer with weights (Softmax, box decoding) stays float: one scale cannot hold boxes and
probabilities at once. The rewriting is done by onnxruntime.quantization.

Source: Jacob et al. 2018, arXiv:1712.05877; Wu et al. 2020, arXiv:2004.09602.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import onnx_ir as ir

from core.calibration.services import Services
from core.compress.quantization.evaluator import first_difference
from core.compress.quantization.stock.partition import (
    activations,
    level_biases,
    quantizable,
    rename_like_its_own,
)
from core.compress.quantization.stock.ranges import Range, measure
from core.compress.quantization.stock.writer import write
from core.errors import PassPrecondition, UnsupportedModel
from core.graph.operators import STANDARD, WEIGHTED, is_quantized
from core.graph.opset import raised
from core.graph.values import float32_weight
from core.passes.base import Graph, Pass, Report, adopt, lift_constants, parameter
from core.records import Note

OPSET = 13  # the first whose DequantizeLinear knows scales per channel
UNIT_RANGE: Range = (-1.0, 1.0)


@dataclass(frozen=True)
class QuantizeStatic(Pass):
    """Int8 weights and activations, calibrated on images."""

    label: ClassVar[str] = "Quantize to int8"
    help: ClassVar[str] = (
        "Computes in 8-bit integers: a quarter of the bytes, and faster where the processor has "
        "int8 instructions. Needs calibration images; OpenCV does not gain from it."
    )
    gives: ClassVar[str] = "ONNX Runtime's own int8 recipe for the whole net"
    limits: ClassVar[str] = "depthwise nets may lose accuracy or speed: look"
    order: ClassVar[int] = 80
    family: ClassVar[str] = "Precision"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"int8 stock": {}}
    presets_say: ClassVar[Mapping[str, str]] = {
        "int8 stock": "ONNX Runtime's own int8 for the whole model, with nothing repaired: to "
        "compare with."
    }
    needs_data: ClassVar[bool] = True

    calibration: str = parameter(
        "minmax",
        "Calibration",
        "How the range of an activation is found. minmax keeps every value; percentile and "
        "entropy clip rare extremes.",
        choices=("minmax", "percentile", "entropy"),
    )
    activations: str = parameter(
        "auto",
        "Activations",
        "u8 is fast on x86, s8 on ARM; auto takes what suits this machine.",
        choices=("auto", "u8", "s8"),
        expert=True,
    )
    per_channel: bool = parameter(
        True,
        "Scale per channel",
        "Each output channel of a weight has a scale of its own, instead of one for all: more "
        "accurate.",
        expert=True,
    )
    percentile: float = parameter(
        99.99,
        "Percentile",
        "Share of the values that the range holds, for calibration by percentile.",
        unit="%",
        low=90.0,
        high=100.0,
        step=0.001,
        expert=True,
    )
    reduce_range: bool = parameter(
        False,
        "7-bit weights",
        "Avoids overflow on x86 processors without VNNI, the instructions for 8-bit products.",
        expert=True,
    )
    exclude: tuple[str, ...] = parameter(
        (), "Leave alone", "Names of layers that stay float.", expert=True
    )

    def requires(self, graph: Graph) -> None:
        """Refuse what is quantized already or holds no float32 weights."""
        if is_quantized(graph):
            raise PassPrecondition("The model is already quantized.")
        if not any(float32_weight(node) is not None for node in graph.graph):
            raise PassPrecondition(
                "The model has no convolution or fully connected layer with float32 weights to "
                "quantize (convert the precision after quantizing, not before)."
            )

    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Calibrate, rewrite, say what stayed float."""
        if not services.count:
            raise PassPrecondition(
                "Static quantization needs calibration images, and there are none; add a set of "
                "images, or quantize dynamically."
            )
        source = _prepared(graph)
        if source.opset_imports[""] != graph.opset_imports[""]:
            _same_outputs(graph, source, services)
        chosen = self._chosen(source, report)
        names = activations(source, chosen)
        found = measure(source, names, services, self.calibration, self.percentile)
        self._write(graph, source, chosen, found, report)
        report.note(Note.of("static.calibrated", images=services.count, method=self.calibration))

    def preview(self, graph: Graph, report: Report) -> bool:
        """The same rewriting with made-up ranges: all sizes and counts are those of the result."""
        source = _prepared(graph)
        chosen = self._chosen(source, report)
        found = dict.fromkeys(activations(source, chosen), UNIT_RANGE)
        self._write(graph, source, chosen, found, report)
        return True

    def _chosen(self, source: Graph, report: Report) -> list[ir.Node]:
        chosen, refused = quantizable(source, frozenset(self.exclude))
        for node, reason in refused:
            report.skip(node.name, reason)
        return chosen

    def _write(
        self,
        graph: Graph,
        source: Graph,
        chosen: list[ir.Node],
        found: dict[str, Range],
        report: Report,
    ) -> None:
        refused = {skip.node for skip in report.skipped}
        weighted = sum(float32_weight(node) is not None for node in chosen)
        norms = sum(n.op_type == "BatchNormalization" for n in source.graph)
        self._say_skipped(source, {*(n.name or "?" for n in chosen), *refused}, report)
        if not weighted:
            report.note(Note.of("nothing_to_quantize"))
            return
        signed = self._signed()
        result, failing = write(source, chosen, found, signed, self.per_channel, self.reduce_range)
        for node in failing:
            report.skip(node.name, Note.of("static.quantizer_fails"))
        adopt(graph, result)
        weighted -= sum(float32_weight(node) is not None for node in failing)
        report.changed = weighted
        kind = "s8" if signed else "u8"
        report.note(Note.of("static.quantized", layers=weighted, kind=kind))
        if norms:
            report.note(Note.of("static.batch_norms", count=norms))

    def _say_skipped(self, source: Graph, taken: set[str], report: Report) -> None:
        excluded = frozenset(self.exclude)
        known = {node.name for node in source.graph}
        for name in self.exclude:
            if name not in known:
                report.skip(name, Note.of("no_such_layer"))
        for node in source.graph:
            if node.name in excluded:
                report.skip(node.name, Note.of("as_asked"))
            elif (
                node.op_type in WEIGHTED
                and node.domain in STANDARD
                and (node.name or "?") not in taken
            ):
                report.skip(node.name, Note.of("static.not_constant"))

    def _signed(self) -> bool:
        if self.activations == "auto":
            return platform.machine().lower() in ("arm64", "aarch64")
        return self.activations == "s8"


def _prepared(graph: Graph) -> Graph:
    """A copy of the opset that QDQ needs, its constants where the quantizer looks for them."""
    try:
        source = raised(graph, OPSET)
    except UnsupportedModel as error:
        raise PassPrecondition(error.message) from None
    lift_constants(source)
    rename_like_its_own(source)
    level_biases(source)
    return source


def _same_outputs(old: Graph, new: Graph, services: Services) -> None:
    """Raise PassPrecondition if the converted graph computes something else."""
    feeds = next(iter(services.feeds()), None)
    name = first_difference(old, new, services.runner, feeds) if feeds is not None else ""
    if name:
        raise PassPrecondition(
            f"Quantizing needs opset {OPSET}; converted to it, the model computes something "
            f"else in {name!r}. Export it again with a newer opset."
        )


PASS = QuantizeStatic
