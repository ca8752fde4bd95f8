"""Two layers fitted together: who makes a pair, what is gathered, and that it pays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from core.analysis.channels import channel_map
from core.analysis.shapes import facts
from core.analysis.surgery import remove
from core.compress.graph_executor.executor import GraphExecutor
from core.compress.linalg.im2col_sampling import Sites
from core.compress.refit import pairwise_rows
from core.compress.refit.linear_layers import find
from core.compress.refit.pairwise_layers import Between, pair, reach
from core.compress.refit.pairwise_refit import PairwiseFit
from core.compress.refit.pairwise_rows import Goal
from core.compress.refit.reference import Reference
from core.compress.refit.residual_targets import residual_target
from core.compress.refit.sequential_refit import Options, refit
from core.passes.prune_channels.repair import channel_mappings
from tests.analysis.nets import head, image
from tests.compress.refit.images import Pictures, error


def row(*between: str, stride: int = 1, norm: bool = False):
    """A convolution, some functions, a convolution, a head."""
    net = image()
    x = net.conv("x", 3, 12, name="a")
    if norm:
        parts = net.random.uniform(0.5, 1.5, (4, 12)).astype(np.float32)
        x = net.add("BatchNormalization", x, *(net.const(p) for p in parts))
    for kind in between:
        x = net.add("Mul", x, net.add("Sigmoid", x)) if kind == "SiLU" else net.add(kind, x)
    kernel = net.random.normal(size=(8, 12, 3, 3)).astype(np.float32) / 6
    x = net.add("Conv", x, net.const(kernel), pads=[1] * 4, strides=[stride] * 2, name="b")
    return head(net, net.add("Relu", x), 8)


def first_pair(model):
    layers = find(model)
    return pair(layers[0], {layer.node: layer for layer in layers}, facts(model))


@pytest.mark.parametrize("between", [(), ("Relu",), ("SiLU",), ("HardSwish",)])
@pytest.mark.parametrize("norm", [False, True])
def test_functions_of_single_numbers_may_stand_between(between, norm):
    found = first_pair(row(*between, norm=norm))
    assert found is not None
    assert (found.maker.name, found.reader.name) == ("a", "b")


def apart(what: str):
    """Nets whose first layer is not half of a pair."""
    net = image()
    x = net.conv("x", 3, 8, name="a")
    if what == "two readers":
        x = net.add("Add", net.conv(x, 8, 8), net.conv(x, 8, 8))
    elif what == "a shortcut":
        x = net.add("Add", x, net.conv(x, 8, 8))
    elif what == "pooling":
        x = net.conv(net.add("MaxPool", x, kernel_shape=[2, 2]), 8, 8)
    elif what == "a map of constants":
        x = net.conv(net.add("Add", x, net.const(np.ones((8, 8, 8), np.float32))), 8, 8)
    elif what == "a depthwise reader":
        kernel = net.const(np.ones((8, 1, 3, 3), np.float32))
        x = net.add("Conv", x, kernel, group=8, pads=[1] * 4)
    elif what == "transposed convolutions":
        net = image()
        x = "x"
        for a in (3, 8):
            x = net.add("ConvTranspose", x, net.weight(a, 8, 2, 2), strides=[2, 2])
    return head(net, x, 8)


APART = ("two readers", "a shortcut", "pooling", "a map of constants", "a depthwise reader")


@pytest.mark.parametrize("what", [*APART, "transposed convolutions"])
def test_what_is_no_pair(what):
    assert first_pair(apart(what)) is None


def test_constants_of_half_precision_make_no_pair():
    model = row("Relu", norm=True)
    norm = next(node for node in model.graph if node.op_type == "BatchNormalization")
    for value in norm.inputs[1:]:
        value.const_value = ir.tensor(value.const_value.numpy().astype(np.float16))
    assert first_pair(model) is None


@pytest.mark.parametrize("stride", [1, 2])
def test_places_that_are_reached_hold_what_the_reader_sees(stride):
    reader = find(row("Relu", stride=stride))[1]
    random = np.random.default_rng(3)
    tensor = random.normal(size=(2, 12, 8, 8)).astype(np.float32)
    size = 8 // stride
    sites = Sites(random.integers(0, 2, 40), random.integers(0, size * size, 40))
    places, index = reach(reader, tensor.shape, sites)
    assert len(set(zip(places.images, places.places, strict=True))) == len(places)
    flat = tensor.reshape(2, 12, -1)[places.images, :, places.places]
    padded = np.concatenate([flat, np.zeros((1, 12), np.float32)])
    np.testing.assert_array_equal(padded[index].reshape(40, -1), reader.seen(tensor, sites))


@pytest.mark.parametrize("stride", [1, 2])
def test_parts_hold_the_same_rows_as_the_whole(stride, monkeypatch):
    model = row("Relu", stride=stride)
    images = Pictures(model, count=24, batch=12)
    reference, both = Reference(model, images), first_pair(model)
    reference.sample({both.reader.output: 1})
    walk = GraphExecutor(model, images.runner, reference.feeds)
    walk.reach([both.maker.input, both.reader.input])
    order = {v.name: i for i, node in enumerate(model.graph) for v in node.outputs}
    goal = Goal(residual_target(both.reader, order, facts(model)), both.reader.output, None, 1e-3)
    monkeypatch.setattr(pairwise_rows, "PART_ROWS", 20)
    found = pairwise_rows.gather(both, goal, walk, reference, [0])
    assert len(found) > 1
    function = Between(model, both, 4, images.runner)
    matrix = both.maker.matrix()[:, :, both.maker.order]
    made = [part.made(matrix, both.maker.bias()[None]) for part in found]
    rows = [part.seen(function(m)) for part, m in zip(found, made, strict=True)]
    sites, tensor = reference.sites(goal.source, 0), walk.value(both.reader.input, 0)
    expected = both.reader.seen(tensor, sites)
    np.testing.assert_allclose(np.concatenate(rows), expected, rtol=1e-4, atol=1e-5)
    random = np.random.default_rng(4)
    for part, seen in zip(found, rows, strict=True):  # scattered is the transpose of seen
        back = random.normal(size=seen.shape).astype(np.float32)
        channels = random.normal(size=(len(part.inputs), 12)).astype(np.float32)
        total = float((part.scattered(back) * channels).sum())
        assert total == pytest.approx(float((back * part.seen(channels)).sum()), rel=1e-3, abs=1e-2)


@pytest.mark.parametrize("between", [("Relu",), ("SiLU",), ("HardSwish",)])
def test_slopes_are_those_of_differences(between):
    model = row(*between, norm=True)
    both = first_pair(model)
    function = Between(model, both, 4, Pictures(model).runner)
    rows = np.random.default_rng(5).normal(size=(50, 12)).astype(np.float32) * 2
    made, slope = function.sloped(rows)
    np.testing.assert_allclose(made, function(rows))
    step = np.float32(1e-2)
    differences = (function(rows + step) - function(rows - step)) / (2 * step)
    smooth = np.abs(differences - slope) < 2e-2
    assert smooth.mean() > 0.97  # but where the function bends


def test_constants_between_may_lie_in_nodes():
    net = image()
    x = net.conv("x", 3, 12, name="a")
    half = net.add("Constant", value=numpy_helper.from_array(np.float32(0.5)))
    x = net.add("Sigmoid", net.add("Mul", x, half))
    model = head(net, net.conv(x, 12, 8, name="b"), 8)
    both = first_pair(model)
    assert both is not None
    rows = np.random.default_rng(5).normal(size=(50, 12)).astype(np.float32)
    made, slope = Between(model, both, 4, Pictures(model).runner).sloped(rows)
    expected = 1 / (1 + np.exp(-rows / 2))
    np.testing.assert_allclose(made, expected, atol=1e-5)
    np.testing.assert_allclose(slope, expected * (1 - expected) / 2, atol=1e-5)


def cut(model, count: int):
    """A copy without the first channels of layer `a`, and what its layers stand for."""
    copy = model.clone()
    channels = channel_map(copy)
    group = next(g for g in channels.groups if "a" in g.layers)
    atoms = set(group.atoms[:count])
    kept = channel_mappings(copy, channels, atoms)
    remove(channels, atoms)
    return copy, kept


def joint(model, pruned, kept, images):
    """The pair of `pruned`, ready to be fitted."""
    reference = Reference(model, images)
    both = first_pair(pruned)
    order = {v.name: i for i, node in enumerate(pruned.graph) for v in node.outputs}
    goal = Goal(residual_target(both.reader, order, facts(pruned)), both.reader.output, None, 1e-3)
    reference.sample({both.reader.output: 1})
    walk = GraphExecutor(pruned, images.runner, reference.feeds)
    walk.reach([both.maker.input])
    return PairwiseFit(both, goal, walk, reference)


def test_the_direction_leads_down_the_gradient():
    """Multiplied by both matrices, the direction is the gradient that differences give."""
    model = row("SiLU")
    images = Pictures(model, count=64)
    fit = joint(model, *cut(model, 4), images)
    now, inputs = fit._weights(), fit._inputs()
    size = now.made.shape[2]
    turned, _ = fit._direction(now, replace(inputs, second=np.eye(size)[None]), fit._states(now))
    slopes = np.concatenate([state.slope for state in fit._states(now)]).astype(np.float64)
    damped = fit._curvature(now, slopes.T @ slopes / len(slopes))[0]
    damped = damped + 0.01 * np.trace(damped) / len(damped) * np.eye(len(damped))
    gradient, mean = -damped @ turned[0], inputs.mean_in[0]
    weight = sum(part.weights.sum() for part in fit._fitted)

    def loss(k: int, d: int, step: float) -> float:
        """With the bias following, so that the mean of what is made stays."""
        weights, bias = now.made.copy(), now.made_bias.copy()
        weights[0, k, d] += step
        bias[0, k] -= step * mean[d]
        moved = replace(now, made=weights, made_bias=bias)
        made = (part.made(moved.made, moved.made_bias) for part in fit._fitted)
        losses = (fit._loss(p, m, moved) for p, m in zip(fit._fitted, made, strict=True))
        return sum(losses) / (2 * weight)

    for k, d in ((0, 0), (3, 11), (7, 26)):
        slope_here = (loss(k, d, 1e-2) - loss(k, d, -1e-2)) / 2e-2
        assert slope_here == pytest.approx(gradient[k, d], rel=0.03, abs=1e-4)


@pytest.mark.parametrize("between", [("Relu",), ("SiLU",)])
def test_together_they_err_less_on_new_images(between):
    model = row(*between, norm=True)
    images, fresh = Pictures(model, count=320), Pictures(model, count=400)
    errors = {}
    for together in (False, True):
        pruned, kept = cut(model, 4)
        done = refit(pruned, kept, Reference(model, images), Options(joint=together))
        errors[together] = error(model, pruned, fresh)
        assert [f.layer for f in done if f.joint] == (["b"] if together else [])
    assert errors[True] < 0.95 * errors[False]


def test_few_images_leave_the_maker_alone():
    model = row("Relu")
    pruned, kept = cut(model, 4)
    done = refit(pruned, kept, Reference(model, Pictures(model, count=40)))
    assert not any(fit.joint for fit in done)


def test_a_walk_computes_again_what_it_was_told_to_forget():
    model = row("Relu")
    images = Pictures(model, count=16)
    walk = GraphExecutor(model, images.runner, Reference(model, images).feeds)
    both = first_pair(model)
    walk.reach([both.reader.input], {both.maker.input})
    before = walk.value(both.reader.input, 0)
    both.maker.write(2 * both.maker.matrix(), 2 * both.maker.bias())
    walk.back(both.nodes)
    walk.reach([both.reader.input])
    np.testing.assert_allclose(walk.value(both.reader.input, 0), 2 * before, rtol=1e-5)
