"""Vector-Jacobian products of operators that move elements about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from core.analysis.values import as_slice, slice_steps, whole
from core.compress.autodiff.backward_graph import Backward, NoGradient, Rule, name_of


def _reshape(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    return {0: back.op("Reshape", g, back.op("Shape", name_of(node.inputs[0])))}


def _transpose(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    attribute = node.attributes.get("perm")
    if attribute is None:
        return {0: back.op("Transpose", g)}
    return {0: back.op("Transpose", g, perm=np.argsort(list(attribute.as_ints())).tolist())}


def _concat(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    rank = len(back.shape(node.outputs[0]))
    axis, start, made = node.attributes["axis"].as_int() % rank, 0, {}
    for position, value in enumerate(node.inputs):
        size = back.shape(value)[axis] if value is not None else "?"
        if not isinstance(size, int):
            raise NoGradient("Concat of dynamic sizes")
        made[position] = _cut(g, axis, start, start + size, back)
        start += size
    return made


def _cut(g: str, axis: int, start: int, end: int, back: Backward) -> str:
    if back.opset < 10:
        return back.op("Slice", g, starts=[start], ends=[end], axes=[axis])
    bounds = [back.const([n], np.int64) for n in (start, end, axis)]
    return back.op("Slice", g, *bounds)


def _padded(g: str, margins: Sequence[int], back: Backward) -> str:
    if back.opset < 11:
        return back.op("Pad", g, pads=list(margins))
    return back.op("Pad", g, back.const(margins, np.int64))


def split_(node: ir.Node, gradients: Sequence[str | None], back: Backward) -> dict[int, str]:
    """Concat undoes Split; the only operator with several outputs, so `gradient` asks for it."""
    rank = len(back.shape(node.outputs[0]))
    axis = node.attributes.get_int("axis", 0) % rank
    sizes = [back.shape(v)[axis] for v in node.outputs]
    if not all(isinstance(s, int) for s in sizes) or not all(gradients):
        raise NoGradient("Split that is only partly used")
    return {0: back.op("Concat", *[g for g in gradients if g], axis=axis)}


def _slice(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    x = node.inputs[0]
    shape = back.shape(x) if x is not None else ()
    steps = slice_steps(node, [back.known.content(v) for v in node.inputs], len(shape))
    if steps is None:
        raise NoGradient("Slice with computed ends")
    margins = [0] * (2 * len(shape))
    for axis, (start, end, step) in steps.items():
        size = shape[axis]
        if not isinstance(size, int):
            raise NoGradient("Slice of a dynamic size")
        begin, finish, stride = as_slice(start, end, step).indices(size)
        if stride < 1:
            raise NoGradient("Slice backwards")
        if stride > 1:
            g = _stretched(g, axis, stride, len(range(begin, finish, stride)), len(shape), back)
            finish = begin + stride * len(range(begin, finish, stride))
        margins[axis], margins[axis + len(shape)] = begin, size - finish
    return {0: _padded(g, margins, back) if any(margins) else g}


def _gather(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    """One matrix of zeros and ones picks; its transpose puts back, and adds where one was twice."""
    shape = back.shape(node.inputs[0])  # type: ignore[arg-type]
    indices = node.inputs[1]
    picked = whole(back.known.content(indices))
    rank = len(back.shape(indices))  # type: ignore[arg-type]
    axis = node.attributes.get_int("axis", 0) % max(len(shape), 1)
    size = shape[axis] if shape else "?"
    if picked is None or rank > 1 or not isinstance(size, int):
        raise NoGradient("Gather of computed places")
    matrix = np.eye(size)[np.array(picked) % size]
    if rank == 0:
        g = back.unsqueezed(g, axis)
    order = [*range(axis), *range(axis + 1, len(shape)), axis]
    last = back.op("Transpose", g, perm=order)
    spread = back.op("MatMul", last, back.const(matrix))
    return {0: back.op("Transpose", spread, perm=np.argsort(order).tolist())}


def _stretched(g: str, axis: int, stride: int, count: int, rank: int, back: Backward) -> str:
    """Zeros between the elements of an axis, `stride` - 1 behind each."""
    if back.opset < 13:
        raise NoGradient("Slice with a stride before opset 13")
    wide = back.unsqueezed(g, axis + 1)
    margins = [0] * (2 * (rank + 1))
    margins[axis + 1 + rank + 1] = stride - 1
    wide = _padded(wide, margins, back)
    shape = back.op("Shape", g)
    rest = back.op("Slice", shape, *[back.const([n], np.int64) for n in (axis + 1, rank, 0)])
    front = back.op("Slice", shape, *[back.const([n], np.int64) for n in (0, axis, 0)])
    middle = back.const([count * stride], np.int64)
    return back.op("Reshape", wide, back.op("Concat", front, middle, rest, axis=0))


def _pad(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    x = node.inputs[0]
    rank = len(back.shape(x)) if x is not None else 0
    if "pads" in node.attributes:
        amounts: list[int] | None = [int(p) for p in node.attributes["pads"].as_ints()]
    else:
        amounts = whole(back.known.content(node.inputs[1]))
    if amounts is None or len(amounts) != 2 * rank or min(amounts) < 0:
        raise NoGradient("Pad by unknown amounts")
    if node.attributes.get_string("mode", "constant") != "constant":
        raise NoGradient("Pad by reflection")
    shape = back.shape(x)  # type: ignore[arg-type]
    for axis in range(rank):
        if amounts[axis] or amounts[axis + rank]:
            size = shape[axis]
            if not isinstance(size, int):
                raise NoGradient("Pad of a dynamic size")
            g = _cut(g, axis, amounts[axis], amounts[axis] + size, back)
    return {0: g}


def _resize(node: ir.Node, g: str, back: Backward) -> dict[int, str]:
    """The sum over each block that came of one pixel; linear as if the nearest had been taken."""
    x = node.inputs[0]
    sizes, out = (back.shape(v)[2:] for v in (x, node.outputs[0]))  # type: ignore[arg-type]
    if not sizes or not all(isinstance(d, int) for d in (*sizes, *out)):
        raise NoGradient("Resize of dynamic sizes")
    pairs = [(int(n), int(m)) for n, m in zip(sizes, out, strict=True)]
    if any(m % n for n, m in pairs):
        raise NoGradient("Resize that is not by whole factors")
    block = [m // n for n, m in pairs]
    mean = back.op("AveragePool", g, kernel_shape=block, strides=block)
    return {0: back.op("Mul", mean, back.const(np.prod(block)))}


LAYOUT: dict[str, Rule] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshape),
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _slice,
    "Gather": _gather,
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    "Pad": _pad,
    "Split": lambda node, g, back: {},
}
