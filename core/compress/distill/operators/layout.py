"""Operators that move elements: joining, cutting, padding, reshaping, resizing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from core.compress.distill.operators.call import Call, Operator, Tensor
from core.compress.distill.operators.resizing import resize, upsample


def _concat(call: Call) -> Tensor:
    inputs = [call.tensor(i) for i in range(len(call.inputs))]
    return call.torch.cat(inputs, call.attributes["axis"])


def _split(call: Call) -> Any:
    x, axis = call.tensor(), call.get("axis", 0)
    sizes = call.ints("split", 1)
    if sizes is None:
        each = math.ceil(x.shape[axis] / call.outputs)
        sizes = [each] * (call.outputs - 1)
        sizes.append(x.shape[axis] - sum(sizes))
    return tuple(call.torch.split(x, sizes, axis))


def _slice(call: Call) -> Tensor:
    x = call.tensor()
    starts, ends = call.ints("starts", 1) or [], call.ints("ends", 2) or []
    axes = call.ints("axes", 3) or list(range(len(starts)))
    steps = call.ints("steps", 4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = x.shape[axis]
        if step > 0:
            begin, stop, _ = slice(start, end, step).indices(size)
            x = x.narrow(axis, min(begin, size), max(stop - begin, 0))
            x = x[(slice(None),) * (axis % x.dim()) + (slice(None, None, step),)]
        else:  # ONNX clamps the end to -1, which a Python slice reads as the last element
            stop = max(end + size if -size <= end < 0 else end, -1)
            begin = min(start + size if start < 0 else start, size - 1)
            kept = call.torch.arange(begin, stop, step)
            x = x.index_select(axis, kept)
    return x


def _pad(call: Call) -> Tensor:
    x = call.tensor()
    given = call.ints("pads" if call.opset < 11 else "", 1) or []
    axes = call.ints("", 3) or list(range(len(given) // 2))
    half = len(given) // 2
    value = call.get("value", 0.0) if call.opset < 11 else _scalar(call, 2)
    pads = [(0, 0)] * x.dim()
    for axis, begin, end in zip(axes, given[:half], given[half:], strict=True):
        pads[axis] = (begin, end)
    mode = call.get("mode", "constant")
    if mode == "constant":
        flat = [n for pair in reversed(pads) for n in pair]
        return call.torch.nn.functional.pad(x, flat, value=value)
    for axis, (begin, end) in enumerate(pads):
        if begin or end:
            kept = np.pad(np.arange(x.shape[axis]), (begin, end), mode=mode)
            x = x.index_select(axis, call.torch.from_numpy(kept))
    return x


def _scalar(call: Call, position: int) -> float:
    found = call.array(position)
    return 0.0 if found is None or not found.size else float(found.reshape(-1)[0])


def _reshape(call: Call) -> Tensor:
    x, shape = call.tensor(), call.ints("shape", 1) or []
    if not call.get("allowzero", 0):
        shape = [x.shape[i] if size == 0 else size for i, size in enumerate(shape)]
    return x.reshape(shape)


def _flatten(call: Call) -> Tensor:
    x, axis = call.tensor(), call.get("axis", 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _transpose(call: Call) -> Tensor:
    x = call.tensor()
    return x.permute(call.ints("perm") or list(range(x.dim()))[::-1])


def _squeeze(call: Call) -> Tensor:
    x, axes = call.tensor(), call.ints("axes", 1)
    chosen = [i for i, n in enumerate(x.shape) if n == 1] if axes is None else axes
    return x.squeeze(tuple(chosen))


def _unsqueeze(call: Call) -> Tensor:
    x, axes = call.tensor(), call.ints("axes", 1) or []
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _expand(call: Call) -> Tensor:
    x, shape = call.tensor(), call.ints("", 1) or []
    return x.expand(np.broadcast_shapes(tuple(x.shape), tuple(shape)))


def _tile(call: Call) -> Tensor:
    return call.tensor().tile(call.ints("", 1))


def _gather(call: Call) -> Tensor:
    x, axis = call.tensor(0), call.get("axis", 0) % call.tensor(0).dim()
    index = call.tensor(1).long()
    index = call.torch.where(index < 0, index + x.shape[axis], index)
    picked = x.index_select(axis, index.reshape(-1))
    return picked.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _depth_to_space(call: Call) -> Tensor:
    x, block = call.tensor(), call.attributes["blocksize"]
    n, c, h, w = x.shape
    if call.get("mode", "DCR") == "DCR":
        parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(n, c // block**2, block, block, h, w).permute(0, 1, 4, 2, 5, 3)
    return parts.reshape(n, c // block**2, h * block, w * block)


def _space_to_depth(call: Call) -> Tensor:
    x, block = call.tensor(), call.attributes["blocksize"]
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * block**2, h // block, w // block)


def _shape(call: Call) -> Any:
    sizes = np.array(call.tensor().shape, np.int64)
    return sizes[call.get("start", 0) : call.get("end", None)]


OPERATORS: dict[str, Operator] = {
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": _expand,
    "Tile": _tile,
    "Gather": _gather,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Resize": resize,
    "Upsample": upsample,
    "Shape": _shape,
}
