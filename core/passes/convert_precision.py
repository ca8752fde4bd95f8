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

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import onnx
import onnx_ir as ir

from core.analysis.edits import names
from core.calibration.services import Services
from core.errors import PassPrecondition
from core.graph import all_graphs, constant, infer_shapes
from core.graph.operators import QUANTIZERS, RANDOM, STANDARD
from core.graph.values import origin
from core.passes.base import Graph, Pass, Report, parameter

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
TYPES = {"fp16": ir.DataType.FLOAT16, "fp32": ir.DataType.FLOAT}
SCHEMA_NAMES = {
    ir.DataType.FLOAT16: "tensor(float16)",
    ir.DataType.FLOAT: "tensor(float)",
}


@dataclass(frozen=True)
class ConvertPrecision(Pass):
    """Halve the bytes of every number that stands it."""

    label: ClassVar[str] = "Convert precision"
    help: ClassVar[str] = (
        "Stores weights in half the bytes. On CPUs this saves size, not time: they compute in "
        "float32 all the same, and pay for the conversion."
    )
    order: ClassVar[int] = 60
    for_size: ClassVar[bool] = True
    family: ClassVar[str] = "Precision"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fp16": {"precision": "fp16"},
        "fp32": {"precision": "fp32"},
    }

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
        changed = _Conversion(graph, ir.DataType.DOUBLE, ir.DataType.FLOAT, report).run()
        if self.precision == "fp16":
            changed += _Conversion(graph, ir.DataType.FLOAT, ir.DataType.FLOAT16, report).run()
        report.changed = changed
        if not changed:
            report.note(f"Nothing to convert to {TYPES[self.precision].name.lower()}.")
            return
        report.note(f"{changed} nodes now work in a smaller type.")
        if self.precision == "fp16":
            report.note("On CPUs float16 saves size, not time.")


def _gives_scores(node: ir.Node) -> bool:
    """Whether it is an Attention that gives out its scores, the masked ones as -3.4e38."""
    scores = node.outputs[3] if node.op_type == "Attention" and len(node.outputs) > 3 else None
    return scores is not None and (scores.is_graph_output() or bool(scores.uses()))


