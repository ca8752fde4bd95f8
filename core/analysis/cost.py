"""What each layer costs: parameters, multiply-accumulates for one sample, bytes.

MACs are counted where weights or activations are multiplied and summed: convolutions (output
elements times taps per output), transposed convolutions (input elements times taps), Gemm and
MatMul (also activation by activation) and recurrent layers. Normalisation, activation functions
and pooling count as zero, as is the custom of the field. Parameters are the elements of constant
tensors that enter the arithmetic: weights, biases, normalisation parameters, also behind
DequantizeLinear; not shapes, axes, scales and zero points. A weight that nodes unpack from other
constants (few-bit files do) counts by its elements once unpacked, and what unpacks it is no layer.
A tensor that several nodes share counts once, at the first.

A dynamic first dimension counts as one sample, in the shapes too; a fixed batch is divided out.
Where a spatial dimension is dynamic the MACs are unknown, None, and the kind says so. All branches
of an If are counted; the body of a Loop or Scan counts for one turn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from core.analysis.shapes import Facts, Shape, facts, subgraphs
from core.analysis.values import PASSES_ON, constant_tensor, sources
from core.records import LayerCost

_PLUMBING = frozenset(
    {"Constant", "Identity", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
)
_NOT_A_WEIGHT = {  # operator -> positions of the constant inputs that carry no learned parameter
    **dict.fromkeys(("Reshape", "Upsample", "Gather", "Expand", "Tile", "Pow", "CumSum"), (1,)),
    **dict.fromkeys(("Unsqueeze", "Squeeze", "Split", "TopK"), (1,)),
    **dict.fromkeys(("Clip", "Dropout", "OneHot", "QuantizeLinear", "DequantizeLinear"), (1, 2)),
    **dict.fromkeys(("Pad", "Resize"), (1, 2, 3)),
    **dict.fromkeys(("Shape", "ConstantOfShape"), (0,)),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), (1, 2, 4, 5, 6, 7)),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), (2, 3)),
    "Slice": (1, 2, 3, 4),
    "Range": (0, 1, 2),
    "NonMaxSuppression": (2, 3, 4),
}
_WEIGHT_AT = {"Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "QLinearConv": 3, "DeformConv": 1}
_PRODUCT_AT = {"MatMul": (0, 1), "Gemm": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3)}
LONGEST_CHAIN = 32  # nodes that unpack a weight; what is longer is no unpacking
_RECURRENT = {"LSTM": 4, "GRU": 3, "RNN": 1}
_NAMES = {
    "BatchNormalization": "batch norm",
    "InstanceNormalization": "instance norm",
    "LayerNormalization": "layer norm",
    "GroupNormalization": "group norm",
    "MaxPool": "max pool",
    "AveragePool": "average pool",
    "GlobalAveragePool": "global average pool",
    "GlobalMaxPool": "global max pool",
}


def layers(graph: ir.Model) -> tuple[LayerCost, ...]:
    """Every node that computes on activations, in the order of the file."""
    return tuple(by_node(graph, facts(graph, batch=1)).values())


def by_node(graph: ir.Model, known: Facts) -> dict[ir.Node, LayerCost]:
    """The same by node, those of subgraphs included.

    Args:
        graph: the model.
        known: its shapes, with a dynamic batch counted as one sample.
    """
    batch = _batch(graph)
    seen: set[ir.Value] = set()
    every = list(_nodes(graph.graph))
    packed = {value: found for node in every if (pair := _packed(node)) for value, found in [pair]}
    unpacking = {node for found in packed.values() for node in found.nodes}
    return {
        node: _layer(node, known, batch, seen, packed)
        for node in every
        if node not in unpacking and not _is_plumbing(node, known)
    }


def totals(graph: ir.Model, listed: Sequence[LayerCost] | None = None) -> tuple[int, int | None]:
    """(parameters, MACs) of one sample; `listed` are the layers if they were already counted.

    MACs are None where those of any layer are unknown.
    """
    listed = layers(graph) if listed is None else listed
    known = [c.macs for c in listed if c.macs is not None]
    return sum(c.parameters for c in listed), sum(known) if len(known) == len(listed) else None


def _nodes(graph: ir.Graph) -> Iterator[ir.Node]:
    for node in graph:
        yield node
        for inner in subgraphs(node):
            yield from _nodes(inner)


def _batch(graph: ir.Model) -> int:
    """The fixed batch that is divided out: the first dimension that all inputs agree on."""
    firsts = {v.shape[0] for v in graph.graph.inputs if v.shape is not None and len(v.shape) > 1}
    first = firsts.pop() if len(firsts) == 1 else 1
    return first if isinstance(first, int) and first > 0 else 1


def _is_plumbing(node: ir.Node, known: Facts) -> bool:
    """Whether a node moves constants or shapes about instead of computing on activations."""
    out = node.outputs[0] if node.outputs else None
    if node.op_type in _PLUMBING or out is None or out in known.known:
        return True
    if any(True for _ in subgraphs(node)):
        return False
    return node.op_type == "Shape" or (node.op_type in PASSES_ON and sources(out) is not None)


@dataclass(frozen=True)
class Unpacked:
    """A weight that is computed from constants alone: by which nodes, from which constants."""

    nodes: tuple[ir.Node, ...]
    constants: tuple[ir.Value, ...]


def _packed(node: ir.Node) -> tuple[ir.Value, Unpacked] | None:
    """The weight of a layer that other nodes unpack, and how; None where it is a plain one."""
    at = _WEIGHT_AT.get(node.op_type, _PRODUCT_AT.get(node.op_type, (0, 0))[1])
    value = node.inputs[at] if 0 < at < len(node.inputs) else None
    if value is None or sources(value) is not None:
        return None
    nodes: dict[ir.Node, None] = {}
    constants: dict[ir.Value, None] = {}
    waiting = [value]
    while waiting:
        one = waiting.pop()
        maker = one.producer()
        if constant_tensor(one) is not None:
            constants[one] = None
        elif maker is None or maker.op_type.startswith("Random") or len(nodes) > LONGEST_CHAIN:
            return None
        elif maker not in nodes:
            nodes[maker] = None
            waiting += [v for v in maker.inputs if v is not None]
    return (value, Unpacked(tuple(nodes), tuple(constants))) if constants else None


def _layer(
    node: ir.Node,
    known: Facts,
    batch: int,
    seen: set[ir.Value],
    packed: Mapping[ir.Value, Unpacked],
) -> LayerCost:
    parameters = size_bytes = 0
    for value in node.inputs:
        if value is None or value not in packed or value in seen:
            continue
        tensors = {v: t for v in packed[value].constants if (t := constant_tensor(v)) is not None}
        stored = max(tensors, key=lambda v: tensors[v].nbytes)
        if stored not in seen:  # else another layer unpacks the same numbers for itself
            parameters += _product(known.shape(value), ()) or 0
        size_bytes += sum(t.nbytes for v, t in tensors.items() if v not in seen)
        seen.update(tensors, [value])
    for source in weights(node):
        if source not in seen:
            seen.add(source)
            tensor = constant_tensor(source)
            if tensor is not None and tensor.dtype != ir.DataType.STRING:
                parameters += tensor.size
                size_bytes += tensor.nbytes
    macs = _macs(node, known)
    shape = known.shape(node.outputs[0]) or ()
    return LayerCost(
        name=node.name or node.outputs[0].name or "",
        kind=kind(node, known) + (", size unknown" if macs is None else ""),
        op_type=node.op_type,
        output_shape=tuple("?" if isinstance(d, str) and d.startswith("?") else d for d in shape),
        parameters=parameters,
        macs=macs // batch if macs and _scales(node, known, batch) else macs,
        size_bytes=size_bytes,
    )


def weights(node: ir.Node) -> list[ir.Value]:
    """The constants that a node computes with, each once; not shapes, axes and scales."""
    skipped = _NOT_A_WEIGHT.get(node.op_type, ())
    found: list[ir.Value] = []
    for i, value in enumerate(node.inputs):
        source = sources(value) if i not in skipped else None
        if source is not None and source not in found:
            found.append(source)
    return found


def _scales(node: ir.Node, known: Facts, batch: int) -> bool:
    first = known.shape(node.inputs[0] if node.inputs else None) or (1,)
    return batch > 1 and isinstance(first[0], int) and first[0] % batch == 0


def kind(node: ir.Node, known: Facts) -> str:
    """What a person calls the layer."""
    if node.op_type in _WEIGHT_AT:
        return _convolution(node, known)
    if node.op_type in _PRODUCT_AT:
        return "fully connected" if weights(node) or _packed(node) else "matrix product"
    return _NAMES.get(node.op_type, node.op_type)


def _convolution(node: ir.Node, known: Facts) -> str:
    shape = known.shape(node.inputs[_WEIGHT_AT[node.op_type]]) or ()
    size = "x".join(str(d) for d in shape[2:])
    group = node.attributes.get_int("group", 1)
    channels = (known.shape(node.inputs[0]) or (0, 0))[1]
    name = "transposed conv" if node.op_type == "ConvTranspose" else "conv"
    if group > 1:
        name = ("depthwise" if group == channels else "grouped") + (
            "" if name == "conv" else f" {name}"
        )
        name = "grouped conv" if name == "grouped" else name
    elif name == "conv" and size and set(size) <= {"1", "x"}:
        name = "pointwise"
    return f"{name} {size}".strip()


def _macs(node: ir.Node, known: Facts) -> int | None:
    """Multiply-accumulates at the sizes known; None where a size is not."""
    out = known.shape(node.outputs[0])
    if node.op_type in _WEIGHT_AT:
        weight = known.shape(node.inputs[_WEIGHT_AT[node.op_type]])
        spread = known.shape(node.inputs[0]) if node.op_type == "ConvTranspose" else out
        return _product(spread, weight[1:] if weight else None)
    if node.op_type in _PRODUCT_AT:
        left = known.shape(node.inputs[_PRODUCT_AT[node.op_type][0]])
        inner = left[0 if node.attributes.get_int("transA", 0) else -1] if left else None
        return _product(out, (inner,) if inner is not None else None)
    if node.op_type in _RECURRENT:
        x, w, r = (known.shape(v) for v in node.inputs[:3])
        cells = _product(w, ()), _product(r, ())
        steps = _product(x[:2], ()) if x else None
        return steps * sum(cells) if steps is not None and None not in cells else None  # type: ignore[arg-type]
    return 0


def _product(*shapes: Shape | None) -> int | None:
    total = 1
    for shape in shapes:
        if shape is None or any(isinstance(d, str) for d in shape):
            return None
        total *= math.prod(d for d in shape if isinstance(d, int))
    return total
