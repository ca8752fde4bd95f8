"""Arithmetic of two tensors, broadcast; comparisons, choices and logic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from core.formats.tflite import layout
from core.formats.tflite.attributes import integer
from core.formats.tflite.codes import codes
from core.formats.tflite.layout import Order
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.refusal import Refused
from core.formats.tflite.tail import Tail, activated, quantized

Array = np.ndarray[Any, Any]
Write = Callable[[Net, ir.Node], None]
FLOATS = frozenset({"float32"})
NUMBERS = frozenset({"float32", "int32", "int64"})
FUSING = frozenset({"ADD", "SUB", "MUL", "DIV"})
INTEGRAL = frozenset({"ADD", "SUB", "MUL"})


def order_of(net: Net, values: Sequence[ir.Value | None], rank: int) -> Order:
    """The order that most of what is computed lies in already, widened to a rank."""
    computed = [net.given(v) for v in values if v is not None and not fixed(net, v)]
    if not computed:
        return layout.plain(rank)
    largest = max(computed, key=lambda one: (len(one.shape), np.prod(one.shape)))
    order = layout.widened(largest.order, rank)
    if len(largest.shape) == rank:
        return order
    same = layout.channels_last(rank)  # a vector of channels says nothing of the others
    return order if largest.order == layout.plain(len(largest.shape)) else same


def fixed(net: Net, value: ir.Value) -> bool:
    """Whether a value is a constant that is not in the file yet."""
    return net.array(value) is not None or codes(value) is not None


def operand(net: Net, value: ir.Value | None, order: Order) -> Stored:
    """An input of a broadcasting operator, its axes in an order of the output's."""
    rank = len(order)
    if value is not None and fixed(net, value):
        held = codes(value)
        array = held.values() if held is not None else net.known(value, "input")
        wide = array.reshape((1,) * (rank - array.ndim) + array.shape)
        return net.of_array(wide, value.name or "", order)
    return aligned(net, net.real(value), order)


def aligned(net: Net, found: Stored, order: Order) -> Stored:
    """A tensor with leading axes of size 1 and in an order."""
    rank = len(order)
    if len(found.shape) == rank:
        return net.ordered(found, order)
    shape = (1,) * (rank - len(found.shape)) + found.shape
    wide = layout.widened(found.order, rank)
    if wide == order:  # TFLite adds leading axes by itself
        return Stored(found.tensor, shape, order, found.kind, found.grid, found.coded)
    view = net.fresh(shape, wide, found.kind, f"{net.name(found)}_wide", found.grid)
    net.reshape(found.tensor, view)
    return net.ordered(view, order)


def _binary(code: str, kinds: frozenset[str] = NUMBERS, kind: str = "") -> Write:
    def write(net: Net, node: ir.Node) -> None:
        pair(net, node, code, kinds, kind)

    return write


def pair(net: Net, node: ir.Node, code: str, kinds: frozenset[str], kind: str = "") -> None:
    """One operator of two inputs; of codes where all of them are known."""
    out, (a, b) = node.outputs[0], node.inputs[:2]
    rank = len(net.shape(out))
    order = order_of(net, (a, b), rank)
    tail = activated(net, out) if code in FUSING else Tail(out)
    with_codes = quantized(net, tail) if code in INTEGRAL and _both_coded(net, a, b) else None
    if with_codes is not None:
        sides = [_coded(net, value, order) for value in (a, b)]
        tail = with_codes
    else:
        sides = [operand(net, value, order) for value in (a, b)]
    check(sides, kinds)
    y = net.made(out, order, kind) if kind else tail.made(net, order)
    fused = {"fusedActivationFunction": tail.activation} if code in FUSING else {}
    net.file.op(code, [side.tensor for side in sides], [y.tensor], **fused)


def check(sides: Sequence[Stored], kinds: frozenset[str]) -> None:
    """Hold the types of inputs to those that a kernel takes.

    Raises:
        Refused: there is none for one of them.
    """
    for side in sides:
        if side.kind not in kinds and side.grid is None:
            raise Refused(f"there is no kernel for {side.kind}")


def _both_coded(net: Net, a: ir.Value | None, b: ir.Value | None) -> bool:
    return all(_is_coded(net, value) for value in (a, b))


def _is_coded(net: Net, value: ir.Value | None) -> bool:
    held = codes(value)
    if held is not None:
        return held.data.dtype == np.int8 and len(held.scale) == 1
    if value is None or net.array(value) is not None:
        return False
    found = net.given(value)
    return found.grid is not None and not found.coded


