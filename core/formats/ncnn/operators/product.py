"""Matrix products: with constant weights as InnerProduct, of two computed matrices as MatMul."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from core.formats.ncnn.attributes import Rule, flag, floats_only, given
from core.formats.ncnn.layers import Weight
from core.formats.ncnn.net import Array, Blob, Net
from core.formats.ncnn.operators.elementwise import combined
from core.formats.ncnn.quantized import TERM, integers
from core.formats.ncnn.refusal import Refused
from core.formats.ncnn.sizes import MOST_AXES, Shape
from core.formats.ncnn.tail import tail
from core.graph.operators import is_standard

OUTPUTS, BIAS, SIZE = 0, 1, 2
TRANSPOSED = 0  # of MatMul: whether its second matrix is


def inner_product(
    net: Net, node: ir.Node, weight: Array, bias: Array | None, form: Shape,
    last: ir.Node | None = None,
) -> None:  # fmt: skip
    """Rows of the input times weights, with what follows in the same layer.

    Args:
        net: that is written.
        node: a layer whose first input is multiplied.
        weight: (outputs, inputs).
        bias: one per output.
        form: that the input is read in: one row, or several.
        last: of the nodes that are in these weights, if that is another one.
    """
    kept = integers(node)
    norms = len(form) == 1 and kept is None
    after = tail(net, last or node, weight.shape[0], norms=norms)
    weight, bias = after.folded(weight, bias)
    parameters = {
        OUTPUTS: weight.shape[0], BIAS: int(bias is not None), SIZE: weight.size,
        **after.parameters,
    }  # fmt: skip
    weights = [Weight(np.ascontiguousarray(weight), tagged=True)]
    weights += [] if bias is None else [Weight(np.ascontiguousarray(bias))]
    if kept is not None:
        parameters[TERM] = 1
        weights = kept.weights(bias, len(weight))
    source, out = net.formed(node.inputs[0], form), (*form[:-1], weight.shape[0])
    net.put(
        after.end, net.add("InnerProduct", node.name or "", (source,), out, parameters, weights)
    )


def gemm(net: Net, node: ir.Node) -> None:
    """Gemm: alpha * A' B' + beta * C."""
    attributes = node.attributes
    alpha, beta = attributes.get_float("alpha", 1.0), attributes.get_float("beta", 1.0)
    second = net.array(node.inputs[1])
    rows = net.shape(node.inputs[0])
    added = given(node, 2)
    if second is None or flag(node, "transA") or net.array(node.inputs[0]) is not None:
        _computed_gemm(net, node, alpha, beta)
        return
    weight = second if flag(node, "transB") else second.T
    scaled = (weight.astype(np.float32) * np.float32(alpha)).astype(np.float32)
    form = (rows[1],) if rows[0] == 1 else (rows[0], rows[1])
    bias = None if added is None else net.array(added)
    if added is not None and (bias is None or bias.size not in (1, len(weight))):
        _computed_gemm(net, node, alpha, beta)
        return
    if bias is not None:
        flat = np.float32(beta) * bias.astype(np.float32).reshape(-1)
        bias = np.broadcast_to(flat, (len(weight),))
    inner_product(net, node, scaled, bias, form)


def _computed_gemm(net: Net, node: ir.Node, alpha: float, beta: float) -> None:
    shapes = [net.shape(value) for value in node.inputs[:2]]
    name = node.name or ""
    blobs = []
    for value, shape, switch in zip(node.inputs, shapes, ("transA", "transB"), strict=False):
        blob = Blob(net.formed(value, shape), shape)
        if flag(node, switch):
            blob = net.add("Permute", f"{name}_{switch}", (blob.name,), shape[::-1], {0: 1})
        blobs.append(blob)
    form = (blobs[0].form[0], blobs[1].form[1])
    made = net.add("MatMul", name, [blob.name for blob in blobs], form)
    if alpha != 1:
        made = net.add("BinaryOp", f"{name}_alpha", (made.name,), form, {0: 2, 1: 1, 2: alpha})
    added = given(node, 2)
    if added is not None:
        more, shape = net.blob(added), net.shape(added)
        if beta != 1:
            scale = {0: 2, 1: 1, 2: beta}
            more = net.add("BinaryOp", f"{name}_beta", (more.name,), more.form, scale)
        made = combined(net, name, "Add", (made, form), (more, shape))
    net.put(node.outputs[0], made)


def matmul(net: Net, node: ir.Node) -> None:
    """MatMul as NumPy's."""
    floats_only(net, node)
    first, second = (net.shape(value) for value in node.inputs)
    weight = net.array(node.inputs[1])
    if weight is not None and not net.has(node.inputs[0]):
        weight = None  # of two constants too large to be folded
    if weight is not None and math.prod(weight.shape[:-2]) == 1 and len(second) > 1:
        _weighted(net, node, weight.reshape(weight.shape[-2:]), first)
        return
    if len(first) < 2 or len(second) < 2:
        raise Refused("it multiplies with a vector that is computed while the model runs")
    rank = max(len(first), len(second))
    forms = [(*(1,) * (rank - len(shape)), *shape) for shape in (first, second)]
    while rank > 2 and all(form[0] == 1 for form in forms):
        forms, rank = [form[1:] for form in forms], rank - 1
    if rank > MOST_AXES:
        if forms[0][:-2] != forms[1][:-2]:
            raise Refused(f"it broadcasts over {rank - 2} axes in front of its matrices")
        forms = [(math.prod(form[:-2]), *form[-2:]) for form in forms]
    sources = [net.formed(v, f) for v, f in zip(node.inputs, forms, strict=True)]
    front = tuple(max(a, b) for a, b in zip(forms[0][:-2], forms[1][:-2], strict=True))
    out = (*front, forms[0][-2], forms[1][-1])
    net.put(node.outputs[0], net.add("MatMul", node.name or "", sources, out))


def _weighted(net: Net, node: ir.Node, weight: Array, first: Shape) -> None:
    """A product with constant weights; an Add of a constant row behind it is its bias."""
    rows = math.prod(first[:-1])
    form = (first[-1],) if rows == 1 else (rows, first[-1])
    bias, last = None, None
    reader = net.only_reader(node.outputs[0])
    if reader is not None and is_standard(reader, frozenset({"Add"})):
        bias = _added(net, node, reader, weight.shape[1])
    if bias is not None and reader is not None:
        net.done.add(reader)
        last = reader
    inner_product(net, node, np.ascontiguousarray(weight.T, np.float32), bias, form, last)


def _added(net: Net, node: ir.Node, reader: ir.Node, outputs: int) -> Array | None:
    """The constant row that an Add puts on every row of a product; None where it is none."""
    array = next((net.array(v) for v in reader.inputs if v is not node.outputs[0]), None)
    if array is None or net.shape(reader.outputs[0]) != net.shape(node.outputs[0]):
        return None
    if array.size not in (1, outputs) or (array.size > 1 and array.shape[-1] != array.size):
        return None
    return np.broadcast_to(array.astype(np.float32).reshape(-1), (outputs,))


OPERATORS: Mapping[str, Rule] = {"Gemm": gemm, "MatMul": matmul}
