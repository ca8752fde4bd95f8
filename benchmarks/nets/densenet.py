"""DenseNet (Huang et al. 2016): batch norms before convolutions, so that most of them stay."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.nets import statistics
from benchmarks.nets.layers import average_pool, classifier, conv_norm, max_pool, norm
from benchmarks.nets.tracing import Tensor, Tracer


def densenet(
    tracer: Tracer, depths: Sequence[int], growth: int = 32, classes: int = 1000
) -> dict[str, Tensor]:
    """Each layer reads all that came before it in its block; transitions halve."""
    x = max_pool(tracer, conv_norm(tracer, tracer.input, 2 * growth, 7, 2), 3, 2, 1)
    for index, depth in enumerate(depths):
        if index:
            x = _plain(tracer, norm(tracer, x), x.channels // 2, 1)
            x = average_pool(tracer, x, 2, 2, 0)
        for _ in range(depth):
            y = conv_norm(tracer, norm(tracer, x), 4 * growth)
            x = tracer.op("Concat", x, _plain(tracer, y, growth, 3), axis=1)
    x = norm(tracer, x)
    pooled = tracer.op("Flatten", tracer.op("GlobalAveragePool", x), axis=1)
    return {"output": classifier(tracer, pooled, classes)}


def _plain(tracer: Tracer, x: Tensor, channels: int, kernel: int) -> Tensor:
    """A convolution without bias and norm."""
    weights = statistics.kernels(tracer.random, x.array, channels, kernel)
    return tracer.op(
        "Conv", x, tracer.weight(weights), kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4
    )
