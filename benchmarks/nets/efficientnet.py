"""EfficientNet-B0 (Tan and Le 2019)."""

from __future__ import annotations

from benchmarks.nets.layers import classifier, conv_norm, identity, sigmoid, silu, squeeze_excite
from benchmarks.nets.tracing import Tensor, Tracer

LAST = 0.6  # typical factor of the norm that ends a branch
# Expansion, kernel, stride, width, blocks of each stage.
B0 = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def b0(tracer: Tracer, classes: int = 1000) -> dict[str, Tensor]:
    """Inverted residuals with squeeze and excite and SiLU."""
    x = conv_norm(tracer, tracer.input, 32, 3, 2, activation=silu)
    for expansion, kernel, stride, width, blocks in B0:
        for index in range(blocks):
            x = _block(tracer, x, expansion, kernel, 1 if index else stride, width)
    x = conv_norm(tracer, x, 1280, activation=silu)
    pooled = tracer.op("Flatten", tracer.op("GlobalAveragePool", x), axis=1)
    return {"output": classifier(tracer, pooled, classes)}


def _block(
    tracer: Tracer, x: Tensor, expansion: int, kernel: int, stride: int, width: int
) -> Tensor:
    y = conv_norm(tracer, x, expansion * x.channels, activation=silu) if expansion > 1 else x
    y = conv_norm(tracer, y, y.channels, kernel, stride, y.channels, silu)
    y = squeeze_excite(tracer, y, max(1, x.channels // 4), silu, sigmoid)
    y = conv_norm(tracer, y, width, activation=identity, centre=LAST)
    return tracer.op("Add", y, x) if stride == 1 and x.channels == width else y
