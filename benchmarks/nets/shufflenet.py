"""ShuffleNet V1 (Zhang et al. 2017: grouped 1x1) and V2 (Ma et al. 2018: split, concatenated)."""

from __future__ import annotations

from benchmarks.nets.layers import (
    average_pool,
    batched,
    classifier,
    conv_norm,
    identity,
    integers,
    max_pool,
)
from benchmarks.nets.tracing import Tensor, Tracer

DEPTHS = (4, 8, 4)
V1_WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # of the first stage, by the number of groups
V2_WIDTHS = (116, 232, 464)
LAST = 0.6  # typical factor of the norm that ends a branch


def v1(
    tracer: Tracer, groups: int = 3, width: int | None = None, classes: int = 1000
) -> dict[str, Tensor]:
    """Grouped 1x1 convolutions, a shuffle between them."""
    x = max_pool(tracer, conv_norm(tracer, tracer.input, 24, 3, 2), 3, 2, 1)
    channels = width or V1_WIDTHS[groups]
    for stage, depth in enumerate(DEPTHS):
        for index in range(depth):
            first = 1 if not stage and not index else groups  # 24 channels are too few to group
            x = _grouped(tracer, x, channels * 2**stage, groups, first, 1 if index else 2)
    return _head(tracer, x, classes)


def v2(
    tracer: Tracer, widths: tuple[int, int, int] = V2_WIDTHS, last: int = 1024, classes: int = 1000
) -> dict[str, Tensor]:
    """Half of the channels pass by each unit, a shuffle behind it."""
    x = max_pool(tracer, conv_norm(tracer, tracer.input, 24, 3, 2), 3, 2, 1)
    for width, depth in zip(widths, DEPTHS, strict=True):
        for index in range(depth):
            x = _halved(tracer, x, width) if index else _doubled(tracer, x, width)
    return _head(tracer, conv_norm(tracer, x, last), classes)


def shuffle(tracer: Tracer, x: Tensor, groups: int) -> Tensor:
    """Channels (groups, each) read as (each, groups): Reshape, Transpose, Reshape."""
    height, width = x.array.shape[2:]
    apart = batched(tracer, x, groups, x.channels // groups, height, width)
    turned = tracer.op("Transpose", apart, perm=[0, 2, 1, 3, 4])
    return batched(tracer, turned, x.channels, height, width)


def _grouped(tracer: Tracer, x: Tensor, width: int, groups: int, first: int, stride: int) -> Tensor:
    inner = width // 4
    y = conv_norm(tracer, x, inner, groups=first)
    y = shuffle(tracer, y, groups)
    y = conv_norm(tracer, y, inner, 3, stride, inner, identity)
    out = width if stride == 1 else width - x.channels
    y = conv_norm(tracer, y, out, groups=groups, activation=identity, centre=LAST)
    if stride == 1:
        return tracer.op("Relu", tracer.op("Add", x, y))
    joined = tracer.op("Concat", average_pool(tracer, x, 3, 2, 1), y, axis=1)
    return tracer.op("Relu", joined)


def _halved(tracer: Tracer, x: Tensor, width: int) -> Tensor:
    half = width // 2
    kept, y = tracer.split("Split", 2, x, integers(tracer, half, half), axis=1)
    return _joined(tracer, kept, _branch(tracer, y, half, 1))


def _doubled(tracer: Tracer, x: Tensor, width: int) -> Tensor:
    half = width // 2
    kept = conv_norm(tracer, x, x.channels, 3, 2, x.channels, identity)
    return _joined(tracer, conv_norm(tracer, kept, half), _branch(tracer, x, half, 2))


def _branch(tracer: Tracer, x: Tensor, width: int, stride: int) -> Tensor:
    y = conv_norm(tracer, x, width)
    y = conv_norm(tracer, y, width, 3, stride, width, identity)
    return conv_norm(tracer, y, width)


def _joined(tracer: Tracer, first: Tensor, second: Tensor) -> Tensor:
    return shuffle(tracer, tracer.op("Concat", first, second, axis=1), 2)


def _head(tracer: Tracer, x: Tensor, classes: int) -> dict[str, Tensor]:
    pooled = tracer.op("Flatten", tracer.op("GlobalAveragePool", x), axis=1)
    return {"output": classifier(tracer, pooled, classes)}
