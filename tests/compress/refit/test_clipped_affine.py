"""Functions of single numbers computed by hand are those that the runtime computes."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis.shapes import facts
from core.compress.refit.clipped_affine import clipped_affine
from core.compress.refit.linear_layers import find
from core.compress.refit.pairwise_layers import Between, pair
from tests.analysis.nets import head, image
from tests.compress.refit.images import Pictures

CHANNELS = 12
LINES = ("norm", "+", "+ turned", "-", "- turned", "*", "* of one", "/", "Identity")
ENDS = ("", "Relu", "Clip", "Clip above", "Relu6")


def net(*between: str):
    """A convolution, some functions, a convolution, a head."""
    made = image()
    x = made.conv("x", 3, CHANNELS, name="a")
    numbers = made.random.uniform(0.5, 1.5, (5, CHANNELS)).astype(np.float32)
    numbers[:2] *= np.where(np.arange(CHANNELS) % 3, 1, -1)  # slopes of either sign
    each = numbers[0].reshape(CHANNELS, 1, 1)
    for kind in filter(None, between):
        if kind == "norm":
            x = made.add("BatchNormalization", x, *map(made.const, numbers[:4]))
        elif kind.startswith("Clip"):
            low = "" if kind == "Clip above" else made.const(np.float32(-0.3))
            x = made.add("Clip", x, low, made.const(np.float32(0.4)))
        elif kind == "Relu6":
            x = made.add("Clip", x, made.const(np.float32(0)), made.const(np.float32(6)))
            x = made.add("Relu", x)
        elif kind[0] in "+-*/":
            constant = made.const(np.float32(-0.7) if kind.endswith("one") else each)
            pair_ = (constant, x) if kind.endswith("turned") else (x, constant)
            name = {"+": "Add", "-": "Sub", "*": "Mul", "/": "Div"}[kind[0]]
            x = made.add(name, *pair_)
        else:
            x = made.add(kind, x)
    return head(made, made.conv(x, CHANNELS, 8, name="b"), 8)


def of(model):
    """The pair of a net, and what its functions come to."""
    layers = find(model)
    both = pair(layers[0], {layer.node: layer for layer in layers}, facts(model))
    assert both is not None
    order = {node: i for i, node in enumerate(model.graph)}
    nodes = sorted(both.between, key=order.__getitem__)
    return both, clipped_affine(nodes, both.maker.output, CHANNELS)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("end", ENDS)
def test_a_bend_is_what_the_runtime_computes(line, end, monkeypatch):
    model = net(line, line, end)
    both, found = of(model)
    assert found is not None
    monkeypatch.setattr("core.compress.refit.pairwise_layers.clipped_affine", lambda *_: None)
    runtime = Between(model, both, 4, Pictures(model).runner)
    rows = np.random.default_rng(2).normal(size=(300, CHANNELS)).astype(np.float32) * 3
    before = rows.copy()
    made, slope = found.sloped(rows)
    expected, steep = runtime.sloped(rows)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found(rows), expected, rtol=1e-4, atol=1e-5)
    near = np.abs(slope - steep) > 1e-4 * (1 + np.abs(steep))
    assert near.mean() < 0.001  # where rounding puts a number on the other side of a bend
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize(
    "between", [("Relu", "+"), ("Clip", "norm"), ("Sigmoid",), ("LeakyRelu",), ("/ turned",)]
)
def test_what_is_no_bend_is_left_to_the_runtime(between):
    assert of(net(*between))[1] is None


def test_two_reads_of_one_tensor_are_no_bend():
    made = image()
    x = made.conv("x", 3, CHANNELS, name="a")
    x = made.add("Mul", x, made.add("Relu", x))
    assert of(head(made, made.conv(x, CHANNELS, 8, name="b"), 8))[1] is None
