"""Pooling, reductions and what normalises over an axis."""

from __future__ import annotations

import math

from core.compress.distill.operators.call import Call, Operator, Tensor
from core.compress.distill.operators.padding import pad, window
from core.graph.windows import Window


def _max_pool(call: Call) -> Tensor:
    x = call.tensor()
    kernel = call.ints("kernel_shape") or []
    windows = window(call, kernel, x.shape[2:])
    pads = _widened(call, windows, x)
    pool = getattr(call.torch.nn.functional, f"max_pool{len(kernel)}d")
    padded = pad(call, x, pads, -math.inf)
    return pool(padded, kernel, windows.strides, 0, windows.dilations)


def _average_pool(call: Call) -> Tensor:
    """The mean over the elements of a window that count, by a mask of ones."""
    x = call.tensor()
    kernel = call.ints("kernel_shape") or []
    windows = window(call, kernel, x.shape[2:])
    pads = _widened(call, windows, x)
    pool = _dilated_mean if set(windows.dilations) != {1} else _mean
    summed = pool(call, pad(call, x, pads), windows)
    if pads == windows.pads and (call.get("count_include_pad", 0) or not any(map(any, pads))):
        return summed
    ones = x.new_ones((1, 1, *x.shape[2:]))
    if call.get("count_include_pad", 0):
        ones = pad(call, ones, windows.pads, 1.0)
        pads = tuple((0, b[1] - a[1]) for a, b in zip(windows.pads, pads, strict=True))
    return summed / pool(call, pad(call, ones, pads), windows)


def _widened(call: Call, windows: Window, x: Tensor) -> tuple[tuple[int, int], ...]:
    if not call.get("ceil_mode", 0):
        return windows.pads
    extra = windows.rounded_up(x.shape[2:])
    return tuple((b, e + more) for (b, e), more in zip(windows.pads, extra, strict=True))


def _mean(call: Call, x: Tensor, windows: Window) -> Tensor:
    pool = getattr(call.torch.nn.functional, f"avg_pool{len(windows.kernel)}d")
    return pool(x, windows.kernel, windows.strides)


def _dilated_mean(call: Call, x: Tensor, windows: Window) -> Tensor:
    """PyTorch averages no dilated windows: a depthwise convolution with equal weights does."""
    channels, rank = x.shape[1], len(windows.kernel)
    weight = x.new_full((channels, 1, *windows.kernel), 1 / math.prod(windows.kernel))
    conv = getattr(call.torch.nn.functional, f"conv{rank}d")
    return conv(x, weight, None, windows.strides, 0, windows.dilations, channels)


def _global(name: str) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor()
        return getattr(call.torch, name)(x, list(range(2, x.dim())), keepdim=True)

    return run


def _reduce(name: str) -> Operator:
    def run(call: Call) -> Tensor:
        x = call.tensor()
        axes = call.ints("axes", 1)
        if not axes:
            if call.get("noop_with_empty_axes", 0):
                return x
            axes = list(range(x.dim()))
        return _over(call, name, x, axes)

    return run


def _over(call: Call, name: str, x: Tensor, axes: list[int]) -> Tensor:
    keep = bool(call.get("keepdims", 1))
    if name == "norm1":
        return x.abs().sum(axes, keepdim=keep)
    if name == "norm2":
        return (x * x).sum(axes, keepdim=keep).sqrt()
    if name == "squares":
        return (x * x).sum(axes, keepdim=keep)
    return getattr(call.torch, name)(x, axes, keepdim=keep)


def _softmax(name: str) -> Operator:
    def run(call: Call) -> Tensor:
        x, function = call.tensor(), getattr(call.torch, name)
        if call.opset >= 13:
            return function(x, call.get("axis", -1))
        axis = call.get("axis", 1)
        axis = axis if axis >= 0 else axis + x.dim()
        return function(x.flatten(axis), -1).reshape(x.shape)

    return run


OPERATORS: dict[str, Operator] = {
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global("mean"),
    "GlobalMaxPool": _global("amax"),
    "ReduceMean": _reduce("mean"),
    "ReduceSum": _reduce("sum"),
    "ReduceMax": _reduce("amax"),
    "ReduceMin": _reduce("amin"),
    "ReduceL1": _reduce("norm1"),
    "ReduceL2": _reduce("norm2"),
    "ReduceSumSquare": _reduce("squares"),
    "Softmax": _softmax("softmax"),
    "LogSoftmax": _softmax("log_softmax"),
}
