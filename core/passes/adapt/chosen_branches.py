"""If -> both branches, and a Where that chooses: the same numbers, for the time of both.

Only branches that compute nothing but their outputs are taken, of the same known shape in both, and
none that may fail on the values of the other case: both are computed every time then.
"""

from __future__ import annotations

import onnx_ir as ir

from core.graph import Graph, constant, infer_shapes
from core.graph.operators import RANDOM, is_standard
from core.passes.adapt.base import Draft, Rewrite, is_float, rank, sizes

SHAPE_DEPENDENT = frozenset({"Loop", "Scan", "NonZero", "Compress", "Unique", "NonMaxSuppression"})
FAILING = frozenset({"ConstantOfShape", "Range", "SequenceAt", "SequenceErase", "SequenceInsert"})
# These fail where what follows their first input does not fit it: it must be constant.
GUIDED = frozenset(
    {"Gather", "GatherElements", "GatherND", "Scatter", "ScatterElements", "ScatterND", "Slice"}
    | {"Reshape", "Expand", "Squeeze", "Unsqueeze", "Pad", "Tile", "Split", "TopK", "OneHot"}
    | {"Resize", "Upsample", "SplitToSequence", "CenterCropPad", "TensorScatter"}
)
DIVIDING = frozenset({"Div", "Mod"})


def apply(graph: Graph) -> int:
    """Take branches apart until no If is left that can be; how many were."""
    count = 0
    while (found := next((n for n in graph.graph if _can(n)), None)) is not None:
        _inline(graph, found)
        infer_shapes(graph)
        count += 1
    return count


def _can(node: ir.Node) -> bool:
    if not is_standard(node, frozenset({"If"})):
        return False
    branches = _branches(node)
    inside = [inner for branch in branches for inner in branch.all_nodes()]
    if len(branches) != 2 or any(
        inner.op_type in RANDOM | SHAPE_DEPENDENT or _may_fail(inner) for inner in inside
    ):
        return False
    for first, second in zip(branches[0].outputs, branches[1].outputs, strict=True):
        if first.dtype != second.dtype or not isinstance(first.type, ir.TensorType):
            return False
        if sizes(first) is None or sizes(first) != sizes(second):
            return False
        if rank(first) == 0 and rank(node.inputs[0]) != 0:
            return False  # Where would give the output the axis of the condition
    return True


def _may_fail(node: ir.Node) -> bool:
    """Whether values that the branch was not meant for may stop the whole model."""
    if node.op_type in GUIDED:
        guides = [value for value in node.inputs[1:] if value is not None]
        return sizes(node.inputs[0]) is None or any(constant(value) is None for value in guides)
    if node.op_type in DIVIDING and not is_float(node.outputs[0]):
        divisor = constant(node.inputs[1])
        return divisor is None or not divisor.all()
    return node.op_type in FAILING


def _branches(node: ir.Node) -> list[ir.Graph]:
    kept = (node.attributes.get("then_branch"), node.attributes.get("else_branch"))
    return [held.as_graph() for held in kept if held is not None]


def _inline(graph: Graph, node: ir.Node) -> None:
    """Move the nodes of both branches before the If, under names of their own."""
    main = graph.graph
    draft = Draft(main, node, main.opset_imports.get("", 1))
    sides: list[list[ir.Value]] = []
    for branch in _branches(node):
        for value in list(branch.initializers.values()):
            tensor = value.const_value
            if tensor is not None:
                value.replace_all_uses_with(
                    draft.constant(tensor.numpy()), replace_graph_outputs=True
                )
        given = list(branch.outputs)
        branch.outputs.clear()
        moved = list(branch)
        branch.remove(moved)
        for inner in moved:
            inner.name = draft.free(inner.name or inner.op_type)
            for value in inner.outputs:
                value.name = draft.free(value.name or f"{inner.name}_output")
        draft.nodes += moved
        sides.append(given)
    condition = node.inputs[0]
    chosen = [draft.add("Where", condition, a, b) for a, b in zip(*sides, strict=True)]
    for value, (first, _) in zip(chosen, zip(*sides, strict=True), strict=True):
        value.type, value.shape = first.type, first.shape
    draft.put(main, chosen)


REWRITE = Rewrite("If as Where", apply, 4)
