"""U-Net (Ronneberger et al. 2015), padded, with batch norms."""

from __future__ import annotations

from benchmarks.nets import statistics
from benchmarks.nets.layers import conv, conv_norm, max_pool
from benchmarks.nets.tracing import Tensor, Tracer

LEVELS = 4


def segmenter(tracer: Tracer, width: int = 32, classes: int = 21) -> dict[str, Tensor]:
    """Logits (batch, classes, H, W): down by pooling, up by transposed convolutions."""
    x, kept = _double(tracer, tracer.input, width), []
    for level in range(1, LEVELS + 1):
        kept.append(x)
        x = _double(tracer, max_pool(tracer, x, 2, 2, 0), width * 2**level)
    for skip in reversed(kept):
        x = tracer.op("Concat", skip, _up(tracer, x), axis=1)
        x = _double(tracer, x, skip.channels)
    return {"output": conv(tracer, x, classes)}


def _double(tracer: Tracer, x: Tensor, width: int) -> Tensor:
    return conv_norm(tracer, conv_norm(tracer, x, width, 3), width, 3)


def _up(tracer: Tracer, x: Tensor) -> Tensor:
    """Half the channels at twice the size."""
    half = x.channels // 2
    weights = statistics.kernels(tracer.random, x.array, half, 2, gain=4.0)
    bias = statistics.shifts(tracer.random, half, 0.0, 0.1)
    given = tracer.weight(weights.transpose(1, 0, 2, 3)), tracer.weight(bias)
    return tracer.op("ConvTranspose", x, *given, kernel_shape=[2, 2], strides=[2, 2])
