"""Patterns: what exporters write in several nodes and ncnn has one layer for.

Each is looked for before anything is written; the nodes in it are left out but for the last one,
in whose place the layer is written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from core.formats.ncnn.attributes import Rule, listed
from core.formats.ncnn.net import Net
from core.formats.ncnn.operators.movement import shuffled
from core.formats.ncnn.operators.normalization import normalised
from core.formats.ncnn.refusal import Refused

CLOSE = 1e-4


@dataclass
class Pattern:
    """Some nodes that one layer does.

    Attributes:
        last: in whose place it is written.
        nodes: all of them.
        rule: that writes it.
    """

    last: ir.Node
    nodes: set[ir.Node] = field(default_factory=set)
    rule: Rule = lambda net, node: None


def found(net: Net, graph: ir.Graph) -> dict[ir.Node, Rule | None]:
    """For each node of a pattern the rule to write it by; None for what the last one includes."""
    rules: dict[ir.Node, Rule | None] = {}
    for node in graph:
        for look in (_gelu, _swish, _layer_norm, _shuffle):
            try:
                pattern = look(net, node)
            except Refused:  # of unknown size: the rules of its nodes say so, one by one
                pattern = None
            if pattern is not None and not pattern.nodes & rules.keys() and _closed(net, pattern):
                rules |= dict.fromkeys(pattern.nodes)
                rules[pattern.last] = pattern.rule
                break
    return rules


def _closed(net: Net, pattern: Pattern) -> bool:
    """Whether nobody else reads what lies inside."""
    return all(
        value.name not in net.outputs and all(use.node in pattern.nodes for use in value.uses())
        for node in pattern.nodes - {pattern.last}
        for value in node.outputs
    )


def _number(net: Net, value: ir.Value | None) -> float | None:
    array = None if value is None else net.array(value)
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


def _by_number(net: Net, node: ir.Node | None, op: str, number: float) -> ir.Value | None:
    """What else goes into a node that adds or multiplies by this number."""
    if node is None or node.op_type != op or len(node.inputs) != 2:
        return None
    for value, other in (node.inputs, tuple(reversed(node.inputs))):
        known = _number(net, value)
        if known is not None and math.isclose(known, number, rel_tol=CLOSE):
            return other
    return None


def _readers(value: ir.Value) -> Iterator[ir.Node]:
    return (use.node for use in value.uses())


def _swish(net: Net, node: ir.Node) -> Pattern | None:
    """Swish, x * sigmoid(x), and the same of a hard sigmoid."""
    if node.op_type not in ("Sigmoid", "HardSigmoid") or len(node.outputs[0].uses()) != 1:
        return None
    (last,) = _readers(node.outputs[0])
    source = node.inputs[0]
    if last.op_type != "Mul" or set(last.inputs) != {source, node.outputs[0]} or source is None:
        return None
    parameters: dict[int, float] = {}
    if node.op_type == "HardSigmoid":
        parameters[0] = node.attributes.get_float("alpha", 0.2)
        parameters[1] = node.attributes.get_float("beta", 0.5)
    kind = "HardSwish" if parameters else "Swish"
    return Pattern(last, {node, last}, _elementwise(source, kind, parameters))


def _gelu(net: Net, node: ir.Node) -> Pattern | None:
    """GELU, x / 2 * (1 + erf(x / sqrt 2)), with the half at any place."""
    if node.op_type != "Erf" or node.inputs[0] is None:
        return None
    scaled = node.inputs[0].producer()
    source = _by_number(net, scaled, "Mul", math.sqrt(0.5))
    if source is None and (source := _by_number(net, scaled, "Div", math.sqrt(2))) is not None:
        source = source if scaled is not None and scaled.inputs[0] is source else None
    more = next(_readers(node.outputs[0]), None)
    if source is None or scaled is None or _by_number(net, more, "Add", 1.0) is None:
        return None
    nodes, value, factors = {scaled, node}, node.outputs[0], list[ir.Value | float]()
    while more is not None and len(value.uses()) == 1 and more not in nodes:
        nodes.add(more)
        if more.op_type == "Mul":
            other = more.inputs[1] if more.inputs[0] is value else more.inputs[0]
            factors += _taken_apart(net, other, source, nodes)
        elif value is not node.outputs[0]:  # only the first may add, and that by one
            return None
        if len(factors) == 2 and source in factors and 0.5 in factors:
            return Pattern(more, nodes, _elementwise(source, "GELU", {0: 0}))
        value = more.outputs[0]
        more = next(_readers(value), None) if len(factors) < 2 else None
    return None


def _taken_apart(
    net: Net, value: ir.Value | None, source: ir.Value, nodes: set[ir.Node]
) -> list[ir.Value | float]:
    """What a factor is made of: a number, a value, or a number times the source."""
    number = _number(net, value)
    if number is not None:
        return [number]
    maker = value.producer() if value is not None else None
    if maker is not None and _by_number(net, maker, "Mul", 0.5) is source:
        nodes.add(maker)
        return [0.5, source]
    return [] if value is None else [value]


def _elementwise(source: ir.Value, kind: str, parameters: dict[int, float]) -> Rule:
    def write(net: Net, node: ir.Node) -> None:
        blob = net.blob(source)
        made = net.add(kind, node.name or "", (blob.name,), blob.form, parameters)
        net.put(node.outputs[0], made)

    return write


def _layer_norm(net: Net, node: ir.Node) -> Pattern | None:
    """(x - mean) / sqrt(mean of squares + eps) * scale + shift, over the last axis."""
    if node.op_type != "Sqrt" or node.inputs[0] is None:
        return None
    plus = node.inputs[0].producer()
    last = next(iter(_readers(node.outputs[0])), None)
    if plus is None or plus.op_type != "Add" or last is None or last.op_type != "Div":
        return None
    epsilon = next((n for n in map(lambda v: _number(net, v), plus.inputs) if n is not None), None)
    variance = next((v for v in plus.inputs if _number(net, v) is None), None)
    averaged = variance.producer() if variance is not None else None
    centred = last.inputs[0].producer() if last.inputs[0] is not None else None
    if epsilon is None or centred is None or centred.op_type != "Sub" or averaged is None:
        return None
    source, mean = centred.inputs
    first = mean.producer() if mean is not None else None
    squared = averaged.inputs[0].producer() if averaged.inputs[0] is not None else None
    if first is None or squared is None or source is None or first.inputs[0] is not source:
        return None
    square = squared.op_type == "Pow" and _number(net, squared.inputs[1]) == 2
    square |= squared.op_type == "Mul" and squared.inputs[0] is squared.inputs[1]
    if not square or squared.inputs[0] is not centred.outputs[0]:
        return None
    if not all(_last_axis(net, one) for one in (first, averaged)):
        return None
    nodes = {first, centred, squared, averaged, plus, node, last}
    return Pattern(last, nodes, _normalising(source, epsilon))


def _last_axis(net: Net, node: ir.Node) -> bool:
    shape = net.shape(node.inputs[0])
    return node.op_type == "ReduceMean" and [
        axis % len(shape) for axis in listed(net, node, "axes", 1) or ()
    ] == [len(shape) - 1]


def _normalising(source: ir.Value, epsilon: float) -> Rule:
    def write(net: Net, node: ir.Node) -> None:
        shape = net.shape(source)
        form = math.prod(shape[:-1]), shape[-1]
        one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
        net.put(node.outputs[0], normalised(net, node, source, form, one, zero, epsilon))

    return write


def _shuffle(net: Net, node: ir.Node) -> Pattern | None:
    """Reshape, Transpose, Reshape that move blocks of channels to pixels, or shuffle channels."""
    if node.op_type != "Transpose" or node.inputs[0] is None:
        return None
    first = node.inputs[0].producer()
    last = next(iter(_readers(node.outputs[0])), None)
    if first is None or first.op_type != "Reshape" or last is None or last.op_type != "Reshape":
        return None
    source = first.inputs[0]
    before, split, after = (
        net.shape(v) for v in (source, first.outputs[0], last.outputs[0])
    )  # fmt: skip
    perm = tuple(node.attributes.get_ints("perm", ()))
    if len(before) != 4 or len(after) != 4 or before[0] != 1 or source is None:
        return None
    nodes = {first, node, last}
    if (
        len(split) == 6
        and split[-2:] == before[-2:]
        and after[2] * after[3] > before[2] * before[3]
    ):
        crd, dcr = perm == (0, 1, 4, 2, 5, 3), perm == (0, 3, 4, 1, 5, 2)
        sides = split[2:4] if crd else split[1:3]
        square = sides[0] == sides[1] and after[2:] == (before[2] * sides[0], before[3] * sides[0])
        if (crd or dcr) and square:
            return Pattern(last, nodes, _pixels(source, sides[0], crd))
    if len(split) == 5 and perm == (0, 2, 1, 3, 4) and after == before and split[3:] == before[2:]:
        return Pattern(last, nodes, _channels(source, split[1]))
    return None


def _pixels(source: ir.Value, block: int, crd: bool) -> Rule:
    def write(net: Net, node: ir.Node) -> None:
        shuffled(net, node, source, block, crd)

    return write


def _channels(source: ir.Value, groups: int) -> Rule:
    def write(net: Net, node: ir.Node) -> None:
        form = net.shape(source)[1:]
        blob = net.formed(source, form)
        made = net.add("ShuffleChannel", node.name or "", (blob,), form, {0: groups})
        net.put(node.outputs[0], made)

    return write
