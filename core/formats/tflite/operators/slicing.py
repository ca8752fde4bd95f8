"""Parts of tensors and their joining: Slice, Split, Gather, Pad, Concat, Tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from core.formats.tflite import layout
from core.formats.tflite.attributes import given, integer, listed, scalar, text
from core.formats.tflite.codes import SHIFT
from core.formats.tflite.flatbuffer import Grid, Padding
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.operators.arithmetic import fixed, order_of
from core.formats.tflite.refusal import Refused
from core.formats.tflite.tail import Tail, quantized

Write = Callable[[Net, ir.Node], None]
PLANE = 2
NEAR = 3  # pixels from the corner


def _like(net: Net, value: ir.Value, x: Stored, order: layout.Order | None = None) -> Stored:
    return net.made(value, order or x.order, kind=x.kind, grid=x.grid, coded=x.coded)


def slices(net: Net, node: ir.Node) -> None:
    """SLICE, STRIDED_SLICE where it skips; a pool of single elements where it skips pixels."""
    x = net.given(node.inputs[0])
    target, rank = net.shape(node.outputs[0]), len(x.shape)
    starts, ends = listed(net, node, 1, "starts"), listed(net, node, 2, "ends")
    axes = listed(net, node, 3, "axes") if given(node, 3) or "axes" in node.attributes else None
    steps = listed(net, node, 4, "steps") if given(node, 4) else None
    if starts is None or ends is None:
        raise Refused("where it begins is not known")
    axes = [a % rank for a in (axes or range(len(starts)))]
    steps = steps or [1] * len(starts)
    begin, stride = [0] * rank, [1] * rank
    for axis, start, step in zip(axes, starts, steps, strict=True):
        size = x.shape[axis]
        low, high = (0, size) if step > 0 else (-1, size - 1)
        begin[axis] = min(max(start + size if start < 0 else start, max(low, 0)), high)
        stride[axis] = step
    if target == x.shape and all(s == 1 for s in stride):
        net.put(node.outputs[0], x)
        return
    if max(stride) > 1 and _skips_pixels(x, begin, stride):
        x = net.ordered(x, layout.channels_last(rank))
        _thinned(net, x, _like(net, node.outputs[0], x), begin, stride)
        return
    _cut(net, x, _like(net, node.outputs[0], x), begin, stride)


def _cut(net: Net, x: Stored, y: Stored, begin: list[int], stride: list[int]) -> None:
    """Write a slice of ONNX's axes into `y`."""
    first = [begin[axis] for axis in x.order]
    step = [stride[axis] for axis in x.order]
    if all(s == 1 for s in step):
        bounds = [net.listed(np.array(v, np.int32)) for v in (first, y.placed)]
        net.file.op("SLICE", [x.tensor, *bounds], [y.tensor])
        return
    last = [b + (n - 1) * s + (1 if s > 0 else -1)
            for b, n, s in zip(first, y.placed, step, strict=True)]  # fmt: skip
    open_end = sum(1 << i for i, end in enumerate(last) if end < 0)
    bounds = [net.listed(np.array(v, np.int32)) for v in (first, last, step)]
    net.file.op("STRIDED_SLICE", [x.tensor, *bounds], [y.tensor], endMask=open_end)


def _skips_pixels(x: Stored, begin: list[int], stride: list[int]) -> bool:
    """Whether it takes every so many rows and columns of an image, from one of the first on."""
    image = len(x.shape) == PLANE + 2 and x.kind == "float32" and not any(begin[:2])
    return image and stride[:2] == [1, 1] and min(stride) > 0 and max(begin) < NEAR


def _thinned(net: Net, x: Stored, y: Stored, begin: list[int], stride: list[int]) -> None:
    """A depthwise convolution by a single one: XNNPACK has that, and no slice that skips."""
    kernel = np.zeros((1, begin[2] + 1, begin[3] + 1, x.shape[1]), np.float32)
    kernel[:, -1, -1] = 1
    zeros = net.listed(np.zeros(x.shape[1], np.float32))
    net.file.op(
        "DEPTHWISE_CONV_2D", [x.tensor, net.listed(kernel), zeros], [y.tensor],
        padding=Padding.VALID, strideH=stride[2], strideW=stride[3], depthMultiplier=1,
    )  # fmt: skip


