"""Reductions along axes, softmax, and the place of the largest number."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from core.formats.ncnn.attributes import Rule, flag, floats_only, listed
from core.formats.ncnn.layers import Parameter
from core.formats.ncnn.net import Blob, Net
from core.formats.ncnn.operators.elementwise import ADD, MUL, RSUB, SUB, with_number
from core.formats.ncnn.operators.pooling import GLOBAL, KIND, MEAN
from core.formats.ncnn.refusal import Refused
from core.formats.ncnn.sizes import Shape, along, around, within

REDUCTIONS = {
    "ReduceSum": 0, "ReduceSumSquare": 2, "ReduceMean": 3, "ReduceMax": 4, "ReduceMin": 5,
    "ReduceProd": 6, "ReduceL1": 7, "ReduceL2": 8, "ReduceLogSum": 9, "ReduceLogSumExp": 10,
}  # fmt: skip
SMALLEST = -1e-37  # what a difference of two floats that is not zero is below
EXACT_IN_FLOAT32 = 1 << 24
FIRST_SOFTMAX_OF_ONE_AXIS = 13


def reduce(net: Net, node: ir.Node) -> None:
    """ReduceSum and its kin."""
    floats_only(net, node)
    shape = net.shape(node.inputs[0])
    axes = listed(net, node, "axes", 1)
    if not axes and flag(node, "noop_with_empty_axes"):
        net.put(node.outputs[0], net.blob(node.inputs[0]))
        return
    axes = axes or list(range(len(shape)))
    form, places = within(shape, axes)
    blob = Blob(net.formed(node.inputs[0], form), form)
    name = node.name or ""
    if node.op_type == "ReduceMean" and len(form) == 3 and places == (1, 2):
        made = net.add("Pooling", name, (blob.name,), form[:1], {KIND: MEAN, GLOBAL: 1})
    elif node.op_type == "ReduceLogSumExp":
        made = _log_sum_exp(net, name, blob, places)
    else:
        made = reduced(net, name, REDUCTIONS[node.op_type], blob, places)
    net.put(node.outputs[0], made)


def _log_sum_exp(net: Net, name: str, blob: Blob, places: tuple[int, ...]) -> Blob:
    """The maximum goes out first and comes back last: exponentials of float32 end at 88."""
    most, _, total = _beside_most(net, name, blob, places)
    return net.add("BinaryOp", name, (total.name, most.name), most.form, {0: ADD})


def _beside_most(
    net: Net, name: str, blob: Blob, places: tuple[int, ...]
) -> tuple[Blob, Blob, Blob]:
    """The maximum, what is left without it, and the logarithm of the sum of that's exponentials."""
    most = reduced(net, f"{name}_max", REDUCTIONS["ReduceMax"], blob, places)
    less = net.add("BinaryOp", f"{name}_less", (blob.name, most.name), blob.form, {0: SUB})
    return most, less, reduced(net, f"{name}_total", REDUCTIONS["ReduceLogSumExp"], less, places)


def reduced(net: Net, name: str, kind: int, blob: Blob, places: tuple[int, ...]) -> Blob:
    """A blob reduced along axes of its form, which stay as axes of one element."""
    form = tuple(1 if i in places else size for i, size in enumerate(blob.form))
    parameters: dict[int, Parameter] = {0: kind, 1: 0, 3: places, 4: 1, 5: 1}
    return net.add("Reduction", name, (blob.name,), form, parameters)


def softmax(net: Net, node: ir.Node) -> None:
    """Softmax along an axis; in older opsets along all axes from one on."""
    blob, place = _softmaxed(net, node)
    net.put(node.outputs[0], net.add(
        "Softmax", node.name or "", (blob.name,), blob.form, {0: place, 1: 1}
    ))  # fmt: skip


def log_softmax(net: Net, node: ir.Node) -> None:
    """LogSoftmax: x - max, less the logarithm of the sum of its exponentials."""
    blob, place = _softmaxed(net, node)
    name = node.name or ""
    _, less, total = _beside_most(net, name, blob, (place,))
    sources = (less.name, total.name)
    net.put(node.outputs[0], net.add("BinaryOp", name, sources, blob.form, {0: SUB}))


def _softmaxed(net: Net, node: ir.Node) -> tuple[Blob, int]:
    """What goes into a softmax, and the axis of its form along which it goes."""
    shape = net.shape(node.inputs[0])
    old = net.opset < FIRST_SOFTMAX_OF_ONE_AXIS
    axis = node.attributes.get_int("axis", 1 if old else -1)
    if old:
        axis %= len(shape)
        before = math.prod(shape[:axis])
        rest = math.prod(shape[axis:])
        form: Shape = (rest,) if before == 1 else (before, rest)
        place = len(form) - 1
    else:
        form, place = along(shape, axis)
    return Blob(net.formed(node.inputs[0], form), form), place


def arg_max(net: Net, node: ir.Node) -> None:
    """ArgMax and ArgMin, of which ncnn has none: by comparing with the maximum.

    Where x equals it, x - max is 0; these places are numbered downwards, and the largest number
    left is that of the first one.
    """
    shape = net.shape(node.inputs[0])
    before, size, behind = around(shape, node.attributes.get_int("axis", 0))
    if size > EXACT_IN_FLOAT32:
        raise Refused(f"float32 cannot count {size} places")
    form = (before, size, behind)
    blob, name = Blob(net.formed(node.inputs[0], form), form), node.name or ""
    if node.op_type == "ArgMin":
        blob = with_number(net, f"{name}_turned", MUL, blob, -1.0)
    last = flag(node, "select_last_index")
    most = reduced(net, f"{name}_max", REDUCTIONS["ReduceMax"], blob, (1,))
    less = net.add("BinaryOp", f"{name}_less", (blob.name, most.name), form, {0: SUB})
    same = net.add("Threshold", f"{name}_same", (less.name,), form, {0: SMALLEST})
    numbers = np.arange(1, size + 1) if last else np.arange(size, 0, -1)
    steps = net.constant(numbers, (1, size, 1), f"{name}_places")
    placed = net.add("BinaryOp", f"{name}_placed", (same.name, steps.name), form, {0: MUL})
    found = reduced(net, f"{name}_found", REDUCTIONS["ReduceMax"], placed, (1,))
    if last:
        net.put(node.outputs[0], with_number(net, name, SUB, found, 1.0))
    else:
        net.put(node.outputs[0], with_number(net, name, RSUB, found, float(size)))


OPERATORS: Mapping[str, Rule] = {
    **dict.fromkeys(REDUCTIONS, reduce), "Softmax": softmax, "LogSoftmax": log_softmax,
    "ArgMax": arg_max, "ArgMin": arg_max,
}  # fmt: skip
