"""Vision Transformer (Dosovitskiy et al. 2020), traced with a dynamic batch."""

from __future__ import annotations

import numpy as np

from benchmarks.nets import statistics
from benchmarks.nets.layers import batched, classifier, conv, gelu, layer_norm, linear
from benchmarks.nets.tracing import Tensor, Tracer

BRANCH = 0.3  # gain of the last layer of a branch


def transformer(
    tracer: Tracer, width: int, depth: int, heads: int, patch: int = 16, classes: int = 1000
) -> dict[str, Tensor]:
    """Patch embedding by a convolution, class token, `depth` blocks, classifier on the token."""
    x = conv(tracer, tracer.input, width, patch, patch, padding=0)
    tokens = int(np.prod(x.array.shape[2:]))
    x = tracer.op("Transpose", batched(tracer, x, width, tokens), perm=[0, 2, 1])
    x = tracer.op("Concat", _class_token(tracer, x), x, axis=1)
    x = tracer.op("Add", x, tracer.weight(_positions(tracer, tokens + 1, width)))
    for _ in range(depth):
        x = tracer.op("Add", x, _attention(tracer, layer_norm(tracer, x), heads))
        x = tracer.op("Add", x, _perceptron(tracer, layer_norm(tracer, x)))
    x = layer_norm(tracer, x)
    token = tracer.op("Gather", x, tracer.constant(np.array(0, np.int64)), axis=1)
    return {"output": classifier(tracer, token, classes)}


def _class_token(tracer: Tracer, x: Tensor) -> Tensor:
    """The token of each image: expanded to the batch that is read from the shape."""
    width = x.array.shape[2]
    token = statistics.shifts(tracer.random, width, 0.0, 0.5).reshape(1, 1, width)
    shape = tracer.op("Shape", x)
    first = tracer.op("Gather", shape, tracer.constant(np.array(0, np.int64)), axis=0)
    first = tracer.op("Unsqueeze", first, tracer.constant(np.array([0], np.int64)))
    rest = tracer.constant(np.array([-1, -1], np.int64))
    # Traced `expand` writes -1 as a one: Where(shape == -1, 1, shape).
    wanted = tracer.op("Concat", first, rest, axis=0)
    minus = tracer.op("Equal", wanted, tracer.constant(np.array([-1] * 3, np.int64)))
    target = tracer.op("Where", minus, tracer.constant(np.array([1] * 3, np.int64)), wanted)
    return tracer.op("Expand", tracer.weight(token), target)


def _positions(tracer: Tracer, tokens: int, width: int) -> np.ndarray:
    """Smooth in the position; a few channels are large, as in trained transformers."""
    waves = np.sin(
        np.arange(tokens)[:, None] * np.exp(tracer.random.uniform(-4, 0, width))[None]
        + tracer.random.uniform(0, 6.3, width)[None]
    )
    return (0.3 * waves * statistics.scales(tracer.random, width)).astype(np.float32)[None]


def _attention(tracer: Tracer, x: Tensor, heads: int) -> Tensor:
    tokens, width = x.array.shape[1:]
    size = width // heads
    joined = linear(tracer, x, 3 * width)
    joined = tracer.op(
        "Transpose", batched(tracer, joined, tokens, 3, heads, size), perm=[2, 0, 3, 1, 4]
    )
    query, key, value = (
        tracer.op("Gather", joined, tracer.constant(np.array(index, np.int64)), axis=0)
        for index in range(3)
    )
    query = tracer.op("Mul", query, tracer.constant(float(size**-0.5)))
    scores = tracer.op("MatMul", query, tracer.op("Transpose", key, perm=[0, 1, 3, 2]))
    mixed = tracer.op("MatMul", tracer.op("Softmax", scores, axis=-1), value)
    merged = batched(tracer, tracer.op("Transpose", mixed, perm=[0, 2, 1, 3]), tokens, width)
    return linear(tracer, merged, width, BRANCH)


def _perceptron(tracer: Tracer, x: Tensor) -> Tensor:
    width = x.array.shape[2]
    inner = gelu(tracer, linear(tracer, x, 4 * width, 2.0))
    return linear(tracer, inner, width, BRANCH)