@dataclass
class _Conversion:
    graph: Graph
    old: ir.DataType
    new: ir.DataType
    report: Report
    narrow: dict[ir.Node, None] = field(default_factory=dict)
    casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    fragile: dict[ir.Node, None] = field(default_factory=dict)  # wide for what their results hold

    def run(self) -> int:
        """Convert all nodes that can be; how many."""
        main = self.graph.graph
        infer_shapes(self.graph)
        if not any(self._is_old(v) for n in main for v in (*n.inputs, *n.outputs)):
            return 0
        self.taken = names(main) | {node.name or "" for node in main.all_nodes()}
        shapes = _shape_arithmetic(main)
        for node in main:
            if self._can(node, shapes):
                self.narrow[node] = None
        self._keep_together()
        outputs = {
            v for n in self.narrow for i, v in enumerate(n.outputs) if self._takes(n, i, "out")
        }
        for node in self.narrow:
            self._retype(node)
        for value in outputs:
            value.type = ir.TensorType(self.new)
        for value in outputs:
            self._widen_uses(value)
        for node in self.narrow:
            self._narrow_inputs(node)
        return len(self.narrow)

    def _keep_together(self) -> None:
        """Keep what is computed from a fragile result wide until it is in range again."""
        for node in [n for n in self.fragile if n.op_type.startswith("Reduce")]:
            squared = node.inputs[0].producer() if node.inputs[0] is not None else None
            if squared in self.narrow and _is_square(squared):
                self._widen(squared, f"{node.name} sums its squares")
        open_ends = dict(self.fragile)
        for node in self.graph.graph:
            source = next(
                (v.producer() for v in node.inputs if v is not None and v.producer() in open_ends),
                None,
            )
            if source is None or node not in self.narrow or node.op_type not in ELEMENTWISE:
                continue
            self._widen(node, f"it works on the result of {source.name}")
            if node.op_type not in IN_RANGE_AGAIN:
                open_ends[node] = None

    def _widen(self, node: ir.Node, reason: str) -> None:
        del self.narrow[node]
        self.report.skip(node.name, f"stays {self.old.name.lower()}: {reason}")

    def _is_old(self, value: ir.Value | None) -> bool:
        return value is not None and not _is_collection(value) and value.dtype == self.old

    def _can(self, node: ir.Node, shapes: set[ir.Node]) -> bool:
        """Whether `node` may work in the new type; a reason that a user can act on is reported."""
        if node.op_type == "Constant" or node in shapes or self._is_boundary(node):
            return False
        positions = [i for i, value in enumerate(node.inputs) if self._is_old(value)]
        if not positions and not any(self._is_old(value) for value in node.outputs):
            return False
        reason = self._obstacle(node, positions)
        if reason:
            self.report.skip(node.name, f"stays {self.old.name.lower()}: {reason}")
        return not reason

    def _is_boundary(self, node: ir.Node) -> bool:
        """Whether `node` casts between the two types, as this pass itself leaves behind."""
        if node.op_type != "Cast" or node.domain not in STANDARD or node.inputs[0] is None:
            return False
        return {node.inputs[0].dtype, node.outputs[0].dtype} == {self.old, self.new}

    def _obstacle(self, node: ir.Node, positions: list[int]) -> str:
        """Why `node` keeps the old type; empty if it need not."""
        reason = self._of_its_kind(node, positions) or _of_its_values(node)
        if reason:
            return reason
        takes = [i for i in positions if self._takes(node, i, "in")]
        gives = any(self._takes(node, i, "out") for i in range(len(node.outputs)))
        if not takes and not gives:
            return f"{node.op_type} is not defined for {self.new.name.lower()}"
        for position in takes:
            if reason := self._beyond(node.inputs[position]):
                self.fragile[node] = None
                return reason
        return ""

    def _of_its_kind(self, node: ir.Node, positions: list[int]) -> str:
        """Why no operator of this kind takes the new type."""
        if node.domain not in STANDARD:
            return f"operator {node.domain}.{node.op_type} is not known here"
        if node.op_type == "BitCast":
            return "BitCast takes its bits for another type's"
        if _gives_scores(node):
            return "one of its outputs holds masked scores, beyond float16's range"
        if self.new == ir.DataType.FLOAT16:
            if node.op_type in WIDE:
                return f"{node.op_type} loses too much in float16"
            if node.op_type in SUMS:
                self.fragile[node] = None
                return f"{node.op_type} leaves the range of float16"
        if node.op_type in WIDE and not positions and "dtype" not in node.attributes:
            return f"{node.op_type} makes it so"
        return ""

    def _takes(self, node: ir.Node, position: int, side: str) -> bool:
        """Whether that input or output of `node` is of the old type and may be of the new one."""
        value = (node.inputs if side == "in" else node.outputs)[position]
        if not self._is_old(value):
            return False
        allowed = _types(node.op_type, self.graph.opset_imports.get(node.domain, 1), side)
        return bool(allowed) and SCHEMA_NAMES[self.new] in allowed[min(position, len(allowed) - 1)]

    def _beyond(self, value: ir.Value | None) -> str:
        """Why a constant does not survive in the new type; empty if it does."""
        array = constant(origin(value))
        if array is None or value is None:
            return ""
        with np.errstate(over="ignore"):
            result = array.astype(self.new.numpy())
        if (np.isfinite(array) & ~np.isfinite(result)).any():
            largest = np.abs(array[np.isfinite(array)]).max()
            return f"{value.name!r} holds {largest:.4g}, beyond its range"
        if array.size == 1 and array.any() and not result.any():
            return f"{value.name!r} is {array.item():.4g}, which would become 0"
        return ""

    def _retype(self, node: ir.Node) -> None:
        to = node.attributes.get("to")
        if node.op_type == "Cast" and to is not None and to.as_int() == self.old:
            node.attributes["to"] = ir.AttrInt64("to", int(self.new))
        kind = node.attributes.get("dtype")
        if kind is not None and kind.as_int() == self.old:
            node.attributes["dtype"] = ir.AttrInt64("dtype", int(self.new))

    def _widen_uses(self, value: ir.Value) -> None:
        """Give those who need `value` as it was a Cast back, the model's outputs among them."""
        if value.is_graph_output():
            self._restore_output(value)
        for user, position in tuple(value.uses()):
            restored = (value, self.old) in self.casts and user is self.casts[
                value, self.old
            ].producer()
            if restored or (user in self.narrow and self._was_taken(user, position)):
                continue
            user.replace_input_with(position, self._cast(value, self.old))

    def _was_taken(self, node: ir.Node, position: int) -> bool:
        value = node.inputs[position]
        if value is None:
            return False
        kind, value.type = value.type, ir.TensorType(self.old)
        taken = self._takes(node, position, "in")
        value.type = kind
        return taken

    def _restore_output(self, value: ir.Value) -> None:
        name, inner = value.name or "", value.graph
        value.name = self._free_name(f"{name}_{self.new.name.lower()}")
        restored = self._cast(value, self.old)
        for i, output in enumerate(self.graph.graph.outputs if inner is not None else ()):
            if output is value:
                self.graph.graph.outputs[i] = restored
        restored.name = name

    def _narrow_inputs(self, node: ir.Node) -> None:
        for position, value in enumerate(node.inputs):
            if value is None or not self._takes(node, position, "in"):
                continue
            source = origin(value)
            array = constant(source)
            producer = value.producer()
            if producer is not None and producer not in self.narrow and self._is_boundary(producer):
                node.replace_input_with(position, producer.inputs[0])
                _drop(self.graph.graph, value)
            elif source is None or array is None or source.is_graph_input():
                node.replace_input_with(position, self._cast(value, self.new))
            else:
                node.replace_input_with(position, self._narrow_constant(source, array))
                _drop(self.graph.graph, value)

    def _narrow_constant(self, value: ir.Value, array: np.ndarray) -> ir.Value:
        key = (value, self.new)
        if key not in self.casts:
            name = self._free_name(f"{value.name}_{self.new.name.lower()}")
            tensor = ir.tensor(array.astype(self.new.numpy()), name=name)
            kind, shape = ir.TensorType(self.new), ir.Shape(array.shape)
            small = ir.Value(name=name, type=kind, shape=shape, const_value=tensor)
            self.graph.graph.register_initializer(small)
            self.casts[key] = small
        return self.casts[key]

    def _free_name(self, stem: str) -> str:
        name, count = stem, 0
        while name in self.taken:
            count += 1
            name = f"{stem}_{count}"
        self.taken.add(name)
        return name

    def _cast(self, value: ir.Value, to: ir.DataType) -> ir.Value:
        if (value, to) not in self.casts:
            main = self.graph.graph
            name = self._free_name(f"{value.name}_to_{to.name.lower()}")
            out = ir.Value(name=name, type=ir.TensorType(to), shape=value.shape)
            cast = ir.Node(
                "", "Cast", [value], [ir.AttrInt64("to", int(to))], name=name, outputs=[out]
            )
            producer = value.producer()
            if producer is None:
                main.insert_before(main[0], cast)
            else:
                main.insert_after(producer, cast)
            self.casts[value, to] = out
        return self.casts[value, to]


