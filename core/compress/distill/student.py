"""The net in training: its weights, the grids that round them, and what is written back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from core.compress.distill import norms
from core.compress.distill.grids import ActivationGrid, WeightGrid, on_grid
from core.compress.distill.network import Graph, Network, stored
from core.compress.distill.operators import Array
from core.graph import constant
from core.graph.operators import WEIGHTED
from core.records import Note

WEIGHT = 1  # the input of a layer that holds its weight
EDGE_BITS = 8
SPARSE = 0.1  # a weight with so many zeros was pruned: its zeros stay


@dataclass(frozen=True, slots=True)
class Precision:
    """What the net will compute with.

    Attributes:
        weight_bits: of the layers' weights; 0 leaves them float.
        activation_bits: of the inputs of those layers; 0 leaves them float.
        edges: whether the first and the last layer are rounded to no less than 8 bits.
    """

    weight_bits: int = 0
    activation_bits: int = 0
    edges: bool = True


@dataclass
class Student:
    """A network, its grids, and why layers have none."""

    network: Network
    weight_grids: dict[str, WeightGrid] = field(default_factory=dict)
    activation_grids: list[ActivationGrid] = field(default_factory=list)
    skipped: dict[str, Note] = field(default_factory=dict)
    norms: tuple[str, ...] = ()

    def parameters(self) -> list[Any]:
        """Leaf tensors that an optimizer moves."""
        scales = [grid.log_scale for grid in self.weight_grids.values()]
        return [*self.network.weights.values(), *scales]

    def freeze_ranges(self, frozen: bool = True) -> None:
        """Stop, or let, activation ranges follow the values."""
        for grid in self.activation_grids:
            grid.frozen = frozen

    def state(self) -> dict[str, Any]:
        """Everything that training changes, copied."""
        return {
            "values": [tensor.detach().clone() for tensor in self.parameters()],
            "norms": {name: self.network.array(name) for name in self.norms},
            "ranges": [(grid.low, grid.high) for grid in self.activation_grids],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave."""
        for tensor, value in zip(self.parameters(), state["values"], strict=True):
            tensor.data.copy_(value)
        for name, array in state["norms"].items():
            self.network.set_constant(name, array)
        for grid, (low, high) in zip(self.activation_grids, state["ranges"], strict=True):
            grid.low, grid.high = low, high

    def write(self, graph: Graph) -> int:
        """Put weights, on their grids, into the initializers of `graph`; how many changed."""
        changed = 0
        for name, tensor in self.network.weights.items():
            grid = self.weight_grids.get(name)
            array = on_grid(grid, tensor) if grid else self.network.array(name)
            changed += _replace(graph, name, array)
        for name in self.norms:
            changed += _replace(graph, name, self.network.array(name))
        return changed


def enrol(graph: Graph, precision: Precision) -> Student:
    """A student with the weights of `graph`.

    Raises:
        UnsupportedModel: an operator that training can never know.
    """
    student = Student(Network(graph), norms=tuple(norms.names(graph)))
    _hold_zeros(student.network)
    layers = [node for node in graph.graph if output_axis(node) is not None]
    axes: dict[str, set[int]] = {}
    for node in layers:
        axes.setdefault(_weight(node), set()).add(output_axis(node) or 0)
    for place, node in enumerate(layers):
        name, edge = _weight(node), precision.edges and place in (0, len(layers) - 1)
        if precision.weight_bits:
            bits = max(precision.weight_bits, EDGE_BITS) if edge else precision.weight_bits
            _round_weight(student, node, name, axes[name], bits)
        if precision.activation_bits:
            grid = ActivationGrid(precision.activation_bits)
            student.activation_grids.append(grid)
            student.network.hooks[node.name or "", 0] = grid
    return student


def _hold_zeros(network: Network) -> None:
    """Give the zeros of sparse weights no gradient."""
    for weight in network.weights.values():
        kept = weight.detach() != 0
        if float(kept.float().mean()) < 1 - SPARSE:
            weight.register_hook(lambda gradient, kept=kept: gradient * kept)


def _round_weight(student: Student, node: ir.Node, name: str, axes: set[int], bits: int) -> None:
    if len(axes) > 1:
        student.skipped[node.name or ""] = Note.of("fine_tune.shared_weight")
        return
    if name not in student.weight_grids:
        weight = student.network.weights[name]
        student.weight_grids[name] = WeightGrid(weight, next(iter(axes)), bits)
    student.network.hooks[node.name or "", WEIGHT] = student.weight_grids[name]


def _weight(node: ir.Node) -> str:
    value = stored(node.inputs[WEIGHT])
    return value.name or "" if value is not None else ""


def output_axis(node: ir.Node) -> int | None:
    """The output channels of a layer's weight, if the weight is stored as the layer reads it."""
    if node.op_type not in WEIGHTED or len(node.inputs) < 2:
        return None
    value, source = node.inputs[WEIGHT], stored(node.inputs[WEIGHT])
    if value is None or source is None or (array := constant(source)) is None:
        return None
    producer = value.producer()
    if producer is not None and producer.op_type != "Identity":
        return None
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        transposed = node.attributes.get("transB")
        return 0 if transposed is not None and transposed.as_int() else 1
    return 1 if node.op_type == "ConvTranspose" else array.ndim - 1


def _replace(graph: Graph, name: str, array: Array) -> bool:
    value = graph.graph.initializers[name]
    before = constant(value)
    if before is not None and np.array_equal(before, array):
        return False
    value.const_value = ir.Tensor(np.ascontiguousarray(array), name=name)
    return True