def split(net: Net, node: ir.Node) -> None:
    """One SLICE for each part that somebody reads."""
    x = net.given(node.inputs[0])
    axis = integer(node, "axis", 0) % len(x.shape)
    at = 0
    for output in node.outputs:
        size = net.shape(output)[axis]
        if net.is_read(output):
            begin = [0] * len(x.shape)
            begin[axis] = at
            _cut(net, x, _like(net, output, x), begin, [1] * len(x.shape))
        at += size


def gather(net: Net, node: ir.Node) -> None:
    """GATHER; a known single place is a slice."""
    x, axis = net.given(node.inputs[0]), integer(node, "axis", 0)
    axis %= len(x.shape)
    index, out = net.array(node.inputs[1]), node.outputs[0]
    target = net.shape(out)
    if index is None:
        _gather_computed(net, node, x, axis)
        return
    places = np.where(index < 0, index + x.shape[axis], index).astype(np.int32)
    if index.ndim == 0:
        left = layout.without(x.order, (axis,))
        begin, shape = [0] * len(x.shape), list(x.shape)
        begin[axis], shape[axis] = int(places), 1
        one = replace(net.fresh(shape, x.order, x.kind, f"{node.name}_one", x.grid),
                      coded=x.coded)  # fmt: skip
        _cut(net, x, one, begin, [1] * len(shape))
        net.viewed(out, one, target, left)
        return
    order = x.order
    if index.ndim > 1:
        x = net.ordered(x, layout.plain(len(x.shape)))
        order = layout.plain(len(target))
    y = _like(net, out, x, order)
    net.file.op("GATHER", [x.tensor, net.listed(places)], [y.tensor], axis=x.axis(axis))


def _gather_computed(net: Net, node: ir.Node, x: Stored, axis: int) -> None:
    """By places that are computed while the model runs: they count from the front."""
    places = net.real(node.inputs[1])
    if places.kind not in ("int32", "int64"):
        raise Refused(f"places of {places.kind} have no kernel")
    x = net.ordered(x, layout.plain(len(x.shape)))
    places = net.ordered(places, layout.plain(len(places.shape)))
    y = _like(net, node.outputs[0], x, layout.plain(len(net.shape(node.outputs[0]))))
    net.file.op("GATHER", [x.tensor, places.tensor], [y.tensor], axis=axis)


def pad(net: Net, node: ir.Node) -> None:
    """PAD, PADV2 or MIRROR_PAD; a Gather where edges are repeated; a Slice where it crops."""
    x = net.given(node.inputs[0])
    rank, mode = len(x.shape), text(node, "mode", "constant")
    pads = listed(net, node, 1, "pads")
    if pads is None:
        raise Refused("its pads are not known")
    axes = listed(net, node, 3, "axes") if given(node, 3) else None
    axes = [a % rank for a in (axes or range(rank))]
    before, behind = [0] * rank, [0] * rank
    for place, axis in enumerate(axes):
        before[axis], behind[axis] = pads[place], pads[place + len(axes)]
    x = _cropped(net, node, x, before, behind)
    before, behind = [max(b, 0) for b in before], [max(b, 0) for b in behind]
    if not any((*before, *behind)):
        net.put(node.outputs[0], x)
    elif mode == "constant":
        _pad_constant(net, node, x, before, behind)
    elif mode == "reflect" and x.kind == "float32":
        y = _like(net, node.outputs[0], x)
        net.file.op("MIRROR_PAD", [x.tensor, _amounts(net, x, before, behind)], [y.tensor], mode=0)
    else:
        _pad_by_places(net, node, x, before, behind, mode)


def _amounts(net: Net, x: Stored, before: list[int], behind: list[int]) -> int:
    return net.listed(np.array([(before[a], behind[a]) for a in x.order], np.int32))


def _cropped(net: Net, node: ir.Node, x: Stored, before: list[int], behind: list[int]) -> Stored:
    begin = [max(-b, 0) for b in before]
    shape = [n + min(b, 0) + min(a, 0) for n, b, a in zip(x.shape, before, behind, strict=True)]
    if tuple(shape) == x.shape:
        return x
    made = replace(net.fresh(shape, x.order, x.kind, f"{node.name}_cropped", x.grid),
                   coded=x.coded)  # fmt: skip
    _cut(net, x, made, begin, [1] * len(shape))
    return made


