"""Layers that several families share, as PyTorch's exporter writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.nets import statistics
from benchmarks.nets.tracing import Array, Tensor, Tracer, compute

EPSILON = 1e-5
LOGIT_SPREAD = 3.0
GATE = (0.5, 0.7)  # mean and deviation before the gate of squeeze and excite
STEADY = 0.5  # times the mean deviation: a feature that moved less on the few probes is held by it
Activation = Callable[[Tracer, Tensor], Tensor]


def relu(tracer: Tracer, x: Tensor) -> Tensor:
    """Relu."""
    return tracer.op("Relu", x)


def relu6(tracer: Tracer, x: Tensor) -> Tensor:
    """Clip to 0 .. 6."""
    return tracer.op("Clip", x, tracer.constant(0.0), tracer.constant(6.0))


def silu(tracer: Tracer, x: Tensor) -> Tensor:
    """Sigmoid and Mul, since opset 17 has no Swish."""
    return tracer.op("Mul", x, tracer.op("Sigmoid", x))


def hard_swish(tracer: Tracer, x: Tensor) -> Tensor:
    """HardSwish."""
    return tracer.op("HardSwish", x)


def hard_sigmoid(tracer: Tracer, x: Tensor) -> Tensor:
    """HardSigmoid with PyTorch's slope."""
    return tracer.op("HardSigmoid", x, alpha=1 / 6)


def sigmoid(tracer: Tracer, x: Tensor) -> Tensor:
    """Sigmoid."""
    return tracer.op("Sigmoid", x)


def identity(tracer: Tracer, x: Tensor) -> Tensor:
    """Nothing at all."""
    return x


def gelu(tracer: Tracer, x: Tensor) -> Tensor:
    """The five nodes of the exact GELU before opset 20."""
    erf = tracer.op("Erf", tracer.op("Div", x, tracer.constant(float(np.sqrt(2)))))
    half = tracer.op("Mul", x, tracer.op("Add", erf, tracer.constant(1.0)))
    return tracer.op("Mul", half, tracer.constant(0.5))


def conv(
    tracer: Tracer,
    x: Tensor,
    channels: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    gain: float = 1.0,
    padding: int | None = None,
) -> Tensor:
    """A convolution with bias and no batch norm."""
    weights = statistics.kernels(tracer.random, x.array, channels, kernel, groups, gain)
    bias = statistics.shifts(tracer.random, channels, 0.0, 0.1)
    attributes = _geometry(kernel, stride, groups, padding)
    return tracer.op("Conv", x, tracer.weight(weights), tracer.weight(bias), **attributes)


def conv_norm(
    tracer: Tracer,
    x: Tensor,
    channels: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: Activation = relu,
    centre: float = 1.0,
) -> Tensor:
    """Convolution, batch norm, activation; the norm's mean and variance are those of the probes.

    `centre` is the typical factor of the norm: small for the last one of a residual branch.
    """
    weights = statistics.kernels(tracer.random, x.array, channels, kernel, groups)
    attributes = _geometry(kernel, stride, groups, None)
    raw = compute("Conv", [x.array, weights], **attributes)[0]
    mean, variance = statistics.moments(raw)
    gamma = statistics.scales(tracer.random, channels, centre)
    beta = statistics.shifts(tracer.random, channels) * np.float32(centre)
    scale = gamma / np.sqrt(variance + EPSILON)
    offset = beta - mean * scale
    normed = raw * _column(scale) + _column(offset)
    if tracer.keep_batch_norms:
        written = tracer.emit("Conv", [x, tracer.weight(weights)], [raw], **attributes)[0]
        norm = [tracer.weight(array) for array in (gamma, beta, mean, variance)]
        y = tracer.emit("BatchNormalization", [written, *norm], [normed], epsilon=EPSILON)[0]
    else:
        folded = [tracer.weight(weights * scale[:, None, None, None]), tracer.weight(offset)]
        y = tracer.emit("Conv", [x, *folded], [normed], **attributes)[0]
    return activation(tracer, y)


def norm(tracer: Tracer, x: Tensor, activation: Activation = relu) -> Tensor:
    """A batch norm that no convolution before it can take in (it stays in either form)."""
    mean, variance = statistics.moments(x.array)
    gamma = statistics.scales(tracer.random, x.channels)
    beta = statistics.shifts(tracer.random, x.channels)
    given = [tracer.weight(array) for array in (gamma, beta, mean, variance)]
    return activation(tracer, tracer.op("BatchNormalization", x, *given, epsilon=EPSILON))


def layer_norm(tracer: Tracer, x: Tensor) -> Tensor:
    """LayerNormalization over the last axis."""
    width = x.array.shape[-1]
    gamma = tracer.weight(statistics.scales(tracer.random, width))
    beta = tracer.weight(statistics.shifts(tracer.random, width, 0.0, 0.2))
    return tracer.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-6)


