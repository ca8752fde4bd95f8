"""What stands between integer layers without computing: shapes, and bounds behind a Concat.

- A Reshape whose target is computed from the shape of what it reads (channel shuffles, heads of
  attention: [Shape(x)[0], 3, 20, 28, 28]) gets it as a constant, [0, 3, 20, 28, 28]: else the
  tensor is dequantized just to be asked for its shape.
- ReLU or Clip behind a Concat moves before it, into the layers that feed it, where the grid takes
  it over: relu(concat(a, b)) = concat(relu(a), relu(b)). Only where every part is computed for the
  Concat alone or cannot be negative: anything else would gain a node.

Both are exact.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from core import graph as graphs
from core.analysis.edits import set_input, sweep
from core.analysis.values import Dim, Known, evaluate
from core.graph.operators import BOUNDING, STANDARD

DEPTH = 24
TAKES_BOUNDS = frozenset({"Conv", "Gemm", "Add", "Mul"})
KEEPS_SIGN = frozenset(
    {"MaxPool", "AveragePool", "GlobalAveragePool", "Reshape", "Transpose", "Concat", "Flatten"}
    | {"Squeeze", "Unsqueeze", "Slice"}
)


def settle_reshapes(graph: ir.Model) -> None:
    """Constant targets for Reshapes that only pass dimensions on."""
    for node in graph.graph:
        if node.op_type != "Reshape" or node.domain not in STANDARD or len(node.inputs) < 2:
            continue
        if graphs.constant(node.inputs[1]) is not None or (
            node.attributes.get_int("allowzero", 0) != 0
        ):
            continue
        target = _target(node)
        if target is not None:
            set_input(node, 1, np.array(target, np.int64))


def _target(node: ir.Node) -> list[int] | None:
    """The target with a 0 for each dimension that is the one of the data at its place."""
    data, shape = node.inputs[0], _half_known(node.inputs[1])
    if data is None or data.shape is None or shape is None or shape.ndim != 1:
        return None
    own, target = _dims(data), list[int]()
    for place, size in enumerate(shape.tolist()):
        passed = place < len(own) and size == own[place]
        if isinstance(size, str) and not passed:
            return None
        target.append(0 if isinstance(size, str) else int(size))
    return None if 0 in shape.tolist() else target


def _half_known(value: ir.Value | None, depth: int = DEPTH) -> Known | None:
    """The numbers behind a value, dimensions that are not known under their names."""
    array = graphs.constant(value)
    if array is not None or value is None or depth == 0:
        return array
    node = value.producer()
    if node is None or node.domain not in STANDARD or not node.inputs or node.inputs[0] is None:
        return None
    if node.op_type == "Shape":
        ranked = node.inputs[0].shape is not None
        return evaluate(node, [None], _dims(node.inputs[0])) if ranked else None
    return evaluate(node, [_half_known(v, depth - 1) for v in node.inputs], None)


def _dims(value: ir.Value) -> list[Dim]:
    """Sizes, or names: inference gives equal ones the same name; without one it is the value's."""
    return [
        d if isinstance(d, int) else (d.value if d.value is not None else f"{value.name}:{axis}")
        for axis, d in enumerate(value.shape or ())
    ]


def hoist_bounds(graph: ir.Model) -> None:
    """ReLU and Clip behind a Concat to the front of it, as said above."""
    for node in list(graph.graph):
        if node.op_type == "Concat" and node.domain in STANDARD:
            bound = _only_bound(node)
            if bound is not None and all(_takes(value, bound) for value in node.inputs):
                _hoist(graph.graph, node, bound)


def _only_bound(concat: ir.Node) -> ir.Node | None:
    """The ReLU or Clip with constant bounds that alone reads a Concat."""
    output = concat.outputs[0]
    users = [use.node for use in output.uses()]
    if len(users) != 1 or output.is_graph_output() or users[0].op_type not in BOUNDING:
        return None
    bounds = users[0].inputs[1:]
    constant = all(v is None or graphs.constant(v) is not None for v in bounds)
    return users[0] if constant else None


def _takes(value: ir.Value | None, bound: ir.Node) -> bool:
    if value is None or (bound.op_type == "Relu" and not_negative(value)):
        return value is not None
    maker = value.producer()
    alone = len(list(value.uses())) == 1 and not value.is_graph_output()
    return maker is not None and alone and maker.op_type in TAKES_BOUNDS


def not_negative(value: ir.Value | None, depth: int = DEPTH) -> bool:
    """Whether a tensor comes from a ReLU, through what changes no sign."""
    node = value.producer() if value is not None else None
    if node is None or node.domain not in STANDARD or depth == 0:
        return False
    if node.op_type == "Relu":
        return True
    if node.op_type not in KEEPS_SIGN:
        return False
    parts = node.inputs if node.op_type == "Concat" else node.inputs[:1]
    return all(not_negative(part, depth - 1) for part in parts)


def _hoist(main: ir.Graph, concat: ir.Node, bound: ir.Node) -> None:
    after, before = bound.outputs[0], concat.outputs[0]
    for place, value in enumerate(concat.inputs):
        if value is None or (bound.op_type == "Relu" and not_negative(value)):
            continue
        part = ir.Value(name=f"{after.name}_{place}", shape=value.shape, type=value.type)
        node = ir.Node(
            bound.domain, bound.op_type, [value, *bound.inputs[1:]],
            [*bound.attributes.values()], name=f"{bound.name}_{place}", outputs=[part],
        )  # fmt: skip
        main.insert_before(concat, node)
        concat.replace_input_with(place, part)
    name, spare = after.name, [*_constants(bound)]
    after.replace_all_uses_with(before, replace_graph_outputs=True)
    main.remove(bound, safe=True)
    before.name = name
    for value in spare:
        sweep(main, value)


def _constants(node: ir.Node) -> Iterator[ir.Value]:
    yield from (v for v in node.inputs[1:] if v is not None)
