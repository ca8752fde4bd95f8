"""A detector like YOLOv8: CSP backbone, pyramid of three levels, decoupled heads, boxes decoded."""

from __future__ import annotations

import numpy as np

from benchmarks.nets.layers import batched, conv_norm, integers, max_pool, predicted, silu
from benchmarks.nets.tracing import Tensor, Tracer

BINS = 16  # of the distribution over each distance from the centre of a cell to a side
STRIDES = (8, 16, 32)
CLASS_CENTRE, CLASS_SPREAD = -7.0, 2.0  # logits: a few cells of thousands are sure of something
BIN_SPREAD = 1.5


def v8(
    tracer: Tracer, width: float = 0.5, depth: float = 0.33, classes: int = 80
) -> dict[str, Tensor]:
    """Output (batch, 4 + classes, cells): centre, size in pixels; probabilities."""
    c = [round(width * channels) for channels in (64, 128, 256, 512, 1024 if width < 1 else 512)]
    short, long = max(1, round(3 * depth)), max(1, round(6 * depth))
    x = _conv(tracer, _conv(tracer, tracer.input, c[0], 3, 2), c[1], 3, 2)
    x = _split_stage(tracer, x, c[1], short, True)
    third = _split_stage(tracer, _conv(tracer, x, c[2], 3, 2), c[2], long, True)
    fourth = _split_stage(tracer, _conv(tracer, third, c[3], 3, 2), c[3], long, True)
    fifth = _split_stage(tracer, _conv(tracer, fourth, c[4], 3, 2), c[4], short, True)
    fifth = _pool_pyramid(tracer, fifth, c[4])
    x = tracer.op("Concat", _upsampled(tracer, fifth), fourth, axis=1)
    middle = _split_stage(tracer, x, c[3], short, False)
    x = tracer.op("Concat", _upsampled(tracer, middle), third, axis=1)
    small = _split_stage(tracer, x, c[2], short, False)
    x = tracer.op("Concat", _conv(tracer, small, c[2], 3, 2), middle, axis=1)
    middle = _split_stage(tracer, x, c[3], short, False)
    x = tracer.op("Concat", _conv(tracer, middle, c[3], 3, 2), fifth, axis=1)
    large = _split_stage(tracer, x, c[4], short, False)
    return {"output0": _detect(tracer, [small, middle, large], classes)}


def _conv(tracer: Tracer, x: Tensor, channels: int, kernel: int = 1, stride: int = 1) -> Tensor:
    return conv_norm(tracer, x, channels, kernel, stride, activation=silu)


def _split_stage(tracer: Tracer, x: Tensor, channels: int, blocks: int, residual: bool) -> Tensor:
    """Half of the channels go through a chain of blocks; all halves are joined again."""
    half = channels // 2
    x = _conv(tracer, x, channels)
    parts = tracer.split("Split", 2, x, integers(tracer, half, half), axis=1)
    for _ in range(blocks):
        y = _conv(tracer, _conv(tracer, parts[-1], half, 3), half, 3)
        parts.append(tracer.op("Add", parts[-1], y) if residual else y)
    return _conv(tracer, tracer.op("Concat", *parts, axis=1), channels)


def _pool_pyramid(tracer: Tracer, x: Tensor, channels: int) -> Tensor:
    parts = [_conv(tracer, x, channels // 2)]
    for _ in range(3):
        parts.append(max_pool(tracer, parts[-1], 5, 1, 2))
    return _conv(tracer, tracer.op("Concat", *parts, axis=1), channels)


def _upsampled(tracer: Tracer, x: Tensor) -> Tensor:
    scales = tracer.constant(np.array([1, 1, 2, 2], np.float32))
    return tracer.op(
        "Resize",
        x,
        None,
        scales,
        coordinate_transformation_mode="asymmetric",
        mode="nearest",
        nearest_mode="floor",
    )


def _detect(tracer: Tracer, levels: list[Tensor], classes: int) -> Tensor:
    box_width = max(16, levels[0].channels // 4, 4 * BINS)
    class_width = max(levels[0].channels, min(classes, 100))
    joined = []
    for level in levels:
        box = _conv(tracer, _conv(tracer, level, box_width, 3), box_width, 3)
        kind = _conv(tracer, _conv(tracer, level, class_width, 3), class_width, 3)
        box = predicted(tracer, box, 4 * BINS, 0.0, BIN_SPREAD)
        kind = predicted(tracer, kind, classes, CLASS_CENTRE, CLASS_SPREAD)
        both = tracer.op("Concat", box, kind, axis=1)
        cells = int(np.prod(both.array.shape[2:]))
        joined.append(batched(tracer, both, 4 * BINS + classes, cells))
    flat = tracer.op("Concat", *joined, axis=2)
    sizes = integers(tracer, 4 * BINS, classes)
    boxes, kinds = tracer.split("Split", 2, flat, sizes, axis=1)
    decoded = _decoded(tracer, boxes, *_cells(levels))
    return tracer.op("Concat", decoded, tracer.op("Sigmoid", kinds), axis=1)


def _decoded(tracer: Tracer, boxes: Tensor, anchors: np.ndarray, strides: np.ndarray) -> Tensor:
    """Expected distance to each side, from them centre and size in pixels: (batch, 4, cells)."""
    cells = boxes.array.shape[2]
    bins = tracer.op("Transpose", batched(tracer, boxes, 4, BINS, cells), perm=[0, 2, 1, 3])
    weights = tracer.weight(np.arange(BINS, dtype=np.float32).reshape(1, BINS, 1, 1))
    expected = tracer.op("Conv", tracer.op("Softmax", bins, axis=1), weights, kernel_shape=[1, 1])
    sides = batched(tracer, expected, 4, cells)
    axis, one, two, four = (integers(tracer, value) for value in (1, 0, 2, 4))
    before = tracer.op("Slice", sides, one, two, axis)
    after = tracer.op("Slice", sides, two, four, axis)
    centres = tracer.weight(anchors)
    start = tracer.op("Sub", centres, before)
    end = tracer.op("Add", centres, after)
    middle = tracer.op("Div", tracer.op("Add", start, end), tracer.constant(2.0))
    size = tracer.op("Sub", end, start)
    return tracer.op("Mul", tracer.op("Concat", middle, size, axis=1), tracer.weight(strides))


def _cells(levels: list[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Centres of all cells (1, 2, cells) in units of the cell, and its stride (1, cells)."""
    centres, strides = [], []
    for level, stride in zip(levels, STRIDES, strict=True):
        height, width = level.array.shape[2:]
        y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
        centres.append(np.stack([x.ravel(), y.ravel()]))
        strides.append(np.full(height * width, stride))
    return (
        np.concatenate(centres, 1)[None].astype(np.float32),
        np.concatenate(strides)[None].astype(np.float32),
    )
