"""ConvNeXt (Liu et al. 2022): depthwise 7x7, layer norm and two linear layers, channels last."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.nets import statistics
from benchmarks.nets.layers import classifier, conv, gelu, layer_norm, linear
from benchmarks.nets.tracing import Tensor, Tracer

LAYER_SCALE = 0.3
LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]  # NCHW to NHWC and back


def convnext(
    tracer: Tracer, depths: Sequence[int], widths: Sequence[int], classes: int = 1000
) -> dict[str, Tensor]:
    """Four stages, the first behind patches of 4x4, the others behind patches of 2x2."""
    x = tracer.input
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        if stage:
            x = conv(tracer, _normed(tracer, x), width, 2, 2, padding=0)
        else:
            x = _normed(tracer, conv(tracer, x, width, 4, 4, padding=0))
        for _ in range(depth):
            x = tracer.op("Add", _branch(tracer, x), x)
    pooled = tracer.op("Flatten", tracer.op("GlobalAveragePool", x), axis=1)
    return {"output": classifier(tracer, layer_norm(tracer, pooled), classes)}


def _branch(tracer: Tracer, x: Tensor) -> Tensor:
    width = x.channels
    y = conv(tracer, x, width, 7, groups=width)
    y = layer_norm(tracer, tracer.op("Transpose", y, perm=LAST))
    y = linear(tracer, gelu(tracer, linear(tracer, y, 4 * width, 2.0)), width)
    y = tracer.op("Transpose", y, perm=FIRST)
    factors = statistics.scales(tracer.random, width, LAYER_SCALE).reshape(width, 1, 1)
    return tracer.op("Mul", tracer.weight(factors), y)


def _normed(tracer: Tracer, x: Tensor) -> Tensor:
    y = layer_norm(tracer, tracer.op("Transpose", x, perm=LAST))
    return tracer.op("Transpose", y, perm=FIRST)