def _of_its_values(node: ir.Node) -> str:
    """Why what `node` reads and makes cannot be retyped; empty if it can."""
    if any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
           for a in node.attributes.values()):  # fmt: skip
        return "it holds a body"
    values = [value for value in (*node.inputs, *node.outputs) if value is not None and value.name]
    if any(_is_collection(value) for value in values):
        return "it works on a sequence"
    unknown = [value for value in values if value.dtype is None]
    return f"the type of {unknown[0].name!r} is not known" if unknown else ""


def _is_collection(value: ir.Value | None) -> bool:
    return value is not None and isinstance(value.type, ir.SequenceType | ir.OptionalType)


def _is_square(node: ir.Node) -> bool:
    return node.op_type == "Mul" and node.inputs[0] is node.inputs[1]


@functools.cache
def _types(operator: str, opset: int, side: str) -> tuple[frozenset[str], ...]:
    """The types that each input ("in") or output ("out") of an operator may have."""
    try:
        schema = onnx.defs.get_schema(operator, opset, "")
    except onnx.defs.SchemaError:
        return ()
    return tuple(frozenset(f.types) for f in (schema.inputs if side == "in" else schema.outputs))


def _shape_arithmetic(graph: ir.Graph) -> set[ir.Node]:
    """Nodes that work on shapes and constants only, never on the data."""
    found: set[ir.Node] = set()
    for node in graph:
        known = [
            v.producer() in found or constant(v) is not None for v in node.inputs if v is not None
        ]
        if node.op_type in ("Shape", "Size") or all(known):
            found.add(node)
    return found


def _drop(graph: ir.Graph, value: ir.Value) -> None:
    """Remove a constant that nothing uses any more."""
    if value.uses() or value.is_graph_output():
        return
    producer = value.producer()
    if producer is not None:
        feeds = [v for v in producer.inputs if v is not None]
        graph.remove(producer, safe=True)
        for feed in feeds:
            _drop(graph, feed)
    elif value.is_initializer():
        graph.initializers.pop(value.name or "", None)


PASS = ConvertPrecision
