"""Convolutions whose bias OpenVINO loses where the batch size is a number that the graph uses.

OpenVINO's importer asks each convolution that has a bias for its rank, by a ShapeOf. Where the
batch is dynamic and something needs its size as a number (an Expand of a class token, a Resize to
a computed size), its symbolic shapes let the first ShapeOf on the way answer for all, so the first
convolution's sum has two readers. Then the bias is not fused into the convolution but into the
quantizer behind it, and that adds the first channel's bias to every channel if shapes are dynamic
(seen with 2026.4; the error of the logits is of the order of the logits). A ReLU between the two
does not help, as the quantizer takes it over; anything else does.

So such a convolution stays float with no quantizer behind it, where nothing reads its output in
integers: the patch embedding of vision transformers, stems that end in SiLU or HardSwish.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from core import graph as graphs
from core.compress.quantization.partition import is_weighted, select
from core.graph.operators import BOUNDING, STANDARD

ARITHMETIC = frozenset(
    {"Gather", "Unsqueeze", "Squeeze", "Slice", "Concat", "Cast", "Add", "Sub", "Mul", "Div"}
    | {"Equal", "Where", "Identity", "ReduceProd", "Mod", "Min", "Max", "Split", "Neg", "Floor"}
)


def misread(graph: ir.Model) -> frozenset[str]:
    """Names of the convolutions that are to stay float for this.

    Args:
        graph: a prepared graph.
    """
    if not _sizes_are_used(graph):
        return frozenset()
    found = set[str]()
    for node in _first_with_bias(graph):
        trial = select(graph, frozenset(found | {node.name or ""}))
        if trial.weighted and not any(user.name in trial.nodes for user in _readers(node)):
            found.add(node.name or "")
    return frozenset(found)


def _sizes_are_used(graph: ir.Model) -> bool:
    """Whether a dynamic size reaches an operator other than a Reshape, as a number."""
    waiting = [
        node.outputs[0]
        for node in graph.graph
        if node.op_type == "Shape" and node.domain in STANDARD and _dynamic(node.inputs[0])
    ]
    seen = set[ir.Value]()
    while waiting:
        value = waiting.pop()
        for node, place in ((use.node, use.idx) for use in value.uses()):
            moved = node.op_type in ARITHMETIC or (node.op_type == "Reshape" and place == 0)
            if not moved and not (node.op_type == "Reshape" and place == 1):
                return True
            for output in node.outputs if moved else ():
                if output not in seen:
                    seen.add(output)
                    waiting.append(output)
    return False


def _dynamic(value: ir.Value | None) -> bool:
    shape = value.shape if value is not None else None
    return shape is None or not all(isinstance(d, int) for d in shape)


def _first_with_bias(graph: ir.Model) -> Iterator[ir.Node]:
    """Convolutions with a bias that no other one stands before."""
    behind = set[ir.Value]()
    for node in graph.graph:
        known = any(v in behind for v in node.inputs if v is not None)
        bias = node.op_type == "Conv" and len(node.inputs) > 2 and node.inputs[2] is not None
        if bias and not known and is_weighted(node) and graphs.constant(node.inputs[2]) is not None:
            yield node
        if bias or known:
            behind.update(node.outputs)


def _readers(node: ir.Node) -> Iterator[ir.Node]:
    """Who reads the output, also through ReLU and Clip."""
    for use in node.outputs[0].uses():
        if use.node.op_type in BOUNDING:
            yield from _readers(use.node)
        yield use.node
