"""Vector-Jacobian products of a whole graph: how much its outputs depend on each tensor.

For a random vector v of signs, the gradient g of v . outputs by a tensor has E[g g'] = E[J'J], J
being the Jacobian of the outputs: to first order, an error e on that tensor moves the outputs by
E (g'e)^2. One pass backwards costs about two forwards and needs no labels; nothing is trained by
it. Every output counts relative to its own root mean square, so that none outshouts the others.

The rules cover what vision networks are made of. Where an operator has none, the way back ends: the
tensors before it that reach no output otherwise get no gradient, and are weighed alike; where there
is another way, such as a shortcut, it alone counts.

Source: Hutchinson 1990 (stochastic estimate of J'J); Martens 2014, arXiv:1412.1193 (the same matrix
as the Gauss-Newton approximation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx
import onnx_ir as ir

from core.analysis.shapes import facts
from core.analysis.values import constant_tensor
from core.compress.autodiff.backward_graph import Backward, NoGradient
from core.compress.autodiff.vjp_elementwise import ELEMENTWISE
from core.compress.autodiff.vjp_layers import LAYERS
from core.compress.autodiff.vjp_layout import LAYOUT, split_
from core.graph.operators import STANDARD

RULES = ELEMENTWISE | LAYERS | LAYOUT


def backward(graph: ir.Model, names: Sequence[str]) -> tuple[ir.Model, dict[str, str]]:
    """A graph that gives out gradients, and the gradient's name for each tensor that has one.

    Args:
        graph: the model; only read.
        names: tensors whose gradients are wanted.
    """
    known = facts(graph)
    back = Backward(known, graph.graph.opset_imports.get("", 1))
    parts: dict[str, list[str]] = {}
    for seed, out in enumerate(graph.graph.outputs):
        if known.types.get(out, ir.DataType.FLOAT) == ir.DataType.FLOAT:
            parts[out.name or ""] = [_signs(out.name or "", seed, back)]
    _through(graph, parts, back)
    found = {n: back.total[n] for n in names if n in back.total}
    return _extended(graph, back, found.values()), found


def slopes(graph: ir.Model, name: str) -> tuple[ir.Model, str]:
    """A graph that gives out its output as well as, element by element, the slope by an input.

    Args:
        graph: of operators that work element by element, with one output; only read.
        name: the input.

    Raises:
        NoGradient: the way back ends at an operator.
    """
    back = Backward(facts(graph), graph.graph.opset_imports.get("", 1))
    out = graph.graph.outputs[0].name or ""
    ones = back.op("Add", back.op("Mul", out, back.const(0)), back.const(1))
    parts = {out: [ones]}
    _through(graph, parts, back)
    given = next(v for v in graph.graph.inputs if v.name == name)
    _total(given, parts, back)
    if name not in back.total:
        raise NoGradient(f"no way back to {name}")
    return _extended(graph, back, [out, back.total[name]]), back.total[name]


def _through(graph: ir.Model, parts: dict[str, list[str]], back: Backward) -> None:
    """From the outputs to the inputs."""
    for node in reversed(list(graph.graph)):
        for value in node.outputs:
            _total(value, parts, back)
        _step(node, parts, back)


def _extended(graph: ir.Model, back: Backward, outputs: Iterable[str]) -> ir.Model:
    """The graph with the way back, giving out these tensors."""
    proto, named = ir.to_proto(graph), list(dict.fromkeys(outputs))
    nodes = _needed(back.nodes, named)
    read = {name for node in nodes for name in node.input}
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend(c for c in back.constants if c.name in read)
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=n) for n in named)
    return ir.from_proto(proto)


def _needed(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """Those that these tensors depend on: a runtime computes the gradient by the images too."""
    wanted, found = set(outputs), list[onnx.NodeProto]()
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            found.append(node)
    return found[::-1]


def _signs(out: str, seed: int, back: Backward) -> str:
    signs = back.op("Sign", back.op("RandomNormalLike", out, seed=float(seed), dtype=1))
    power = back.op("ReduceMean", back.op("Mul", out, out), keepdims=0)
    return back.op("Div", signs, back.op("Sqrt", back.op("Add", power, back.const(1e-12))))


def _total(value: ir.Value, parts: dict[str, list[str]], back: Backward) -> None:
    given = parts.get(value.name or "", [])
    if given:
        total = given[0]
        for other in given[1:]:
            total = back.op("Add", total, other)
        back.total[value.name or ""] = total


def _step(node: ir.Node, parts: dict[str, list[str]], back: Backward) -> None:
    gradients = [back.total.get(v.name or "") for v in node.outputs]
    if not any(gradients):
        return
    mark = len(back.nodes), len(back.constants)
    try:
        if node.domain not in STANDARD or node.op_type not in RULES:
            raise NoGradient(node.op_type)
        if node.op_type == "Split":
            made = split_(node, gradients, back)
        else:
            if gradients[0] is None:
                raise NoGradient(node.op_type)
            made = RULES[node.op_type](node, gradients[0], back)
    except NoGradient:
        del back.nodes[mark[0] :], back.constants[mark[1] :]
        return
    for position, gradient in made.items():
        value = node.inputs[position]
        if value is not None and constant_tensor(value) is None and value not in back.known.known:
            parts.setdefault(value.name or "", []).append(gradient)
