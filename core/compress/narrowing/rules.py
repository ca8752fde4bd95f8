"""Which nodes keep the wider floats: by operator, by the types it allows, by their values."""

from __future__ import annotations

import functools

import onnx
import onnx_ir as ir

from core.graph import constant
from core.graph.operators import QUANTIZERS, RANDOM
from core.records import Note

WIDE = frozenset(
    {"Range", "CumSum", "NonMaxSuppression", "RoiAlign", "TopK", "Det", "DFT", "EyeLike"}
    | {"ConstantOfShape", "CastLike"}
    | RANDOM
    | QUANTIZERS
)
# Sums and powers: they leave float16's range (6e-8 to 65504) long before their input does.
SUMS = frozenset(
    {"ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceProd", "Pow"}
    | {"ReduceLogSum", "ReduceLogSumExp", "LpNormalization", "LpPool", "GlobalLpPool", "Exp", "LRN"}
    | {"MeanVarianceNormalization"}
)
ELEMENTWISE = frozenset(
    {"Add", "Sub", "Mul", "Div", "Sqrt", "Reciprocal", "Clip", "Max", "Min", "Pow", "Log", "Exp"}
    | {"Neg", "Abs", "Where", "Sum", "Mean", "Expand", "Reshape", "Squeeze", "Unsqueeze"}
    | {"Identity", "Flatten", "Transpose"}
)
IN_RANGE_AGAIN = frozenset({"Div", "Mul", "Log"})
SCHEMA_NAMES = {
    ir.DataType.FLOAT16: "tensor(float16)",
    ir.DataType.FLOAT: "tensor(float)",
}


def gives_scores(node: ir.Node) -> bool:
    """Whether it is an Attention that gives out its scores, the masked ones as -3.4e38."""
    scores = node.outputs[3] if node.op_type == "Attention" and len(node.outputs) > 3 else None
    return scores is not None and (scores.is_graph_output() or bool(scores.uses()))


def of_its_values(node: ir.Node) -> Note | None:
    """Why what `node` reads and makes cannot be retyped; None if it can."""
    if any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
           for a in node.attributes.values()):  # fmt: skip
        return Note.of("narrow.body")
    values = [value for value in (*node.inputs, *node.outputs) if value is not None and value.name]
    if any(is_collection(value) for value in values):
        return Note.of("narrow.sequence")
    unknown = [value for value in values if value.dtype is None]
    return Note.of("narrow.untyped", value=unknown[0].name) if unknown else None


def is_collection(value: ir.Value | None) -> bool:
    """Whether it holds a sequence or an optional."""
    return value is not None and isinstance(value.type, ir.SequenceType | ir.OptionalType)


def is_square(node: ir.Node) -> bool:
    """Whether it multiplies a tensor by itself."""
    return node.op_type == "Mul" and node.inputs[0] is node.inputs[1]


@functools.cache
def types(operator: str, opset: int, side: str) -> tuple[frozenset[str], ...]:
    """The types that each input ("in") or output ("out") of an operator may have."""
    try:
        schema = onnx.defs.get_schema(operator, opset, "")
    except onnx.defs.SchemaError:
        return ()
    return tuple(frozenset(f.types) for f in (schema.inputs if side == "in" else schema.outputs))


def shape_arithmetic(graph: ir.Graph) -> set[ir.Node]:
    """Nodes that work on shapes and constants only, never on the data."""
    found: set[ir.Node] = set()
    for node in graph:
        known = [
            v.producer() in found or constant(v) is not None for v in node.inputs if v is not None
        ]
        if node.op_type in ("Shape", "Size") or all(known):
            found.add(node)
    return found
