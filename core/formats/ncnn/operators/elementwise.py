"""Arithmetic of elements: of two tensors that broadcast, of a tensor and a number, of one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from core.formats.ncnn.attributes import Rule, floats_only, given
from core.formats.ncnn.layers import Weight
from core.formats.ncnn.net import Array, Blob, Net
from core.formats.ncnn.refusal import Refused
from core.formats.ncnn.sizes import Shape, broadcast, natural

ADD, SUB, MUL, DIV, MAX, MIN, POW, RSUB, RDIV = range(9)
KIND, SCALAR, NUMBER = 0, 1, 2  # parameters of BinaryOp
BINARY = {"Add": ADD, "Sub": SUB, "Mul": MUL, "Div": DIV, "Max": MAX, "Min": MIN, "Sum": ADD}
TURNED = {ADD: ADD, SUB: RSUB, MUL: MUL, DIV: RDIV, MAX: MAX, MIN: MIN}
SQUARE, ROOT, ONE_BY_ROOT, RECIPROCAL, TRUNCATE, ROUND = 4, 5, 6, 15, 19, 18
UNARY = {
    "Abs": 0, "Neg": 1, "Floor": 2, "Ceil": 3, "Sqrt": ROOT, "Exp": 7, "Log": 8, "Sin": 9,
    "Cos": 10, "Tan": 11, "Asin": 12, "Acos": 13, "Atan": 14, "Reciprocal": RECIPROCAL,
    "Round": ROUND, "Sign": 20,
}  # fmt: skip
POWERS = {2.0: SQUARE, 0.5: ROOT, -0.5: ONE_BY_ROOT, -1.0: RECIPROCAL}
WIDE = (ir.DataType.INT32, ir.DataType.INT64)  # that no float32 cut to a whole number wraps in
Sized = tuple[Blob, Shape]  # a blob, and the ONNX shape of what it holds


def binary(net: Net, node: ir.Node) -> None:
    """Add, Sub, Mul, Div, and Max, Min, Sum of any number of inputs."""
    floats_only(net, node)
    end, name = node.outputs[0], node.name or ""
    if len(node.inputs) == 1:
        net.put(end, net.blob(node.inputs[0]))
        return
    if len(node.inputs) == 2 and _with_number(net, node):
        return
    made = _sized(net, node.inputs[0])
    for value in node.inputs[1:]:
        other = _sized(net, value)
        shape = np.broadcast_shapes(made[1], other[1])
        made = combined(net, name, node.op_type, made, other), shape
    net.put(end, made[0])


def mean(net: Net, node: ir.Node) -> None:
    """Mean of several tensors."""
    floats_only(net, node)
    made = _sized(net, node.inputs[0])
    for value in node.inputs[1:]:
        other = _sized(net, value)
        shape = np.broadcast_shapes(made[1], other[1])
        made = combined(net, node.name or "", "Add", made, other), shape
    share = with_number(net, f"{node.name}_share", MUL, made[0], 1 / len(node.inputs))
    net.put(node.outputs[0], share)


def _sized(net: Net, value: ir.Value | None) -> Sized:
    return net.blob(value), net.shape(value)


def combined(net: Net, name: str, op: str, first: Sized, second: Sized) -> Blob:
    """Two blobs that broadcast as their ONNX shapes do."""
    forms = broadcast(first[1], second[1])
    if first[1] == second[1] and first[0].form == second[0].form:
        forms = first[0].form, second[0].form
    sources = [
        _source(net, one, form, other)
        for one, form, other in zip((first[0], second[0]), forms, reversed(forms), strict=True)
    ]
    out = tuple(max(pair) for pair in zip(*forms, strict=True))
    return net.add("BinaryOp", name, sources, out, {KIND: BINARY[op]})


def _source(net: Net, blob: Blob, form: Shape, other: Shape) -> str:
    """The blob to read in this form: a row of one number per channel is read as it is.

    ncnn takes a row for the outermost axis of the other blob where their sizes agree, which spares
    the Reshape behind a global pool.
    """
    channels = (
        form[:1] == blob.form and other[:1] == blob.form and form[1:].count(1) == len(form) - 1
    )
    return blob.name if channels and len(form) > 1 else net.as_form(blob, form)


def with_number(net: Net, name: str, kind: int, blob: Blob, number: float) -> Blob:
    """A blob and one number."""
    parameters = {KIND: kind, SCALAR: 1, NUMBER: float(number)}
    return net.add("BinaryOp", name, (blob.name,), blob.form, parameters)


def _with_number(net: Net, node: ir.Node) -> bool:
    """Write a node one input of which is a constant number, or one number per channel."""
    arrays = [net.array(value) for value in node.inputs]
    for place, (array, value) in enumerate(zip(arrays, reversed(node.inputs), strict=True)):
        other = net.shape(value)
        if array is None or not net.has(value):
            continue
        kind = BINARY[node.op_type] if place else TURNED[BINARY[node.op_type]]
        blob, end, name = net.blob(value), node.outputs[0], node.name or ""
        if array.size == 1 and len(array.shape) <= max(len(other), 1):
            net.put(end, with_number(net, name, kind, blob, float(array.reshape(-1)[0])))
            return True
        if kind in (ADD, SUB, MUL) and _per_channel(array, other, blob.form):
            net.put(end, _scaled(net, name, kind, blob, array))
            return True
    return False


def _per_channel(array: Array, shape: Shape, form: Shape) -> bool:
    """Whether a constant is one number for each outermost entry of a blob of three axes or more."""
    wide = (*(1,) * (len(shape) - array.ndim), *array.shape)
    plain = natural(shape)
    wanted = (*(1,) * (len(shape) - len(plain)), plain[0], *(1,) * (len(plain) - 1))
    return len(form) > 2 and form == plain and len(wide) == len(shape) and wide == wanted


def _scaled(net: Net, name: str, kind: int, blob: Blob, array: Array) -> Blob:
    """A Scale: each channel times a number, or plus one."""
    flat = array.astype(np.float32).reshape(-1)
    if kind == MUL:
        return net.add("Scale", name, (blob.name,), blob.form, {0: flat.size}, [Weight(flat)])
    shift = flat if kind == ADD else -flat
    return net.add("Bias", name, (blob.name,), blob.form, {0: flat.size}, [Weight(shift)])


def unary(net: Net, node: ir.Node) -> None:
    """One number after the other."""
    floats_only(net, node)
    operated(net, node, UNARY[node.op_type])


def operated(net: Net, node: ir.Node, kind: int) -> None:
    """A UnaryOp of this kind."""
    blob = net.blob(node.inputs[0])
    net.put(
        node.outputs[0], net.add("UnaryOp", node.name or "", (blob.name,), blob.form, {0: kind})
    )


def power(net: Net, node: ir.Node) -> None:
    """Pow with a constant exponent; ncnn's own knows no negative base."""
    floats_only(net, node)
    exponent = net.known(node.inputs[1], "exponent")
    if exponent.size != 1:
        raise Refused("its exponents differ")
    number, blob = float(exponent.reshape(-1)[0]), net.blob(node.inputs[0])
    name = node.name or ""
    if number == 1:
        net.put(node.outputs[0], blob)
    elif number in POWERS:
        operated(net, node, POWERS[number])
    elif number == 3:
        square = net.add("UnaryOp", f"{name}_square", (blob.name,), blob.form, {0: SQUARE})
        sources = (square.name, blob.name)
        net.put(node.outputs[0], net.add("BinaryOp", name, sources, blob.form, {KIND: MUL}))
    elif number.is_integer():
        raise Refused(f"ncnn's power of {number:g} is wrong for negative numbers")
    else:
        net.put(node.outputs[0], with_number(net, name, POW, blob, number))


def cast(net: Net, node: ir.Node) -> None:
    """Cast: every number is a float32 in ncnn; what loses its fraction is cut."""
    source, end = node.inputs[0], node.outputs[0]
    if source is None or source.dtype == end.dtype or net.is_float(end):
        net.put(end, net.blob(source))
    elif end.dtype not in WIDE:
        raise Refused(f"ncnn has no {end.dtype.name.lower() if end.dtype else 'such'} numbers")
    elif net.is_float(source):
        operated(net, node, TRUNCATE)
    else:
        net.put(end, net.blob(source))


def same(net: Net, node: ir.Node) -> None:
    """Identity, and Dropout in use."""
    training = given(node, 2)
    if training is not None and net.known(training, "training_mode").any():
        raise Refused("it drops numbers at random")
    if any(value.uses() or value.name in net.outputs for value in node.outputs[1:]):
        raise Refused("its mask is read")
    net.put(node.outputs[0], net.blob(node.inputs[0]))


OPERATORS: Mapping[str, Rule] = {
    **dict.fromkeys(BINARY, binary), **dict.fromkeys(UNARY, unary),
    "Mean": mean, "Pow": power, "Cast": cast, "Identity": same, "Dropout": same,
}  # fmt: skip
