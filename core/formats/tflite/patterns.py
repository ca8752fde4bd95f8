"""Patterns: several ONNX nodes that are one operator of TFLite, brought together beforehand."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from core.graph import constant
from core.graph.values import origin

CLOSE = 1e-3


def rewrite(model: ir.Model) -> None:
    """Replace GELU and HardSwish that are spelled out by one node each, in place."""
    for node in list(model.graph):
        if node.graph is None:
            continue
        if node.op_type == "Erf":
            _gelu(model.graph, node)
        elif node.op_type in ("HardSigmoid", "Clip"):
            _hard_swish(model.graph, node)


def _gelu(graph: ir.Graph, erf: ir.Node) -> None:
    """X / 2 (1 + erf(x / sqrt 2)), in any order of its factors."""
    scaled = _producer(erf.inputs[0], ("Div", "Mul"))
    if scaled is None:
        return
    x, factor = _factor(scaled)
    wanted = math.sqrt(2) if scaled.op_type == "Div" else math.sqrt(0.5)
    if x is None or not math.isclose(factor, wanted, rel_tol=CLOSE):
        return
    plus = _only_reader(erf.outputs[0], "Add")
    if plus is None or not math.isclose(_factor(plus)[1], 1.0):
        return
    end, parts = plus, 0.0
    seen_x = False
    for _ in range(2):
        reader = _only_reader(end.outputs[0], "Mul")
        if reader is None:
            return
        other, number = _other(reader, end.outputs[0])
        if number is not None:
            parts = parts * number if parts else number
        elif other is x:
            seen_x = True
        elif (half := _half_of(other, x)) is not None:
            seen_x, parts = True, parts * half if parts else half
        else:
            return
        end = reader
        if seen_x and math.isclose(parts or 0.0, 0.5, rel_tol=CLOSE):
            _put(graph, end, ir.Node("", "Gelu", [x], name=f"{erf.name}_gelu"))
            return


def _half_of(value: ir.Value | None, x: ir.Value) -> float | None:
    node = _producer(value, ("Mul",))
    if node is None:
        return None
    source, number = _factor(node)
    return number if source is x else None


def _hard_swish(graph: ir.Graph, node: ir.Node) -> None:
    """X hardsigmoid(x), or x clip(x + 3, 0, 6) / 6."""
    if node.op_type == "HardSigmoid":
        alpha, beta = (node.attributes.get(name) for name in ("alpha", "beta"))
        slope = 0.2 if alpha is None else alpha.as_float()
        shift = 0.5 if beta is None else beta.as_float()
        if not (math.isclose(slope, 1 / 6, rel_tol=CLOSE) and shift == 0.5):
            return
        reader, x = _only_reader(node.outputs[0], "Mul"), node.inputs[0]
        if reader is not None and x is not None and x in reader.inputs:
            _put(graph, reader, ir.Node("", "HardSwish", [x], name=f"{reader.name}_hard_swish"))
        return
    bounds = [constant(origin(value)) for value in node.inputs[1:3]]
    plus = _producer(node.inputs[0], ("Add",))
    if plus is None or len(bounds) != 2 or any(b is None or b.size != 1 for b in bounds):
        return
    if [float(np.ravel(b)[0]) for b in bounds if b is not None] != [0.0, 6.0]:
        return
    x, shift = _factor(plus)
    if x is None or not math.isclose(shift, 3.0):
        return
    _sixth_of_product(graph, node, x)


def _sixth_of_product(graph: ir.Graph, clip: ir.Node, x: ir.Value) -> None:
    first = _only_reader(clip.outputs[0], "Mul") or _only_reader(clip.outputs[0], "Div")
    second = None
    if first is not None:
        second = _only_reader(first.outputs[0], "Mul") or _only_reader(first.outputs[0], "Div")
    if first is None or second is None:
        return
    times = [node for node in (first, second) if node.op_type == "Mul" and x in node.inputs]
    rest = [node for node in (first, second) if node not in times]
    if len(times) != 1 or len(rest) != 1:
        return
    number = _factor(rest[0])[1]
    wanted = 6.0 if rest[0].op_type == "Div" else 1 / 6
    if math.isclose(number, wanted, rel_tol=CLOSE):
        _put(graph, second, ir.Node("", "HardSwish", [x], name=f"{second.name}_hard_swish"))


def _put(graph: ir.Graph, last: ir.Node, made: ir.Node) -> None:
    """Let one node give what several gave; those that nobody reads any more go."""
    old, new = last.outputs[0], made.outputs[0]
    new.shape, new.type = old.shape, old.type
    name = old.name
    graph.insert_before(last, made)
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    old.name = f"{name}_spelled"
    new.name = name
    _sweep(graph, last)


def _sweep(graph: ir.Graph, node: ir.Node) -> None:
    if any(output.uses() or output.is_graph_output() for output in node.outputs):
        return
    sources = [value.producer() for value in node.inputs if value is not None]
    graph.remove(node, safe=True)
    for source in sources:
        if source is not None and source.graph is not None:
            _sweep(graph, source)


def _producer(value: ir.Value | None, kinds: tuple[str, ...]) -> ir.Node | None:
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type in kinds else None


def _only_reader(value: ir.Value, kind: str) -> ir.Node | None:
    readers = [use.node for use in value.uses()]
    if len(readers) != 1 or value.is_graph_output() or readers[0].op_type != kind:
        return None
    return readers[0]


def _other(node: ir.Node, value: ir.Value) -> tuple[ir.Value | None, float | None]:
    """The other input of a node of two, and the number that it is, if it is one."""
    other = node.inputs[1] if node.inputs[0] is value else node.inputs[0]
    array = constant(origin(other))
    return other, float(array.ravel()[0]) if array is not None and array.size == 1 else None


def _factor(node: ir.Node) -> tuple[ir.Value | None, float]:
    """The computed input of a node of two, and the number that is the other one (else NaN).

    Of a Div that is the divisor: a number that is divided makes another function.
    """
    first, second = node.inputs[:2]
    pairs = ((first, second), (second, first))
    for value, other in pairs[:1] if node.op_type == "Div" else pairs:
        array = constant(origin(other))
        if array is not None and array.size == 1:
            return value, float(array.ravel()[0])
    return None, math.nan
