"""MobileNetV1 (Howard et al. 2017) and MobileNetV3-Large (Howard et al. 2019)."""

from __future__ import annotations

from benchmarks.nets.layers import (
    classifier,
    conv_norm,
    hard_sigmoid,
    hard_swish,
    identity,
    linear_gemm,
    relu,
    relu6,
    squeeze_excite,
)
from benchmarks.nets.tracing import Tensor, Tracer

LAST = 0.6  # typical factor of the norm that ends a branch
# Width and stride of each depthwise separable layer of V1.
V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2),
      (1024, 1))  # fmt: skip
# Kernel, expanded width, width, squeeze and excite, hard swish, stride of each block of V3-Large.
V3_LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)


def v1(tracer: Tracer, multiplier: float = 1.0, classes: int = 1000) -> dict[str, Tensor]:
    """Depthwise separable layers, all widths times `multiplier`."""
    x = conv_norm(tracer, tracer.input, divisible(32 * multiplier), 3, 2, activation=relu6)
    for width, stride in V1:
        x = conv_norm(tracer, x, x.channels, 3, stride, x.channels, relu6)
        x = conv_norm(tracer, x, divisible(width * multiplier), activation=relu6)
    pooled = tracer.op("Flatten", tracer.op("GlobalAveragePool", x), axis=1)
    return {"output": classifier(tracer, pooled, classes)}


def v3_large(tracer: Tracer, multiplier: float = 1.0, classes: int = 1000) -> dict[str, Tensor]:
    """Inverted residuals with squeeze and excite, all widths times `multiplier`."""

    def wide(width: int) -> int:
        return divisible(width * multiplier)

    x = conv_norm(tracer, tracer.input, wide(16), 3, 2, activation=hard_swish)
    for kernel, expanded, width, squeeze, swish, stride in V3_LARGE:
        activation = hard_swish if swish else relu
        y = x
        if wide(expanded) != x.channels:
            y = conv_norm(tracer, y, wide(expanded), activation=activation)
        y = conv_norm(tracer, y, y.channels, kernel, stride, y.channels, activation)
        if squeeze:
            y = squeeze_excite(tracer, y, divisible(y.channels / 4), relu, hard_sigmoid)
        y = conv_norm(tracer, y, wide(width), activation=identity, centre=LAST)
        x = tracer.op("Add", x, y) if stride == 1 and x.channels == y.channels else y
    x = conv_norm(tracer, x, 6 * x.channels, activation=hard_swish)
    pooled = tracer.op("Flatten", tracer.op("GlobalAveragePool", x), axis=1)
    features = hard_swish(tracer, linear_gemm(tracer, pooled, wide(1280)))
    return {"output": classifier(tracer, features, classes)}


def divisible(width: float, by: int = 8) -> int:
    """The width as a multiple of `by`, at most a tenth smaller than it was."""
    rounded = max(by, int(width + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * width else rounded
