"""Linear layers: Conv, Gemm, MatMul and ConvTranspose as rows times a matrix, plus a bias.

`find` recognises the layers whose weights are constants; `Layer.matrix` gives the weights as
(groups, outputs, inputs), whatever the layout in the file, and `Layer.write` puts them back. A bias
is made where there is none. What is not recognised, such as a Gemm that scales or a MatMul of two
activations, is not a layer: nobody refits it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from core.analysis.edits import add_initializer, names, set_constant, set_input
from core.analysis.values import constant_tensor, node_name
from core.compress.linalg.im2col_sampling import Index, Sites, patches_at, pick, taps_at
from core.graph.operators import STANDARD
from core.graph.windows import window

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Layer:
    """One linear layer of a graph.

    Attributes:
        node: the Conv, Gemm or MatMul (or, in `transposed`, the ConvTranspose).
        groups: of a Conv, else 1.
    """

    node: ir.Node
    groups: int = 1

    @property
    def name(self) -> str:
        """The node's name, as reports call it."""
        return node_name(self.node)

    @property
    def input(self) -> str:
        """Name of the tensor it reads."""
        return _named(self.node.inputs[0])

    @property
    def output(self) -> str:
        """Name of the tensor it makes, its bias included."""
        add = self._add
        return _named(add.outputs[0] if add is not None else self.node.outputs[0])

    @property
    def ends(self) -> list[ir.Node]:
        """The node, and behind a MatMul the Add of its bias."""
        add = self._add
        return [self.node] if add is None else [self.node, add]

    @property
    def channel_axis(self) -> int:
        """Where the channels of the output are."""
        return 1 if self.node.op_type == "Conv" else -1

    @property
    def weight(self) -> Array:
        """The weights as they lie in the file."""
        return _array(self.node.inputs[1])

    @property
    def taps(self) -> int:
        """Columns of the matrix for each input channel."""
        return int(np.prod(self.weight.shape[2:])) if self.node.op_type == "Conv" else 1

    def matrix(self) -> Array:
        """Weights as float64 (groups, outputs, inputs)."""
        weight = self.weight.astype(np.float64)
        if self.node.op_type == "Conv":
            return weight.reshape(self.groups, weight.shape[0] // self.groups, -1)
        return (weight if self._turned else weight.T)[None]

    def bias(self) -> Array:
        """The bias as float64 (outputs,); zeros where there is none."""
        holder = self._bias_at
        weight = self.weight
        conv = self.node.op_type == "Conv"
        outputs = weight.shape[0 if conv or self._turned else 1]
        if holder is None:
            return np.zeros(outputs)
        value = holder[0].inputs[holder[1]]
        return np.broadcast_to(_array(value).reshape(-1).astype(np.float64), (outputs,)).copy()

    def write(self, matrix: Array, bias: Array) -> None:
        """Put weights and bias into the graph, for this layer alone."""
        weight = self.weight
        conv, kind = self.node.op_type == "Conv", weight.dtype
        turned = matrix.reshape(weight.shape) if conv else matrix[0]
        laid = turned if conv or self._turned else turned.T
        _put(self.node, 1, laid.astype(kind))
        self._write_bias(bias.reshape(-1).astype(kind))

    def sites(self, shape: Sequence[int], per_image: int, turn: int) -> Sites:
        """Places of the output for an input of this shape; the same in every run for `turn`."""
        seed = zlib.crc32(self.output.encode()) + turn
        if self.node.op_type != "Conv":
            return pick(shape, -1, per_image, seed)
        spatial = window(self.node, self.weight.shape[2:], shape[2:]).out(shape[2:])
        return pick((shape[0], 1, *spatial), 1, per_image, seed)

    def rows(self, tensor: Array, sites: Sites) -> Array:
        """The input at these places of the output, (rows, groups * inputs)."""
        if self.node.op_type == "Conv":
            over = window(self.node, self.weight.shape[2:], tensor.shape[2:])
            return patches_at(tensor, sites, over)
        return tensor.reshape(len(tensor), -1, tensor.shape[-1])[sites.images, sites.places]

    def seen(self, tensor: Array, sites: Sites) -> Array:
        """The same as `rows`, faster: the columns as they lie in memory, which `order` tells."""
        if not self._by_taps:
            return self.rows(tensor, sites)
        over = window(self.node, self.weight.shape[2:], tensor.shape[2:])
        return taps_at(tensor, sites, over).reshape(len(sites), -1)

    @property
    def order(self) -> Index:
        """The column of the matrix that each column of `seen` belongs to, within a group."""
        taps, inputs = self.taps, self.matrix().shape[2]
        if not self._by_taps:
            return np.arange(inputs)
        return np.arange(inputs).reshape(-1, taps).T.reshape(-1)

    @property
    def _by_taps(self) -> bool:
        return self.node.op_type == "Conv" and self.groups == 1

    @property
    def _turned(self) -> bool:
        return self.node.op_type == "Gemm" and bool(self.node.attributes.get_int("transB", 0))

    @property
    def _add(self) -> ir.Node | None:
        """The Add of a constant vector that is a MatMul's bias."""
        if self.node.op_type != "MatMul" or self.node.outputs[0].is_graph_output():
            return None
        uses = list(self.node.outputs[0].uses())
        if len(uses) != 1 or uses[0].node.op_type != "Add":
            return None
        other = uses[0].node.inputs[1 - uses[0].idx]
        tensor = constant_tensor(other) if other is not None else None
        outputs = self.weight.shape[1]
        shape = list(tensor.shape.numpy()) if tensor is not None else []
        fits = bool(shape) and shape[-1] == outputs and all(d == 1 for d in shape[:-1])
        return uses[0].node if fits and len(shape) <= 2 else None

    @property
    def _bias_at(self) -> tuple[ir.Node, int] | None:
        add = self._add
        if add is not None:
            return add, 1 if add.inputs[0] is self.node.outputs[0] else 0
        inputs = self.node.inputs
        given = self.node.op_type != "MatMul" and len(inputs) > 2 and inputs[2] is not None
        return (self.node, 2) if given else None

    def _write_bias(self, bias: Array) -> None:
        holder = self._bias_at
        if holder is not None:
            _put(*holder, bias)
        elif self.node.op_type != "MatMul":
            set_input(self.node, 2, bias)
        elif bias.any():
            _append_add(self.node, bias)


def find(graph: ir.Model) -> list[Layer]:
    """Every linear layer of the main graph, in its order."""
    return [layer for node in graph.graph if (layer := _recognise(node)) is not None]


def _recognise(node: ir.Node) -> Layer | None:
    if node.domain not in STANDARD:
        return None
    if node.op_type == "ConvTranspose":
        from core.compress.refit import transposed_convolution  # which builds on this module

        return transposed_convolution.recognise(node)
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return None
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    tensor = constant_tensor(weight) if weight is not None else None
    if tensor is None or not tensor.dtype.is_floating_point() or node.inputs[0] is None:
        return None
    if constant_tensor(node.inputs[0]) is not None:
        return None
    if node.op_type == "Conv":
        return Layer(node, node.attributes.get_int("group", 1)) if _has_bias_const(node) else None
    if len(tensor.shape) != 2 or (node.op_type == "Gemm" and not _plain(node)):
        return None
    return Layer(node)


def _plain(node: ir.Node) -> bool:
    scales = node.attributes.get_float("alpha", 1.0), node.attributes.get_float("beta", 1.0)
    return scales == (1.0, 1.0) and not node.attributes.get_int("transA", 0) and _row(node)


def _row(node: ir.Node) -> bool:
    """Whether the bias of a Gemm is one row, the same for every sample, or absent."""
    if not _has_bias_const(node):
        return False
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return True
    shape = _array(node.inputs[2]).shape
    return len(shape) < 2 or shape[0] == 1


def _has_bias_const(node: ir.Node) -> bool:
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    return bias is None or constant_tensor(bias) is not None


def _put(node: ir.Node, position: int, array: Array) -> None:
    """Replace a constant: in its place if nothing else reads it, which is far quicker."""
    value = node.inputs[position]
    if value is None or len(value.uses()) > 1 or value.is_graph_input() or value.is_graph_output():
        set_input(node, position, array)
    else:
        set_constant(value, array)


def _append_add(node: ir.Node, bias: Array) -> None:
    """Give a MatMul a bias; the sum takes over the name that the rest of the graph knows."""
    graph, out = node.graph, node.outputs[0]
    if not isinstance(graph, ir.Graph):
        raise ValueError(f"{node.name} is in no graph")
    taken = names(graph)
    stem = f"{out.name}_plain"
    plain = next(n for i in range(len(taken) + 1) if (n := f"{stem}_{i}") not in taken)
    value = add_initializer(graph, f"{out.name}_bias", bias)
    total = ir.Value(name=out.name, shape=out.shape, type=out.type)
    users, position = list(out.uses()), _output_index(graph, out)
    out.name = plain
    add = ir.Node("", "Add", [out, value], name=f"{stem}_add", outputs=[total])
    graph.insert_after(node, add)
    for use in users:
        use.node.replace_input_with(use.idx, total)
    if position is not None:
        graph.outputs[position] = total


def _output_index(graph: ir.Graph, value: ir.Value) -> int | None:
    return next((i for i, v in enumerate(graph.outputs) if v is value), None)


def _array(value: ir.Value | None) -> Array:
    tensor = constant_tensor(value) if value is not None else None
    if tensor is None:
        raise ValueError("not a constant")
    return np.asarray(tensor.numpy())


def _named(value: ir.Value | None) -> str:
    if value is None or not value.name:
        raise ValueError("a tensor without a name")
    return value.name