def _pad_constant(net: Net, node: ir.Node, x: Stored, before: list[int], behind: list[int]) -> None:
    value, source = scalar(net, node, 2, "value", 0.0), node.inputs[0]
    if x.coded:  # the value is a code, of ONNX's type
        unsigned = source is not None and source.dtype == ir.DataType.UINT8
        value = value - SHIFT if unsigned else value
        if x.grid is None or value != x.grid.zero:
            raise Refused("it pads codes with another number than 0")
        value = 0.0
    elif x.grid is not None and value:
        x = net.numbers(x)
    y = _like(net, node.outputs[0], x)
    amounts = _amounts(net, x, before, behind)
    if value:
        net.file.op("PADV2", [x.tensor, amounts, net.number(value, x.kind)], [y.tensor])
    else:
        net.file.op("PAD", [x.tensor, amounts], [y.tensor])


def _pad_by_places(
    net: Net, node: ir.Node, x: Stored, before: list[int], behind: list[int], mode: str
) -> None:
    """Axis by axis, a Gather of the places that the mode repeats."""
    words = {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}
    if mode not in words:
        raise Refused(f"its mode {mode} has no kernel")
    axes = [a for a in range(len(x.shape)) if before[a] or behind[a]]
    for axis in axes:
        places = np.pad(np.arange(x.shape[axis]), (before[axis], behind[axis]), words[mode])  # type: ignore[call-overload]
        shape = tuple(len(places) if a == axis else n for a, n in enumerate(x.shape))
        made = net.fresh(shape, x.order, x.kind, f"{node.name}_{axis}", x.grid)
        index = net.listed(places.astype(np.int32))
        net.file.op("GATHER", [x.tensor, index], [made.tensor], axis=x.axis(axis))
        x = replace(made, coded=x.coded)
    net.put(node.outputs[0], x)


def concat(net: Net, node: ir.Node) -> None:
    """CONCATENATION; of codes, all on the grid of what follows, or on the one that they share."""
    out, rank = node.outputs[0], len(net.shape(node.outputs[0]))
    inputs = [v for v in node.inputs if v is not None and 0 not in net.shape(v)]
    order = order_of(net, inputs, rank)
    computed = [None if fixed(net, value) else net.given(value) for value in inputs]
    grids = {one.grid if one is not None else None for one in computed}
    coded = {one.coded for one in computed if one is not None}
    tail = Tail(out)
    if None not in grids and coded == {False}:
        tail = quantized(net, tail) or Tail(out, grid=grids.pop() if len(grids) == 1 else None)
    elif coded == {True} and len(grids) == 1 and None not in grids:
        tail = Tail(out, grid=grids.pop())
    sides = [_on_grid(net, value, tail.grid, order) for value in inputs]
    if len(sides) == 1:
        net.done.update(tail.nodes)
        net.put(tail.value, sides[0])
        return
    net.done.update(tail.nodes)
    is_coded = tail.value is not out or coded == {True}
    y = net.made(tail.value, order, kind="int8" if tail.grid else "", grid=tail.grid,
                 coded=is_coded and tail.grid is not None)  # fmt: skip
    axis = order.index(integer(node, "axis", 0) % rank)
    net.file.op("CONCATENATION", [side.tensor for side in sides], [y.tensor], axis=axis)


def _on_grid(net: Net, value: ir.Value, grid: Grid | None, order: layout.Order) -> Stored:
    """An input as numbers, or as codes of a grid."""
    if grid is None:
        if fixed(net, value) and net.array(value) is not None:
            return net.of_array(net.known(value, "input"), value.name or "", order)
        return net.real(value, order)
    x = net.ordered(net.given(value), order)
    if x.grid == grid:
        return x
    made = net.fresh(x.shape, order, "int8", f"{net.name(x)}_regraded", grid)
    net.file.op("QUANTIZE", [x.tensor], [made.tensor])
    return made


def tile(net: Net, node: ir.Node) -> None:
    """TILE."""
    x = net.real(node.inputs[0])
    repeats = listed(net, node, 1, "repeats") or []
    y = net.made(node.outputs[0], x.order, x.kind)
    amounts = net.listed(np.array([repeats[axis] for axis in x.order], np.int32))
    net.file.op("TILE", [x.tensor, amounts], [y.tensor])


OPERATORS: Mapping[str, Write] = {
    "Slice": slices,
    "Split": split,
    "Gather": gather,
    "Pad": pad,
    "Concat": concat,
    "Tile": tile,
}
