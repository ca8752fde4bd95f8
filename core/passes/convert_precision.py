"""Store and pass on numbers with fewer bits: float64 -> float32, float32 -> float16.

Each node whose definition allows the smaller type takes it; the others keep theirs between Casts.
Inputs and outputs of the model keep their types. What stays wide on purpose: arithmetic on shapes
(float16 counts exactly to 2048 only), constants beyond the smaller type's range, operators that sum
or select over long axes, bodies of control flow, sequences, and operators of other domains. What is
computed from such a sum, power or constant by elementwise operators stays wide too, up to the
product, quotient or logarithm that brings it back into range: x / sqrt(mean(x^2) + 1e-12) is one
piece, for neither the mean nor the 1e-12 survives a float16 in between. CPU runtimes compute
float16 files in float32 and would hide it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import onnx_ir as ir

from core.calibration.services import Services
from core.compress.narrowing.conversion import Conversion
from core.errors import PassPrecondition
from core.graph import all_graphs
from core.passes.base import SIZE, Graph, Pass, Report, Tries, parameter
from core.records import Note

TYPES = {"fp16": ir.DataType.FLOAT16, "fp32": ir.DataType.FLOAT}


@dataclass(frozen=True)
class ConvertPrecision(Pass):
    """Halve the bytes of every number that stands it."""

    label: ClassVar[str] = "Convert precision"
    help: ClassVar[str] = (
        "Stores weights in half the bytes. On CPUs this saves size, not time: they compute in "
        "float32 all the same, and pay for the conversion."
    )
    gives: ClassVar[str] = "fp32 to fp16, fp64 to fp32"
    limits: ClassVar[str] = "on CPUs it saves size, not time"
    order: ClassVar[int] = 60
    for_size: ClassVar[bool] = True
    family: ClassVar[str] = "Precision"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fp16": {"precision": "fp16"},
        "fp32": {"precision": "fp32"},
    }
    presets_say: ClassVar[Mapping[str, str]] = {
        "fp16": "Half of the file; on CPUs no faster, since they compute in fp32 all the same.",
        "fp32": "Stores 64-bit floats in 32 bits.",
    }
    pays: ClassVar[Mapping[str, Tries]] = {SIZE: ({"precision": "fp16"},)}

    precision: str = parameter(
        "fp16",
        "Precision",
        "fp16: float32 and float64 become float16. fp32: only float64 becomes float32.",
        choices=("fp16", "fp32"),
    )

    def requires(self, graph: Graph) -> None:
        """Refuse a model whose numbers are integers already."""
        if any(node.op_type == "DequantizeLinear" for g in all_graphs(graph) for node in g):
            raise PassPrecondition(
                "The model is already quantized to integers; its scales must stay float32."
            )

    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Convert, widest type first."""
        changed = Conversion(graph, ir.DataType.DOUBLE, ir.DataType.FLOAT, report.skip).run()
        if self.precision == "fp16":
            changed += Conversion(graph, ir.DataType.FLOAT, ir.DataType.FLOAT16, report.skip).run()
        report.changed = changed
        if not changed:
            report.note(Note.of("narrow.nothing", type=TYPES[self.precision].name.lower()))
            return
        report.note(Note.of("narrow.converted", nodes=changed))
        if self.precision == "fp16":
            report.note(Note.of("narrow.size_alone"))


PASS = ConvertPrecision
