"""Gemm and MatMul: FULLY_CONNECTED where one side is known, BATCH_MATMUL where none is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from core.formats.tflite import layout, weights
from core.formats.tflite.attributes import given, integer, real
from core.formats.tflite.codes import Codes, codes
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.refusal import Refused
from core.formats.tflite.tail import Tail, activated, quantized
from core.graph.operators import is_standard

Array = np.ndarray[Any, Any]
LONGEST_BATCH = 5  # axes that BATCH_MATMUL takes


def gemm(net: Net, node: ir.Node) -> None:
    """A product of two matrices, factors, and a sum."""
    alpha, beta = real(node, "alpha", 1.0), real(node, "beta", 1.0)
    a, b, c = node.inputs[0], node.inputs[1], given(node, 2)
    x = net.given(a)
    if integer(node, "transA", 0):
        shape = (x.shape[1], x.shape[0])
        view = Stored(x.tensor, shape, layout.transposed(x.order, (1, 0)), x.kind, x.grid, x.coded)
        x = view
    turned = bool(integer(node, "transB", 0))
    fixed = _is_fixed(net, b)
    row = c is None or _is_row(net, c, net.shape(node.outputs[0])[1])
    if not fixed or not row:
        _gemm_of_parts(net, node, x, turned)
        return
    added = None if c is None else c
    _connected(net, node, x, b, turned, added, Tail(node.outputs[0]), (alpha, beta))


def _is_fixed(net: Net, value: ir.Value | None) -> bool:
    return net.array(value) is not None or codes(value) is not None


def _is_row(net: Net, value: ir.Value, count: int) -> bool:
    """Whether it is a constant that is added to every row."""
    if not _is_fixed(net, value):
        return False
    size = weights.values(net, value).shape
    return int(np.prod(size)) == 1 or (size[-1] == count and int(np.prod(size)) == count)


def _gemm_of_parts(net: Net, node: ir.Node, x: Stored, turned: bool) -> None:
    """Where the second matrix, or the sum, is computed: product, factors and sum by themselves."""
    y = net.shape(node.outputs[0])
    order, out = layout.plain(2), node.outputs[0]
    other, c = net.real(node.inputs[1]), given(node, 2)
    alpha, beta = real(node, "alpha", 1.0), real(node, "beta", 1.0)
    product = net.fresh(y, order, "float32", f"{node.name}_product")
    left = net.ordered(net.numbers(x), order)
    right = net.ordered(other, order)
    net.file.op("BATCH_MATMUL", [left.tensor, right.tensor], [product.tensor], adjY=turned)
    if alpha != 1.0:
        scaled = net.fresh(y, order, "float32", f"{node.name}_scaled")
        net.file.op("MUL", [product.tensor, net.number(alpha)], [scaled.tensor])
        product = scaled
    if c is None:
        net.put(out, product)
        return
    added = net.ordered(net.real(c), layout.plain(len(net.shape(c))))
    if beta != 1.0:
        scaled = net.fresh(added.shape, added.order, "float32", f"{node.name}_added")
        net.file.op("MUL", [added.tensor, net.number(beta)], [scaled.tensor])
        added = scaled
    net.file.op("ADD", [product.tensor, added.tensor], [net.made(out, order).tensor])


def matmul(net: Net, node: ir.Node) -> None:
    """A product over the last axes, broadcast over all others."""
    a, b = node.inputs
    if b is not None and _is_fixed(net, b) and len(net.shape(b)) == 2 and len(net.shape(a)) > 1:
        x = net.given(a)
        tail, added = _with_bias(net, node, net.shape(node.outputs[0])[-1], x)
        _connected(net, node, x, b, False, added, tail, (1.0, 1.0))
        return
    _batched(net, node)


def _with_bias(net: Net, node: ir.Node, count: int, x: Stored) -> tuple[Tail, ir.Value | None]:
    """The Add of a constant row behind a product, which becomes its bias."""
    output = node.outputs[0]
    reader = net.only_reader(output)
    if reader is None or not is_standard(reader, frozenset({"Add"})):
        return Tail(output), None
    other = reader.inputs[1] if reader.inputs[0] is output else reader.inputs[0]
    if other is None or not _is_row(net, other, count):
        return Tail(output), None
    if net.shape(reader.outputs[0]) != net.shape(output):  # the row brings further axes
        return Tail(output), None
    return Tail(reader.outputs[0], nodes=(reader,)), other


def _connected(
    net: Net, node: ir.Node, x: Stored, kernel: ir.Value | None, turned: bool,
    added: ir.Value | None, tail: Tail, factors: tuple[float, float],
) -> None:  # fmt: skip
    """FULLY_CONNECTED: the summed axis lies last, whatever the order of the others."""
    rank = len(x.shape)
    behind = activated(net, tail.value)
    ending = Tail(behind.value, behind.activation, None, (*tail.nodes, *behind.nodes))
    held = codes(kernel)
    with_codes = quantized(net, ending) if _integral(x, held, turned, factors) else None
    ending = with_codes or ending
    if with_codes is None:
        x = net.numbers(x)
    if x.order[-1] != rank - 1:
        x = net.ordered(x, layout.plain(rank))
    shape = net.shape(kernel)
    order = (0, 1) if turned else (1, 0)
    count = shape[0] if turned else shape[1]
    if factors[0] == 1.0:
        how = weights.Arranged(shape, order)
        kept = weights.tensor(net, kernel, how, with_codes is not None)
    else:
        scaled = weights.values(net, kernel) * np.float32(factors[0])
        kept = net.of_array(scaled, f"{node.name}_scaled", order)
    if factors[1] == 1.0 or added is None:
        bias = weights.bias(net, added, count, kept, x)
    else:
        row = weights.values(net, added) * np.float32(factors[1])
        bias = weights.float_bias(net, row, count)
    y = ending.made(net, x.order)
    net.file.op(
        "FULLY_CONNECTED", [x.tensor, kept.tensor, bias], [y.tensor],
        fusedActivationFunction=ending.activation, keepNumDims=rank != 2,
    )  # fmt: skip


def _integral(x: Stored, held: Codes | None, turned: bool, factors: tuple[float, float]) -> bool:
    if x.grid is None or x.coded or held is None or not held.symmetric:
        return False
    if held.data.dtype != np.int8 or factors != (1.0, 1.0):
        return False
    return len(held.scale) == 1 or held.axis == (0 if turned else 1)


def _batched(net: Net, node: ir.Node) -> None:
    a, b = net.real(node.inputs[0]), net.real(node.inputs[1])
    target, out = net.shape(node.outputs[0]), node.outputs[0]
    a, b = _at_least_matrix(net, a, first=True), _at_least_matrix(net, b, first=False)
    rank = max(len(a.shape), len(b.shape))
    if rank > LONGEST_BATCH:
        raise Refused(f"a product of tensors of {rank} axes has no kernel")
    left = net.ordered(a, layout.plain(len(a.shape)))
    right, turned = _right(net, b)
    wide = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = (*wide, a.shape[-2], b.shape[-1])
    made = net.fresh(shape, layout.plain(rank), "float32", out.name or "")
    net.file.op("BATCH_MATMUL", [left.tensor, right.tensor], [made.tensor], adjY=turned)
    net.viewed(out, made, target, layout.plain(len(target)))


def _right(net: Net, b: Stored) -> tuple[Stored, bool]:
    """The second factor, turned if it lies in the file that way or comes to it as easily."""
    rank = len(b.shape)
    turned = (*range(rank - 2), rank - 1, rank - 2)
    if layout.alike(b.shape, b.order, layout.plain(rank)):
        return net.ordered(b, layout.plain(rank)), False
    last_is_summed = b.order[-1] == rank - 2
    order = turned if last_is_summed else layout.plain(rank)
    view = net.ordered(b, order)
    if not last_is_summed:
        return view, False
    shape = (*b.shape[:-2], b.shape[-1], b.shape[-2])
    return Stored(view.tensor, shape, layout.plain(rank), b.kind), True


def _at_least_matrix(net: Net, x: Stored, first: bool) -> Stored:
    """A vector as a matrix of one row, or of one column."""
    if len(x.shape) > 1:
        return x
    shape = (1, *x.shape) if first else (*x.shape, 1)
    made = net.fresh(shape, (0, 1), x.kind, f"{net.name(x)}_matrix")
    net.reshape(x.tensor, made)
    return made


OPERATORS: Mapping[str, Callable[[Net, ir.Node], None]] = {"Gemm": gemm, "MatMul": matmul}
