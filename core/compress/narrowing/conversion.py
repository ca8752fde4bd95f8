"""Conversion of floats to the next smaller type, between Casts where nodes keep theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from core.analysis.edits import names
from core.compress.narrowing.rules import (
    ELEMENTWISE,
    IN_RANGE_AGAIN,
    SCHEMA_NAMES,
    SUMS,
    WIDE,
    gives_scores,
    is_collection,
    is_square,
    of_its_values,
    shape_arithmetic,
    types,
)
from core.graph import Graph, constant, infer_shapes
from core.graph.operators import STANDARD
from core.graph.values import origin
from core.records import Note


@dataclass
class Conversion:
    """One type of floats that becomes the next smaller one, wherever it can.

    Attributes:
        graph: is changed in place.
        old: type of the floats.
        new: what they become.
        skip: hears the name of each node that keeps the old type, and the reason.
    """

    graph: Graph
    old: ir.DataType
    new: ir.DataType
    skip: Callable[[str | None, Note], None]
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
        shapes = shape_arithmetic(main)
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
            if squared in self.narrow and is_square(squared):
                self._widen(squared, Note.of("narrow.summed", by=node.name))
        open_ends = dict(self.fragile)
        for node in self.graph.graph:
            source = next(
                (v.producer() for v in node.inputs if v is not None and v.producer() in open_ends),
                None,
            )
            if source is None or node not in self.narrow or node.op_type not in ELEMENTWISE:
                continue
            self._widen(node, Note.of("narrow.works_on", source=source.name))
            if node.op_type not in IN_RANGE_AGAIN:
                open_ends[node] = None

    def _widen(self, node: ir.Node, reason: Note) -> None:
        del self.narrow[node]
        self._stays(node, reason)

    def _stays(self, node: ir.Node, reason: Note) -> None:
        self.skip(node.name, Note.of("narrow.stays", type=self.old.name.lower(), why=reason))

    def _is_old(self, value: ir.Value | None) -> bool:
        return value is not None and not is_collection(value) and value.dtype == self.old

    def _can(self, node: ir.Node, shapes: set[ir.Node]) -> bool:
        """Whether `node` may work in the new type; a reason that a user can act on is reported."""
        if node.op_type == "Constant" or node in shapes or self._is_boundary(node):
            return False
        positions = [i for i, value in enumerate(node.inputs) if self._is_old(value)]
        if not positions and not any(self._is_old(value) for value in node.outputs):
            return False
        reason = self._obstacle(node, positions)
        if reason:
            self._stays(node, reason)
        return not reason

    def _is_boundary(self, node: ir.Node) -> bool:
        """Whether `node` casts between the two types, as this pass itself leaves behind."""
        if node.op_type != "Cast" or node.domain not in STANDARD or node.inputs[0] is None:
            return False
        return {node.inputs[0].dtype, node.outputs[0].dtype} == {self.old, self.new}

    def _obstacle(self, node: ir.Node, positions: list[int]) -> Note | None:
        """Why `node` keeps the old type; None if it need not."""
        reason = self._of_its_kind(node, positions) or of_its_values(node)
        if reason:
            return reason
        takes = [i for i in positions if self._takes(node, i, "in")]
        gives = any(self._takes(node, i, "out") for i in range(len(node.outputs)))
        if not takes and not gives:
            return Note.of("narrow.undefined", operator=node.op_type, type=self.new.name.lower())
        for position in takes:
            if reason := self._beyond(node.inputs[position]):
                self.fragile[node] = None
                return reason
        return None

    def _of_its_kind(self, node: ir.Node, positions: list[int]) -> Note | None:
        """Why no operator of this kind takes the new type."""
        if node.domain not in STANDARD:
            return Note.of("narrow.foreign", operator=f"{node.domain}.{node.op_type}")
        if node.op_type == "BitCast":
            return Note.of("narrow.bits")
        if gives_scores(node):
            return Note.of("narrow.masked_scores")
        if self.new == ir.DataType.FLOAT16:
            if node.op_type in WIDE:
                return Note.of("narrow.loses", operator=node.op_type)
            if node.op_type in SUMS:
                self.fragile[node] = None
                return Note.of("narrow.leaves_range", operator=node.op_type)
        if node.op_type in WIDE and not positions and "dtype" not in node.attributes:
            return Note.of("narrow.makes", operator=node.op_type)
        return None

    def _takes(self, node: ir.Node, position: int, side: str) -> bool:
        """Whether that input or output of `node` is of the old type and may be of the new one."""
        value = (node.inputs if side == "in" else node.outputs)[position]
        if not self._is_old(value):
            return False
        allowed = types(node.op_type, self.graph.opset_imports.get(node.domain, 1), side)
        return bool(allowed) and SCHEMA_NAMES[self.new] in allowed[min(position, len(allowed) - 1)]

    def _beyond(self, value: ir.Value | None) -> Note | None:
        """Why a constant does not survive in the new type; None if it does."""
        array = constant(origin(value))
        if array is None or value is None:
            return None
        with np.errstate(over="ignore"):
            result = array.astype(self.new.numpy())
        if (np.isfinite(array) & ~np.isfinite(result)).any():
            largest = np.abs(array[np.isfinite(array)]).max()
            return Note.of("narrow.beyond", value=value.name, largest=largest)
        if array.size == 1 and array.any() and not result.any():
            return Note.of("narrow.vanishes", value=value.name, number=array.item())
        return None

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