def linear(tracer: Tracer, x: Tensor, outputs: int, gain: float = 1.0) -> Tensor:
    """MatMul and Add over the last axis, as exporters write a linear layer on sequences."""
    weights = statistics.matrix(tracer.random, x.array, outputs, gain)
    bias = statistics.shifts(tracer.random, outputs, 0.0, 0.1)
    y = tracer.op("MatMul", x, tracer.weight(weights))
    return tracer.op("Add", tracer.weight(bias), y)


def linear_gemm(tracer: Tracer, x: Tensor, outputs: int) -> Tensor:
    """Gemm, as exporters write a linear layer on (count, width); no output is far from 0."""
    weights = statistics.matrix(tracer.random, x.array, outputs, 2.0)
    raw = x.array @ weights
    weights /= max(float(raw.std(0).mean()), 1e-6)
    bias = statistics.shifts(tracer.random, outputs) - (x.array @ weights).mean(0)
    transposed = np.ascontiguousarray(weights.T)
    return tracer.op("Gemm", x, tracer.weight(transposed), tracer.weight(bias), transB=1)


def max_pool(tracer: Tracer, x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """MaxPool."""
    return tracer.op(
        "MaxPool", x, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[padding] * 4
    )


def average_pool(tracer: Tracer, x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """AveragePool."""
    return tracer.op(
        "AveragePool",
        x,
        kernel_shape=[kernel] * 2,
        strides=[stride] * 2,
        pads=[padding] * 4,
        count_include_pad=1,
    )


def integers(tracer: Tracer, *values: int) -> Tensor:
    """A Constant node with a vector of int64."""
    return tracer.constant(np.array(values, np.int64))


def squeeze_excite(
    tracer: Tracer, x: Tensor, squeezed: int, activation: Activation, gate: Activation
) -> Tensor:
    """Channels weighed by what the whole image says of them."""
    pooled = tracer.op("GlobalAveragePool", x)
    inner = activation(tracer, predicted(tracer, pooled, squeezed, 0.0, 1.0))
    return tracer.op("Mul", gate(tracer, predicted(tracer, inner, x.channels, *GATE)), x)


def predicted(tracer: Tracer, x: Tensor, channels: int, centre: float, spread: float) -> Tensor:
    """A convolution of 1x1 with bias whose outputs have this mean and, over all, deviation."""
    weights = statistics.kernels(tracer.random, x.array, channels, 1)
    mean, variance = statistics.moments(compute("Conv", [x.array, weights])[0])
    scale = spread / np.sqrt(float(variance.mean()))
    given = tracer.weight(weights * scale), tracer.weight(centre - mean * scale)
    return tracer.op("Conv", x, *given, kernel_shape=[1, 1])


def classifier(tracer: Tracer, features: Tensor, classes: int) -> Tensor:
    """A Gemm on features (count, width) whose logits differ from image to image.

    Pooled features of an untrained network are nearly the same on all images: they are centred and
    scaled by what they are on the probes, so that each class wins somewhere.
    """
    mean, deviation = features.array.mean(0), features.array.std(0)
    deviation = np.maximum(deviation, STEADY * float(deviation.mean()) + 1e-8)
    weights = statistics.matrix(tracer.random, features.array / deviation, classes)
    weights = weights / deviation[:, None]
    raw = (features.array - mean) @ weights
    weights *= LOGIT_SPREAD / float(raw.std())
    bias = -mean @ weights
    transposed = np.ascontiguousarray(weights.T)
    return tracer.op("Gemm", features, tracer.weight(transposed), tracer.weight(bias), transB=1)


def batched(tracer: Tracer, x: Tensor, *sizes: int) -> Tensor:
    """Reshape to (batch, *sizes), the batch read from the shape of `x` as traced code does."""
    shape = tracer.op("Shape", x)
    first = tracer.op("Gather", shape, tracer.constant(np.array(0, np.int64)), axis=0)
    axis = tracer.constant(np.array([0], np.int64))
    parts = [tracer.op("Unsqueeze", first, axis)]
    parts += [tracer.constant(np.array([size], np.int64)) for size in sizes]
    return tracer.op("Reshape", x, tracer.op("Concat", *parts, axis=0))


def _geometry(kernel: int, stride: int, groups: int, padding: int | None) -> dict[str, Any]:
    pad = (kernel - 1) // 2 if padding is None else padding
    return {
        "dilations": [1, 1],
        "group": groups,
        "kernel_shape": [kernel] * 2,
        "pads": [pad] * 4,
        "strides": [stride] * 2,
    }


def _column(values: Array) -> Array:
    return values.reshape(1, -1, 1, 1)
