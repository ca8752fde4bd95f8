"""Reductions: sums, means, extremes and norms over axes, and where an extreme lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from core.formats.tflite import layout
from core.formats.tflite.attributes import given, integer, listed
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.refusal import Refused
from core.formats.tflite.tail import Tail, quantized

Axes = tuple[int, ...]
NUMBERS = ("float32", "int32", "int64")


def axes_of(net: Net, node: ir.Node) -> Axes:
    """The ONNX axes that a node reduces, in order."""
    rank = len(net.shape(node.inputs[0]))
    axes = listed(net, node, 1, "axes") if given(node, 1) or "axes" in node.attributes else None
    if not axes:
        return () if integer(node, "noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted(axis % rank for axis in axes))


def reduced(net: Net, node: ir.Node, code: str, axes: Axes, keep: bool) -> None:
    """One reduction; a mean of codes stays one of codes where its own are known."""
    x = net.given(node.inputs[0])
    tail = quantized(net, Tail(node.outputs[0])) if code == "MEAN" and x.grid else None
    if tail is None or x.coded:
        tail, x = Tail(node.outputs[0]), net.numbers(x)
    if not axes:
        net.put(node.outputs[0], x)
        return
    order = x.order if keep else layout.without(x.order, axes)
    over(net, x, code, axes, tail.made(net, order), keep)


def over(net: Net, x: Stored, code: str, axes: Axes, y: Stored, keep: bool) -> None:
    """Write a reduction of `x` over ONNX axes into `y`."""
    if x.kind not in (*NUMBERS, "int8"):
        raise Refused(f"there is no kernel for {x.kind}")
    places = np.array(sorted(x.axis(axis) for axis in axes), np.int32)
    net.file.op(code, [x.tensor, net.listed(places)], [y.tensor], keepDims=keep)


def _plain(code: str) -> Callable[[Net, ir.Node], None]:
    def write(net: Net, node: ir.Node) -> None:
        reduced(net, node, code, axes_of(net, node), bool(integer(node, "keepdims", 1)))

    return write


def _composed(before: str, after: str) -> Callable[[Net, ir.Node], None]:
    """A sum of what one operator makes of the input, and what another one makes of that."""

    def write(net: Net, node: ir.Node) -> None:
        axes, keep = axes_of(net, node), bool(integer(node, "keepdims", 1))
        x = net.real(node.inputs[0])
        if before:
            made = net.fresh(x.shape, x.order, x.kind, f"{node.name}_{before.lower()}")
            net.file.op(before, [x.tensor], [made.tensor])
            x = made
        y = net.made(node.outputs[0], x.order if keep else layout.without(x.order, axes))
        total = net.fresh(y.shape, y.order, y.kind, f"{node.name}_sum") if after else y
        over(net, x, "SUM", axes, total, keep)
        if after:
            net.file.op(after, [total.tensor], [y.tensor])

    return write


def log_sum_exp(net: Net, node: ir.Node) -> None:
    """The largest value taken out first, so that nothing overflows."""
    axes, keep = axes_of(net, node), bool(integer(node, "keepdims", 1))
    x = net.real(node.inputs[0])
    small = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    top, total, log = (net.fresh(small, x.order, x.kind, f"{node.name}_{w}") for w in "abc")
    shifted, powers = (net.fresh(x.shape, x.order, x.kind, f"{node.name}_{w}") for w in "de")
    over(net, x, "REDUCE_MAX", axes, top, keep=True)
    net.file.op("SUB", [x.tensor, top.tensor], [shifted.tensor])
    net.file.op("EXP", [shifted.tensor], [powers.tensor])
    over(net, powers, "SUM", axes, total, keep=True)
    net.file.op("LOG", [total.tensor], [log.tensor])
    back = net.fresh(small, x.order, x.kind, f"{node.name}_f")
    net.file.op("ADD", [log.tensor, top.tensor], [back.tensor])
    target = net.shape(node.outputs[0])
    net.viewed(node.outputs[0], back, target, x.order if keep else layout.without(x.order, axes))


def _extreme(code: str) -> Callable[[Net, ir.Node], None]:
    def write(net: Net, node: ir.Node) -> None:
        if integer(node, "select_last_index", 0):
            raise Refused("of equal extremes it takes the last one")
        x, keep = net.real(node.inputs[0]), bool(integer(node, "keepdims", 1))
        axis = integer(node, "axis", 0) % len(x.shape)
        left = layout.without(x.order, (axis,))
        small = tuple(n for a, n in enumerate(x.shape) if a != axis)
        found = net.fresh(small, left, "int64", f"{node.name}_place")
        place = net.listed(np.array(x.axis(axis), np.int32))
        net.file.op(code, [x.tensor, place], [found.tensor], outputType=4)
        net.viewed(node.outputs[0], found, net.shape(node.outputs[0]), x.order if keep else left)

    return write


OPERATORS: Mapping[str, Callable[[Net, ir.Node], None]] = {
    "ReduceMean": _plain("MEAN"),
    "ReduceSum": _plain("SUM"),
    "ReduceMax": _plain("REDUCE_MAX"),
    "ReduceMin": _plain("REDUCE_MIN"),
    "ReduceProd": _plain("REDUCE_PROD"),
    "ReduceL1": _composed("ABS", ""),
    "ReduceL2": _composed("SQUARE", "SQRT"),
    "ReduceSumSquare": _composed("SQUARE", ""),
    "ReduceLogSum": _composed("", "LOG"),
    "ReduceLogSumExp": log_sum_exp,
    "ArgMax": _extreme("ARG_MAX"),
    "ArgMin": _extreme("ARG_MIN"),
}
