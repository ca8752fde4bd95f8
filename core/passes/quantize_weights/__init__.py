"""Store weights in 8, 4 or 3 bits; everything is still computed in float.

w ~ scale * q with one scale per output channel. Each layer's outputs are kept, not its weights:
scales by the error weighted with the inputs' power, rounding by GPTQ, then the mean shift that is
left goes into the bias, layer after layer. Without images the weights are rounded to nearest. The
first and the last layer keep 8 bits: they are most sensitive and, the first at least, small.

The file shrinks; time does not. See `core.quantization.packing` for the two ways to store codes.

Source: Frantar et al. 2022, arXiv:2210.17323; Nagel et al. 2019, arXiv:1906.04721, section 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from core import graph as graphs
from core.errors import PassPrecondition
from core.passes.base import Graph, Pass, Report, Statistics, adopt, parameter
from core.quantization import correction, lockstep, rounding
from core.quantization.grids import Weight
from core.quantization.judge import Images, Judge, headless
from core.quantization.packing import LIMITS, OPSETS
from core.quantization.prepare import prepared
from core.quantization.regions import is_weighted, weights_only
from core.quantization.writer import Plan, written
from core.reconstruction.layers import Layer

QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
CORRECTION_IMAGES = 32
SMALLEST = 256  # elements; below that scales and nodes weigh more than what is saved


@dataclass(frozen=True)
class QuantizeWeights(Pass):
    """Weights of 8, 4 or 3 bits for a small file."""

    label: ClassVar[str] = "Quantize weights only"
    help: ClassVar[str] = (
        "Stores weights in few bits: a file of a quarter to a seventh. Computes in float, so no "
        "time is gained. Runs on ONNX Runtime; other backends may not know 4-bit tensors."
    )
    order: ClassVar[int] = 75
    family: ClassVar[str] = "Precision"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "int4 weights": {"bits": "4"},
        "int8 weights": {"bits": "8"},
        "int3 weights": {"bits": "3"},
    }

    bits: str = parameter(
        "4", "Bits", "Per weight; first and last layer keep 8.", choices=("8", "4", "3")
    )
    store: str = parameter(
        "packed",
        "Stored",
        "packed: unpacked while the model loads, then as fast as before. dequantize: standard "
        "types that other tools read (8 and 4 bits), unpacked anew for each run.",
        choices=("packed", "dequantize"),
        expert=True,
    )
    rounding: str = parameter(
        "gptq",
        "Rounding",
        "gptq keeps each layer's outputs and needs calibration images; nearest needs none.",
        choices=("gptq", "nearest"),
        expert=True,
    )
    correct_bias: bool = parameter(
        True, "Correct biases", "Adds back what rounding shifts on average.", expert=True
    )
    edges: bool = parameter(
        True, "Edges at 8 bits", "First and last layer keep 8 bits.", expert=True
    )
    exclude: tuple[str, ...] = parameter(
        (), "Leave alone", "Names of layers that stay float.", expert=True
    )

    def requires(self, graph: Graph) -> None:
        """Refuse what is quantized already or holds no float32 weights."""
        if self.bits == "3" and self.store == "dequantize":
            raise PassPrecondition("ONNX has no 3-bit type; store 3 bits packed, or take 4.")
        nodes = [node for inner in graphs.all_graphs(graph) for node in inner]
        if any(node.op_type in QUANTIZED for node in nodes):
            raise PassPrecondition("The model is already quantized. Start from the float model.")
        if not any(is_weighted(node) for node in graph.graph):
            raise PassPrecondition(
                "The model has no convolution or fully connected layer with float32 weights."
            )

    def apply(self, graph: Graph, report: Report, statistics: Statistics) -> None:
        """Round, correct, write."""
        source = prepared(graph, OPSETS[self.store])
        judged = headless(source)
        layers = self._layers(judged, report)
        if not layers:
            report.note("No layer is left to quantize.")
            return
        images = Images(statistics) if statistics.count else None
        plan = Plan(weights_only(list(layers)), {}, self._nearest(layers))
        if images is None:
            report.note("Without calibration images: weights rounded to nearest, nothing repaired.")
        else:
            plan = self._repaired(judged, plan, layers, images, report)
        adopt(graph, written(source, plan))
        report.changed = len(layers)
        few = sum(weight.bits < 8 for weight in plan.weights.values())
        kind = "packed integers" if self.store == "packed" else "a type of 4 bits"
        if self.bits == "8":
            report.note(f"{len(layers)} layers hold int8 weights and compute in float.")
        else:
            report.note(
                f"{few} layers hold {self.bits}-bit weights ({kind}), {len(layers) - few} hold "
                "8-bit ones; all compute in float."
            )

    def _nearest(self, layers: Mapping[str, Layer]) -> dict[str, Weight]:
        bits = self._bits(list(layers))
        return {name: self._quantized(layer, bits[name]) for name, layer in layers.items()}

    def _bits(self, names: list[str]) -> dict[str, int]:
        edges = (names[0], names[-1]) if self.edges else ()
        return {name: 8 if name in edges else int(self.bits) for name in names}

    def _quantized(
        self, layer: Layer, bits: int, second: NDArray[np.float64] | None = None
    ) -> Weight:
        weight = rounding.quantized(layer, LIMITS[bits], True, second, None, bits)
        return replace(weight, packed=self.store == "packed")

    def _repaired(
        self,
        judged: Graph,
        plan: Plan,
        layers: Mapping[str, Layer],
        images: Images,
        report: Report,
    ) -> Plan:
        """The best of the plans that the parameters allow, by the error on held-out images."""
        judge, names = Judge(judged, images), list(layers)
        bits = self._bits(names)
        trials = {"to nearest": plan}
        if self.correct_bias:
            trials["with biases corrected"] = correction.corrected(
                judged, plan, layers, images, CORRECTION_IMAGES
            )
        if self.rounding == "gptq":
            found = lockstep.rounded(
                judged, names, images, lambda n, layer, s: self._quantized(layer, bits[n], s)
            )
            trials["by GPTQ, layer after layer"] = replace(plan, weights=found)
        errors = {how: judge.error(written(judged, trial)) for how, trial in trials.items()}
        listed = ", ".join(f"{error:.2g} {how}" for how, error in errors.items())
        report.note(f"Relative logit error on {judge.images} held-out images: {listed}.")
        return trials[min(errors, key=lambda how: errors[how])]

    def _layers(self, graph: Graph, report: Report) -> dict[str, Layer]:
        """Node name -> layer, for those that are worth it."""
        found = {}
        for node in graph.graph:
            name = node.name or ""
            if not is_weighted(node):
                continue
            groups = node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1
            layer = Layer(node, groups)
            if name in self.exclude:
                report.skip(name, "left alone as asked")
            elif layer.weight.size < SMALLEST:
                report.skip(name, f"stays float: {layer.weight.size} weights are not worth it")
            else:
                found[name] = layer
        return found


PASS = QuantizeWeights