def _coded(net: Net, value: ir.Value | None, order: Order) -> Stored:
    held = codes(value)
    if held is None or value is None:
        return aligned(net, net.given(value), order)
    wide = held.data.reshape((1,) * (len(order) - held.data.ndim) + held.data.shape)
    grid = held.grid(layout.plain(held.data.ndim))
    number = net.file.constant(f"{value.name}_codes", wide.transpose(order), grid)
    return Stored(number, wide.shape, order, "int8", grid)


def _variadic(code: str) -> Write:
    """Sum, Max and Min of any number of inputs, one after the other; Mean divides at the end."""

    def write(net: Net, node: ir.Node) -> None:
        out, rank = node.outputs[0], len(net.shape(node.outputs[0]))
        if len(node.inputs) == 2 and node.op_type != "Mean":
            pair(net, node, code, NUMBERS)
            return
        order = order_of(net, node.inputs, rank)
        sides = [operand(net, value, order) for value in node.inputs]
        check(sides, NUMBERS)
        found = sides[0]
        for number, side in enumerate(sides[1:]):
            shape = np.broadcast_shapes(found.shape, side.shape)
            made = net.fresh(shape, order, found.kind, f"{node.name}_{number}")
            net.file.op(code, [found.tensor, side.tensor], [made.tensor])
            found = made
        if node.op_type == "Mean":
            y = net.made(out, order)
            share = net.number(1 / len(sides))
            net.file.op("MUL", [found.tensor, share], [y.tensor])
        else:
            net.put(out, found)

    return write


def power(net: Net, node: ir.Node) -> None:
    """POW; a square, a root and what follows from them where the exponent is known."""
    exponent = net.array(node.inputs[1])
    one = float(exponent.ravel()[0]) if exponent is not None and exponent.size == 1 else None
    if one not in (0.5, 1.0, 2.0):
        pair(net, node, "POW", FLOATS)
        return
    x = net.real(node.inputs[0])
    if one == 1.0:
        net.put(node.outputs[0], x)
        return
    y = net.made(node.outputs[0], x.order)
    if one == 2.0:
        net.file.op("MUL", [x.tensor, x.tensor], [y.tensor])
    else:
        net.file.op("SQRT", [x.tensor], [y.tensor])


def modulo(net: Net, node: ir.Node) -> None:
    """FLOOR_MOD, which takes the sign of the divisor as ONNX does."""
    if integer(node, "fmod", 0):
        raise Refused("its remainder takes the sign of the dividend")
    pair(net, node, "FLOOR_MOD", NUMBERS)


def where(net: Net, node: ir.Node) -> None:
    """SELECT_V2."""
    rank = len(net.shape(node.outputs[0]))
    order = order_of(net, node.inputs, rank)
    sides = [operand(net, value, order) for value in node.inputs]
    y = net.made(node.outputs[0], order)
    net.file.op("SELECT_V2", [side.tensor for side in sides], [y.tensor])


def bit(code: str) -> Write:
    """And and Or of booleans."""
    return _binary(code, frozenset({"bool"}), "bool")


def negation(net: Net, node: ir.Node) -> None:
    """LOGICAL_NOT."""
    x = net.real(node.inputs[0])
    net.file.op("LOGICAL_NOT", [x.tensor], [net.made(node.outputs[0], x.order).tensor])


COMPARED = NUMBERS | {"bool"}
OPERATORS: Mapping[str, Write] = {
    "Add": _binary("ADD"),
    "Sub": _binary("SUB"),
    "Mul": _binary("MUL"),
    "Div": _binary("DIV", frozenset({"float32", "int32"})),
    "Pow": power,
    "Mod": modulo,
    "Sum": _variadic("ADD"),
    "Max": _variadic("MAXIMUM"),
    "Min": _variadic("MINIMUM"),
    "Mean": _variadic("ADD"),
    "Where": where,
    "Equal": _binary("EQUAL", COMPARED, "bool"),
    "Greater": _binary("GREATER", NUMBERS, "bool"),
    "GreaterOrEqual": _binary("GREATER_EQUAL", NUMBERS, "bool"),
    "Less": _binary("LESS", NUMBERS, "bool"),
    "LessOrEqual": _binary("LESS_EQUAL", NUMBERS, "bool"),
    "And": bit("LOGICAL_AND"),
    "Or": bit("LOGICAL_OR"),
    "Xor": _binary("NOT_EQUAL", frozenset({"bool"}), "bool"),
    "Not": negation,
}
