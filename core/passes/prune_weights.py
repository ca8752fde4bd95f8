"""Set the smallest weights to zero, one by one or in the 2:4 pattern.

The tensors keep their shape, so parameters and MACs stay as they are counted; what changes is that
zeros compress. 2:4 keeps the two largest of every four consecutive weights along the input axis,
the pattern that NVIDIA's sparse tensor cores read.

Source: Han et al. 2015, arXiv:1506.02626, section 3.2 (magnitude); Mishra et al. 2021,
arXiv:2104.08378, section 3 (2:4).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from core.analysis.edits import set_constant
from core.analysis.values import constant_tensor, node_name, sources
from core.calibration.services import Services
from core.graph.operators import STANDARD, WEIGHTED
from core.passes.base import Gentler, Graph, Pass, Report, parameter
from core.records import Note

Array = np.ndarray[Any, Any]

_INPUT_AXIS = {"Conv": 1, "ConvTranspose": 0}
STEP = 0.05  # of the ratio


@dataclass(frozen=True)
class Weight:
    """A weight tensor: the node that uses it first, its constant, the axis it is summed over."""

    node: ir.Node
    value: ir.Value
    array: Array
    input_axis: int


@dataclass(frozen=True)
class PruneWeights(Pass):
    """Zero the smallest weights of convolutions and matrix products."""

    label: ClassVar[str] = "Prune weights"
    help: ClassVar[str] = (
        "Sets the smallest weights to zero. No CPU backend here runs that faster and the file "
        "keeps its size; only its zipped size shrinks."
    )
    gives: ClassVar[str] = "sets the smallest weights to zero, or 2:4"
    limits: ClassVar[str] = "no CPU runtime here runs it faster; the zipped file shrinks"
    order: ClassVar[int] = 40

    pattern: str = parameter(
        "unstructured",
        "Pattern",
        "unstructured: any weight may go. 2:4: two of every four along the input axis, which is "
        "always half.",
        choices=("unstructured", "2:4"),
    )
    ratio: float = parameter(
        0.5, "Ratio", "Share of the weights to zero; 2:4 ignores it.", low=0.0, high=0.95, step=STEP
    )
    allocation: str = parameter(
        "layer",
        "Allocation",
        "layer: the same share in every layer. global: the smallest weights of the network, so "
        "that some layers lose more than others.",
        choices=("layer", "global"),
        expert=True,
    )
    exclude: tuple[str, ...] = parameter(
        (), "Leave alone", "Names of layers whose weights must not change.", expert=True
    )

    def gentler(self) -> Iterator[Gentler]:
        """Smaller shares, by steps of the slider."""
        share = 0.5 if self.pattern == "2:4" else self.ratio
        for count in range(math.ceil(round(share / STEP, 6)) - 1, 0, -1):
            yield Gentler(replace(self, pattern="unstructured", ratio=round(STEP * count, 2)))

    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Mask each weight tensor and say how many zeros there are."""
        weights = self._weights(graph, report)
        if self.pattern == "2:4":
            found = {w.value: _two_of_four(w, report) for w in weights}
            keeps = {value: keep for value, keep in found.items() if keep is not None}
        else:
            keeps = self._smallest_out(weights)
        zeros = total = 0
        for weight in weights:
            keep = keeps.get(weight.value)
            if keep is not None and (weight.array[~keep] != 0).any():
                set_constant(weight.value, np.where(keep, weight.array, weight.array.dtype.type(0)))
                report.changed += 1
            array = weight.array if keep is None else weight.array * keep
            zeros, total = zeros + int((array == 0).sum()), total + array.size
        if not total:
            report.note(Note.of("sparse.nothing"))
            return
        report.note(Note.of("sparse.zeros", zeros=zeros, weights=total, share=zeros / total))
        report.note(Note.of("sparse.no_faster"))

    def _weights(self, graph: Graph, report: Report) -> list[Weight]:
        found: dict[ir.Value, Weight] = {}
        for node in graph.graph.all_nodes():
            if node.op_type not in WEIGHTED or node.domain not in STANDARD:
                continue
            value = sources(node.inputs[1])
            tensor = constant_tensor(value) if value is not None else None
            if value is None or tensor is None:
                report.skip(node_name(node), Note.of("sparse.computed_weight"))
            elif not tensor.dtype.is_floating_point():
                report.skip(node_name(node), Note.of("sparse.quantized_weight"))
            elif node_name(node) in self.exclude:
                report.skip(node_name(node), Note.of("as_asked"))
            elif tensor.size and len(tensor.shape) > 1:
                array = tensor.numpy()
                axis = _input_axis(node, array.ndim, direct=node.inputs[1] is value)
                found.setdefault(value, Weight(node, value, array, axis))
        spared = {w for node in graph.graph.all_nodes() if node_name(node) in self.exclude
                  for v in node.inputs if (w := sources(v)) is not None}  # fmt: skip
        return [w for w in found.values() if w.value not in spared]

    def _smallest_out(self, weights: list[Weight]) -> dict[ir.Value, Array]:
        if self.allocation == "layer" or not weights:
            return {w.value: _largest(np.abs(w.array), self.ratio) for w in weights}
        sizes = [w.array.size for w in weights]
        every = np.concatenate([np.abs(w.array).astype(np.float64).ravel() for w in weights])
        parts = np.split(_largest(every, self.ratio), np.cumsum(sizes)[:-1])
        return {w.value: p.reshape(w.array.shape) for w, p in zip(weights, parts, strict=True)}


def _input_axis(node: ir.Node, rank: int, direct: bool) -> int:
    """The axis that is summed over; -1 where the constant is transposed on its way to the node."""
    if not direct:
        return -1
    if node.op_type == "Gemm":
        return 1 if node.attributes.get_int("transB", 0) else 0
    return _INPUT_AXIS.get(node.op_type, rank - 2)


def _largest(magnitude: Array, ratio: float) -> Array:
    """Mask that drops exactly the share `ratio`, the smallest first."""
    count = int(magnitude.size * ratio)
    keep = np.ones(magnitude.size, bool)
    if count:
        keep[np.argpartition(magnitude.ravel(), count - 1)[:count]] = False
    return keep.reshape(magnitude.shape)


def _two_of_four(weight: Weight, report: Report) -> Array | None:
    """Mask that keeps the two largest of every four along the input axis."""
    axis, width = weight.input_axis, weight.array.shape[weight.input_axis]
    if axis < 0:
        report.skip(node_name(weight.node), Note.of("sparse.reshaped_weight"))
        return None
    if width % 4:
        report.skip(node_name(weight.node), Note.of("sparse.odd_inputs", inputs=width))
        return None
    rows = np.moveaxis(np.abs(weight.array), axis, -1)
    fours = rows.reshape(*rows.shape[:-1], width // 4, 4)
    keep = np.argsort(np.argsort(fours, axis=-1, kind="stable"), axis=-1) >= 2
    return np.moveaxis(keep.reshape(rows.shape), -1, axis)


PASS = PruneWeights
