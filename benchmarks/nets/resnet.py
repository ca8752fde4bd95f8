"""ResNet (He et al. 2015): ImageNet nets of basic or bottleneck blocks, CIFAR nets, depthwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.nets.layers import classifier, conv_norm, identity, max_pool
from benchmarks.nets.tracing import Tensor, Tracer

LAST = 0.4  # typical factor of the last norm of a branch: the stream must not grow with depth
Block = Callable[[Tracer, Tensor, int, int], Tensor]


def imagenet(
    tracer: Tracer, depths: Sequence[int], block: Block, width: int = 64, classes: int = 1000
) -> dict[str, Tensor]:
    """Stem of 7x7 and pooling, four stages, classifier."""
    x = conv_norm(tracer, tracer.input, width, 7, 2)
    x = max_pool(tracer, x, 3, 2, 1)
    return _head(tracer, _stages(tracer, x, depths, block, width), classes)


def cifar(
    tracer: Tracer, depth: int, block: Block, width: int = 16, classes: int = 10
) -> dict[str, Tensor]:
    """Stem of 3x3 and three stages of (depth - 2) / 6 blocks."""
    x = conv_norm(tracer, tracer.input, width, 3)
    return _head(tracer, _stages(tracer, x, [(depth - 2) // 6] * 3, block, width), classes)


def basic(tracer: Tracer, x: Tensor, width: int, stride: int) -> Tensor:
    """Two convolutions of 3x3."""
    y = conv_norm(tracer, x, width, 3, stride)
    y = conv_norm(tracer, y, width, 3, activation=identity, centre=LAST)
    return _join(tracer, x, y, stride)


def bottleneck(tracer: Tracer, x: Tensor, width: int, stride: int) -> Tensor:
    """1x1, 3x3, 1x1 to four times the width."""
    y = conv_norm(tracer, x, width)
    y = conv_norm(tracer, y, width, 3, stride)
    y = conv_norm(tracer, y, 4 * width, activation=identity, centre=LAST)
    return _join(tracer, x, y, stride)


def depthwise(tracer: Tracer, x: Tensor, width: int, stride: int) -> Tensor:
    """Two depthwise separable convolutions."""
    y = conv_norm(tracer, x, x.channels, 3, stride, groups=x.channels)
    y = conv_norm(tracer, y, width)
    y = conv_norm(tracer, y, width, 3, groups=width)
    y = conv_norm(tracer, y, width, activation=identity, centre=LAST)
    return _join(tracer, x, y, stride)


def _stages(tracer: Tracer, x: Tensor, depths: Sequence[int], block: Block, width: int) -> Tensor:
    for stage, depth in enumerate(depths):
        for index in range(depth):
            stride = 2 if stage and not index else 1
            x = block(tracer, x, width * 2**stage, stride)
    return x


def _join(tracer: Tracer, x: Tensor, y: Tensor, stride: int) -> Tensor:
    if stride != 1 or x.channels != y.channels:
        x = conv_norm(tracer, x, y.channels, 1, stride, activation=identity)
    return tracer.op("Relu", tracer.op("Add", y, x))


def _head(tracer: Tracer, x: Tensor, classes: int) -> dict[str, Tensor]:
    pooled = tracer.op("Flatten", tracer.op("GlobalAveragePool", x), axis=1)
    return {"output": classifier(tracer, pooled, classes)}
