"""The topology of a model, and which of its nodes are one layer to a person.

A layer is a node that has weights, pools, joins or splits, with all that only follows it: batch
norms, activation functions, biases, changes of layout, quantizers. A node that follows reads from
one layer alone, and where shapes are computed from several it goes to the last of them; so layers
never read from each other in a circle. What is known before the model runs belongs to its first
reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx_ir as ir

from core.analysis import cost
from core.analysis.shapes import Facts, Shape, facts, subgraphs
from core.analysis.values import node_name
from core.graph.operators import BOUNDING, INTEGER_LAYERS, QUANTIZERS, RANDOM, STANDARD
from core.records import LayerCost
from core.records.topology import INPUT, OUTPUT, GraphNode, Topology

MOST_NODES = 20_000
UNKNOWN = -1
FOLLOWS = (
    BOUNDING
    | QUANTIZERS
    | {"Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "LeakyRelu", "Elu", "Selu", "PRelu", "Gelu"}
    | {"Erf", "Softplus", "Mish", "Swish", "Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Exp", "Neg"}
    | {
        "BatchNormalization",
        "Cast",
        "Identity",
        "Dropout",
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Transpose",
    }
)
WORDS = {
    ir.DataType.FLOAT: "f32",
    ir.DataType.FLOAT16: "f16",
    ir.DataType.BFLOAT16: "bf16",
    ir.DataType.DOUBLE: "f64",
    ir.DataType.UINT8: "int8",
    ir.DataType.INT4: "int4",
    ir.DataType.UINT4: "int4",
    ir.DataType.UINT16: "int16",
}
WEIGHT_AT = {"Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}


def topology(graph: ir.Model) -> Topology:
    """The inputs of a model, its nodes in the order of running, and its outputs.

    What lies in the bodies of an If, Loop or Scan is part of that node.
    """
    if len(graph.graph) > MOST_NODES:
        return Topology((), len(graph.graph))
    return _Reading(graph).topology()


class _Reading:
    """One walk over a graph: positions, then layers, then the records."""

    def __init__(self, graph: ir.Model) -> None:
        self.graph = graph.graph
        self.known = facts(graph, batch=1)
        self.costs = cost.by_node(graph, self.known)
        self.inputs = [value for value in self.graph.inputs if not value.is_initializer()]
        self.nodes = list(self.graph)
        self.makers = {value: place for place, value in enumerate(self.inputs)}
        for place, node in enumerate(self.nodes, len(self.inputs)):
            self.makers |= dict.fromkeys(node.outputs, place)
        self.reads = [self._read(_operands(node)) for node in self.nodes]
        self.constant = self._constants()
        self.layers = self._layers()

    def topology(self) -> Topology:
        first, last = len(self.inputs), len(self.inputs) + len(self.nodes)
        found = [self._end(value, INPUT, (), place) for place, value in enumerate(self.inputs)]
        found += [self._node(node, first + place) for place, node in enumerate(self.nodes)]
        found += [
            self._end(value, OUTPUT, self._read([value]), last + place)
            for place, value in enumerate(self.graph.outputs)
        ]
        return Topology(tuple(found))

    def _read(self, values: Iterable[ir.Value | None]) -> tuple[int, ...]:
        made = (self.makers[value] for value in values if value in self.makers)
        return tuple(dict.fromkeys(made))

    def _layers(self) -> list[int]:
        """The layer of each input and node; first those that follow, then what is constant."""
        found = list(range(len(self.inputs)))
        for place, node in enumerate(self.nodes, len(self.inputs)):
            before = {found[one] for one in self.reads[place - len(self.inputs)]} - {UNKNOWN}
            if place in self.constant:
                found.append(UNKNOWN)
            elif before and self._follows(node, before):
                found.append(max(before))
            else:
                found.append(place)
        for place in range(len(found) - 1, len(self.inputs) - 1, -1):
            if found[place] == UNKNOWN:
                found[place] = self._first_reader(place, found)
        return found

    def _constants(self) -> set[int]:
        """Positions of nodes whose values are known before the model runs."""
        found: set[int] = set()
        for place, (node, reads) in enumerate(
            zip(self.nodes, self.reads, strict=True), len(self.inputs)
        ):
            known = node.outputs and all(value in self.known.known for value in node.outputs)
            random = node.op_type in RANDOM
            if known or (not random and all(one in found for one in reads)):
                found.add(place)
        return found

    def _follows(self, node: ir.Node, before: set[int]) -> bool:
        if any(True for _ in subgraphs(node)):
            return False
        plumbing = node not in self.costs
        return plumbing or (
            len(before) == 1 and node.op_type in FOLLOWS and node.domain in STANDARD
        )

    def _first_reader(self, place: int, found: list[int]) -> int:
        users = [
            self.makers[user.outputs[0]]
            for value in self.nodes[place - len(self.inputs)].outputs
            for user, _ in value.uses()
            if user.outputs and user.outputs[0] in self.makers
        ]
        return found[min(users)] if users else place

    def _node(self, node: ir.Node, place: int) -> GraphNode:
        inner = list(_inside(node))
        own = self.costs.get(node)
        costs = [self.costs[one] for one in (node, *inner) if one in self.costs]
        out = node.outputs[0] if node.outputs else None
        reads = self.reads[place - len(self.inputs)]
        return GraphNode(
            name=node_name(node),
            op_type=node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}",
            kind=own.kind if own else node.op_type,
            reads=reads,
            makes=tuple(value.name or "" for value in node.outputs),
            layer=self.layers[place],
            is_constant=place in self.constant,
            input_shape=self._shape(next((v for v in node.inputs if v in self.makers), None)),
            output_shape=self._shape(out),
            dtype=self._dtype(out),
            precision=_precision(node, self.known),
            parameters=sum(one.parameters for one in costs),
            macs=_sum(costs),
            size_bytes=sum(one.size_bytes for one in costs),
            inner=len(inner),
        )

    def _end(self, value: ir.Value, kind: str, reads: tuple[int, ...], place: int) -> GraphNode:
        shape = self._shape(value)
        return GraphNode(
            value.name or "", "", kind, reads, (value.name or "",), place,
            input_shape=shape, output_shape=shape, dtype=self._dtype(value),
        )  # fmt: skip

    def _shape(self, value: ir.Value | None) -> Shape | None:
        found = self.known.shape(value)
        if found is None:
            return None
        return tuple("?" if isinstance(d, str) and d.startswith("?") else d for d in found)

    def _dtype(self, value: ir.Value | None) -> str:
        kind = _type(value, self.known)
        return kind.name.lower() if kind is not None else ""


def _operands(node: ir.Node) -> Iterator[ir.Value | None]:
    """What a node reads, the bodies that it carries included."""
    yield from node.inputs
    for one in _inside(node):
        yield from one.inputs


def _inside(node: ir.Node) -> Iterator[ir.Node]:
    for body in subgraphs(node):
        for one in body:
            yield one
            yield from _inside(one)


def _sum(costs: list[LayerCost]) -> int | None:
    macs = [one.macs for one in costs]
    return None if None in macs else sum(one or 0 for one in macs)


def _type(value: ir.Value | None, known: Facts) -> ir.DataType | None:
    return known.types.get(value, value.dtype) if value is not None else None


def _precision(node: ir.Node, known: Facts) -> str:
    """In what the file has a node compute."""
    if node.op_type in INTEGER_LAYERS:
        return "int8"
    if node.op_type == "MatMulNBits":
        return f"int{node.attributes.get_int('bits', 4)} weights"
    plain = _word(_type(node.outputs[0] if node.outputs else None, known))
    codes = [_code(value, known) for value in node.inputs if value is not None]
    if not codes or node.op_type in QUANTIZERS:
        return plain
    at = WEIGHT_AT.get(node.op_type)
    if at is None or at >= len(codes):
        return codes[0] if all(codes) and codes[0] else plain
    if codes[0] and codes[at]:
        return codes[0] if codes[0] == codes[at] else f"{codes[at]} weights, {codes[0]}"
    return f"{codes[at]} weights" if codes[at] else plain


def _code(value: ir.Value, known: Facts) -> str:
    """The integers that a value was dequantized from; empty where it was not."""
    node = value.producer()
    while node is not None and node.op_type in ("Clip", "Identity", "Transpose") and node.inputs:
        first = node.inputs[0]
        node = first.producer() if first is not None else None
    if node is None or node.op_type != "DequantizeLinear":
        return ""
    return _word(_type(node.inputs[0], known))


def _word(kind: ir.DataType | None) -> str:
    return WORDS.get(kind, kind.name.lower()) if kind is not None else ""
