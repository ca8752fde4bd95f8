"""What a rewrite is: a function over a graph that leaves what it computes as it was.

A module of `core.passes.adapt` is one rewrite and ends in `REWRITE = ...`; its name is the
identifier. Most replace one node by several (`each`): these are given a `Draft` to write on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from core.analysis.edits import add_initializer, names
from core.catalogue import discover
from core.graph import Graph
from core.graph.operators import STANDARD

FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE})
AXES_ARE_INPUTS = 18  # the opset from which ReduceMean takes its axes as an input
AXES_ARE_GIVEN = 13  # and from which Squeeze and Unsqueeze do


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One kind of rewrite.

    Attributes:
        label: what a person calls it.
        apply: rewrites a graph whose shapes are inferred, in place; how many nodes.
        place: among the others.
    """

    label: str
    apply: Callable[[Graph], int]
    place: int = 50


@functools.cache
def rewrites() -> Mapping[str, Rewrite]:
    """Every rewrite by its identifier, in the order in which they run."""
    found: dict[str, Rewrite] = discover("core.passes.adapt", "REWRITE")
    return dict(sorted(found.items(), key=lambda item: (item[1].place, item[0])))


@dataclass
class Draft:
    """The nodes that stand for another one, while they are written.

    Attributes:
        root: the main graph, which keeps the constants.
        node: that is replaced.
        opset: of the standard operators.
    """

    root: ir.Graph
    node: ir.Node
    opset: int
    nodes: list[ir.Node] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set)

    @property
    def _type(self) -> ir.TypeProtocol | None:
        """Of the output; of the first input where that of a foreign operator is not known."""
        first = self.node.inputs[0] if self.node.inputs else None
        return self.node.outputs[0].type or (first.type if first is not None else None)

    def add(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """A node more; its output."""
        made = ir.node(op_type, list(inputs), attributes)
        stem = self.node.name or self.node.outputs[0].name or self.node.op_type
        made.name = made.outputs[0].name = self.free(f"{stem}_{op_type.lower()}")
        made.outputs[0].type = self._type
        self.nodes.append(made)
        return made.outputs[0]

    def constant(self, values: Any) -> ir.Value:
        """An initializer more."""
        return add_initializer(self.root, f"{self.node.outputs[0].name}_value", np.asarray(values))

    def number(self, value: float) -> ir.Value:
        """A scalar of the type that the node computes in."""
        dtype = ir.DataType.FLOAT if self._type is None else self._type.dtype
        return self.constant(np.asarray(value, dtype.numpy()))

    def integers(self, values: Any) -> ir.Value:
        """A vector of int64."""
        return self.constant(np.asarray(values, np.int64).reshape(-1))

    def bounded(self, x: ir.Value, low: float, high: float) -> ir.Value:
        """A Clip in the words of this opset."""
        if self.opset < 11:
            return self.add("Clip", x, min=low, max=high)
        return self.add("Clip", x, self.number(low), self.number(high))

    def mean(self, x: ir.Value, axes: tuple[int, ...]) -> ir.Value:
        """The mean over axes that are kept with size 1."""
        if self.opset < AXES_ARE_INPUTS:
            return self.add("ReduceMean", x, axes=list(axes), keepdims=1)
        return self.add("ReduceMean", x, self.integers(axes), keepdims=1)

    def part(self, x: ir.Value, axis: int, start: int, end: int, step: int = 1) -> ir.Value:
        """A Slice of one axis."""
        if self.opset < 10:
            return self.add("Slice", x, axes=[axis], starts=[start], ends=[end])
        bounds = [self.integers([number]) for number in (start, end, axis)]
        last = [self.integers([step])] if step != 1 else []
        return self.add("Slice", x, *bounds, *last)

    def wider(self, x: ir.Value, axis: int) -> ir.Value:
        """An axis of size 1 more."""
        if self.opset < AXES_ARE_GIVEN:
            return self.add("Unsqueeze", x, axes=[axis])
        return self.add("Unsqueeze", x, self.integers([axis]))

    def narrower(self, x: ir.Value, axis: int) -> ir.Value:
        """An axis of size 1 less."""
        if self.opset < AXES_ARE_GIVEN:
            return self.add("Squeeze", x, axes=[axis])
        return self.add("Squeeze", x, self.integers([axis]))

    def put(self, graph: ir.Graph, values: Sequence[ir.Value]) -> None:
        """Put the nodes in the place of the old one, whose outputs keep their names.

        Args:
            graph: that holds the old node.
            values: for each of its outputs; none for those behind, which nobody reads.
        """
        graph.insert_before(self.node, self.nodes)
        for old, new in zip(self.node.outputs, values, strict=False):
            new.type, new.shape, name = old.type or new.type, old.shape or new.shape, old.name
            old.replace_all_uses_with(new, replace_graph_outputs=True)
            old.name = None
            new.name = name
        graph.remove(self.node, safe=True)

    def free(self, stem: str) -> str:
        """A name that nothing has."""
        if not self._taken:
            self._taken = names(self.root) | {node.name or "" for node in self.root.all_nodes()}
        name, count = stem, 0
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name


Made = Callable[[ir.Node, Draft], list[ir.Value] | ir.Value | None]


def each(operators: frozenset[str], made: Made, domain: str = "") -> Callable[[Graph], int]:
    """A rewrite of single nodes.

    Args:
        operators: that are rewritten.
        made: writes what stands for a node and gives its outputs, or None to leave it alone.
        domain: of the operators.
    """
    domains = (domain,) if domain else STANDARD

    def apply(graph: Graph) -> int:
        opset, count = graph.graph.opset_imports.get("", 1), 0
        for inner in list(graph.graphs()):
            for node in list(inner):
                if node.op_type not in operators or node.domain not in domains:
                    continue
                draft = Draft(graph.graph, node, opset)
                values = made(node, draft)
                if values is not None:
                    draft.put(inner, values if isinstance(values, list) else [values])
                    count += 1
        return count

    return apply


def sizes(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape of a value where all of it is known."""
    shape = value.shape if value is not None else None
    if shape is None:
        return None
    known = tuple(size for size in shape if isinstance(size, int))
    return known if len(known) == len(shape) else None


def size(value: ir.Value | None, axis: int) -> int | None:
    """The size of one axis of a value, where it is known."""
    shape = value.shape if value is not None else None
    if shape is None or not -len(shape) <= axis < len(shape):
        return None
    found = shape[axis]
    return found if isinstance(found, int) else None


def rank(value: ir.Value | None) -> int | None:
    """How many axes a value has, where it is known."""
    return len(value.shape) if value is not None and value.shape is not None else None


def is_float(value: ir.Value | None) -> bool:
    """Whether a value holds floats that every arithmetic operator takes."""
    return value is not None and value.dtype in FLOATS


def number(node: ir.Node, name: str, default: float) -> float:
    """An attribute that is a number; 0 is one as well, and no lack of it."""
    found = node.attributes.get_float(name, None)
    return default if found is None else found
