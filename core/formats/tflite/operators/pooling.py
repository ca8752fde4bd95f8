"""Pools: maxima and means of windows, and of all of height and width."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from core.formats.tflite import layout
from core.formats.tflite.attributes import integer, integers
from core.formats.tflite.flatbuffer import Activation, Padding
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.operators.reduction import reduced
from core.formats.tflite.operators.windows import Pair, Spatial, deepened, flattened, padded
from core.formats.tflite.refusal import Refused
from core.formats.tflite.tail import activated
from core.graph import windows

LOWEST = float(np.finfo(np.float32).min)
LOWEST_CODE = -128
BOUNDED_BELOW = (Activation.RELU, Activation.RELU6)
LARGEST_DILATED = 49  # elements of a dilated window, which is written as as many slices
MOVES = frozenset({"TRANSPOSE", "RESHAPE", "MAX_POOL_2D"})
POSITIVE = frozenset({"RELU", "RELU6", "LOGISTIC", "SOFTMAX", "ABS"})


def _window(net: Net, node: ir.Node) -> Spatial:
    kernel = integers(node, "kernel_shape") or []
    if len(kernel) not in (1, 2):
        raise Refused(f"a pool of {len(kernel)} spatial axes has no kernel")
    window = windows.window(node, kernel, net.shape(node.inputs[0])[2:])
    return Spatial.of(window)


def _image(net: Net, x: Stored) -> Stored:
    return deepened(net, net.ordered(x, layout.channels_last(len(x.shape))))


def _counts(net: Net, node: ir.Node) -> Pair:
    spatial = net.shape(node.outputs[0])[2:]
    return (*(1 for _ in range(2 - len(spatial))), *spatial)


def max_pool(net: Net, node: ir.Node) -> None:
    """MAX_POOL_2D; a maximum of slices where the window is dilated."""
    if any(net.is_read(output) for output in node.outputs[1:]):
        raise Refused("the places of its maxima are read")
    window, counts = _window(net, node), _counts(net, node)
    x = _image(net, net.given(node.inputs[0]))
    if x.kind not in ("float32", "int8"):
        raise Refused(f"there is no kernel for {x.kind}")
    before, behind = window.needed(x.shape[2:], counts)
    dilated = max(window.dilations) > 1
    same = not dilated and window.is_same(x.shape[2:], counts)
    if any((*before, *behind)) and not same:
        zero_is_lowest = _positive(net, x) if x.grid is None else x.grid.zero == LOWEST_CODE
        lowest = 0.0 if zero_is_lowest else LOWEST if x.kind == "float32" else LOWEST_CODE
        x = padded(net, x, before, behind, lowest)
    y = _filled(net, node.outputs[0], x)
    if dilated:
        _maximum_of_slices(net, x, y, window, counts)
    else:
        net.file.op(
            "MAX_POOL_2D", [x.tensor], [y.tensor],
            padding=Padding.SAME if same else Padding.VALID, **_options(window),
        )  # fmt: skip
    flattened(net, node.outputs[0], y)


def _filled(net: Net, value: ir.Value, x: Stored) -> Stored:
    order = layout.channels_last(len(net.shape(value)))
    made = net.made(value, order, kind=x.kind, grid=x.grid, coded=x.coded)
    return deepened(net, made, write=False)


def _options(window: Spatial) -> dict[str, int]:
    return {
        "strideH": window.strides[0], "strideW": window.strides[1],
        "filterHeight": window.kernel[0], "filterWidth": window.kernel[1],
    }  # fmt: skip


def _positive(net: Net, x: Stored) -> bool:
    """Whether nothing in a tensor is below zero, so that zeros around change no maximum."""
    tensor = x.tensor
    for one in reversed(net.file.operations):
        if tensor not in one.outputs:
            continue
        if one.code not in MOVES:
            return (
                one.code in POSITIVE or one.options.get("fusedActivationFunction") in BOUNDED_BELOW
            )
        tensor = one.inputs[0]
    return False


def _maximum_of_slices(net: Net, x: Stored, y: Stored, window: Spatial, counts: Pair) -> None:
    places = [(i, j) for i in range(window.kernel[0]) for j in range(window.kernel[1])]
    if len(places) > LARGEST_DILATED or x.grid is not None:
        raise Refused("its window has holes")
    found = -1
    for number, (i, j) in enumerate(places):
        begin = (0, i * window.dilations[0], j * window.dilations[1], 0)
        extent = [(c - 1) * s + 1 for c, s in zip(counts, window.strides, strict=True)]
        end = (y.shape[0], begin[1] + extent[0], begin[2] + extent[1], y.shape[1])
        part = net.file.tensor(f"slice_{number}", y.placed, "float32")
        steps = (1, *window.strides, 1)
        bounds = [net.listed(np.array(v, np.int32)) for v in (begin, end, steps)]
        net.file.op("STRIDED_SLICE", [x.tensor, *bounds], [part])
        if found < 0:
            found = part
            continue
        last = number == len(places) - 1
        larger = y.tensor if last else net.file.tensor("larger", y.placed, "float32")
        net.file.op("MAXIMUM", [found, part], [larger])
        found = larger


def average_pool(net: Net, node: ir.Node) -> None:
    """AVERAGE_POOL_2D; a factor for each place where ONNX counts the edge otherwise."""
    window, counts = _window(net, node), _counts(net, node)
    if max(window.dilations) > 1:
        raise Refused("its window has holes")
    x = _image(net, net.real(node.inputs[0]))
    sizes, counted = x.shape[2:], integer(node, "count_include_pad", 0)
    before, behind = window.needed(sizes, counts)
    edge = any((*before, *behind))
    same = edge and not counted and window.is_same(sizes, counts)
    if edge and not same:
        x = padded(net, x, before, behind)
    tail = activated(net, node.outputs[0])
    y = deepened(net, tail.made(net, layout.channels_last(len(net.shape(node.outputs[0])))),
                 write=False)  # fmt: skip
    factor = None if same or not edge else _factor(window, sizes, counts, bool(counted))
    plain = factor is None or bool(np.all(factor == 1))
    mean = y if plain else net.fresh(y.shape, y.order, y.kind, "mean_with_edge")
    net.file.op(
        "AVERAGE_POOL_2D", [x.tensor], [mean.tensor],
        padding=Padding.SAME if same else Padding.VALID, **_options(window),
        **({"fusedActivationFunction": tail.activation} if plain else {}),
    )  # fmt: skip
    if factor is not None and not plain:
        shaped = net.listed(factor.astype(np.float32)[None, :, :, None])
        net.file.op("MUL", [mean.tensor, shaped], [y.tensor],
                    fusedActivationFunction=tail.activation)  # fmt: skip
    flattened(net, tail.value, y)


def _factor(window: Spatial, sizes: Pair, counts: Pair, counted: bool) -> np.ndarray:
    """Elements of a whole window over those that ONNX counts, for each place of it."""
    rows = []
    axes = zip(sizes, window.kernel, window.strides, window.before, window.after, counts,
               strict=True)  # fmt: skip
    for n, k, s, before, after, count in axes:
        low, high = (-before, n + after) if counted else (0, n)
        starts = np.arange(count) * s - before
        inside = np.minimum(starts + k, high) - np.maximum(starts, low)
        rows.append(k / np.maximum(inside, 1))
    return np.outer(rows[0], rows[1])


def global_average(net: Net, node: ir.Node) -> None:
    """MEAN over all spatial axes."""
    rank = len(net.shape(node.inputs[0]))
    reduced(net, node, "MEAN", tuple(range(2, rank)), keep=True)


def global_max(net: Net, node: ir.Node) -> None:
    """REDUCE_MAX over all spatial axes."""
    rank = len(net.shape(node.inputs[0]))
    reduced(net, node, "REDUCE_MAX", tuple(range(2, rank)), keep=True)


OPERATORS: Mapping[str, Callable[[Net, ir.Node], None]] = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average,
    "GlobalMaxPool": global_max,
}
