"""Factors of a kernel: exact at full rank, better by each turn, and what chains of layers hold."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_ir as ir
import pytest

from core import graph as graphs
from core.calibration import Probe
from core.compress.decomposition.alternating_least_squares import Product, error, problem
from core.compress.decomposition.candidates import kernel_of
from core.compress.decomposition.constrained import FactoredLayer, LatestProblem
from core.compress.decomposition.eligible import targets
from core.compress.decomposition.forms import FORMS, Form
from core.compress.decomposition.norm import Metric
from core.compress.decomposition.rewrite import replace_node
from core.compress.refit.normal_equations import Moments
from core.timings import LayerSignature
from tests.analysis.nets import head, image

RNG = np.random.default_rng(3)


def ignored(name: str, reason: str) -> None:
    """What is left alone is of no interest here."""


def run(graph: ir.Model, x: np.ndarray) -> np.ndarray:
    name = graph.graph.inputs[0].name
    return next(iter(Probe(graph, [graph.graph.outputs[0].name]).run({name: x}).values()))


def kernels(outputs: int = 6, inputs: int = 5, height: int = 3, width: int = 3):
    kernel = RNG.standard_normal((outputs, inputs, height, width))
    root = RNG.standard_normal((inputs * height * width, 3 * inputs * height * width))
    return kernel, root @ root.T / root.shape[1]


FULL = {
    "spatial_svd": (15,),
    "spatial_svd_rows": (15,),
    "tucker2": (5, 6),
    "depthwise_pointwise": (6,),
}


@pytest.mark.parametrize("name", FORMS)
def test_at_full_rank_the_product_is_the_kernel(name: str):
    form = FORMS[name]
    kernel, second = kernels()
    factors = form.start(kernel, second, FULL[name])
    np.testing.assert_allclose(form.dense(factors), kernel, atol=1e-6)


@pytest.mark.parametrize("name", FORMS)
def test_a_smaller_rank_is_the_beginning_of_a_larger_one(name: str):
    form = FORMS[name]
    kernel, second = kernels()
    small = tuple(max(1, r // 2) for r in FULL[name])
    cut = form.truncated(form.start(kernel, second, FULL[name]), small)
    direct = form.start(kernel, second, small)
    np.testing.assert_allclose(form.dense(cut), form.dense(direct), atol=1e-8)


@pytest.mark.parametrize("name", FORMS)
def test_fitting_in_turns_only_lowers_the_error(name: str):
    form = FORMS[name]
    kernel, second = kernels()
    factors = form.start(kernel, second, tuple(max(1, r // 2) for r in FULL[name]))
    errors = [error(form, factors, kernel, second)]
    for _ in range(4):
        factors = problem(form, second, kernel.shape).fit(factors, kernel, turns=1)
        errors.append(error(form, factors, kernel, second))
    assert errors[-1] < errors[0]
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(errors))


@pytest.mark.parametrize("name", ["spatial_svd", "depthwise_pointwise"])
def test_the_metric_of_the_images_beats_the_plain_decomposition(name: str):
    form = FORMS[name]
    kernel, second = kernels()
    small = tuple(max(1, r // 3) for r in FULL[name])
    plain = form.start(kernel, np.eye(len(second)), small)
    aware = problem(form, second, kernel.shape).fit(
        form.start(kernel, second, small), kernel, turns=5
    )
    assert error(form, aware, kernel, second) < error(form, plain, kernel, second)


@pytest.mark.parametrize("name", ["spatial_svd", "spatial_svd_rows"])
def test_a_separable_kernel_is_fitted_as_any_product_is(name: str):
    form = FORMS[name]
    kernel, second = kernels()
    fast, plain = problem(form, second, kernel.shape), Product(form, second)
    ranks = [(r,) for r in range(1, FULL[name][0] + 1)]
    widest = form.start(kernel, second, ranks[-1])
    exact = plain.errors(widest, ranks, kernel)
    np.testing.assert_allclose(fast.errors(widest, ranks, kernel), exact, rtol=1e-3, atol=1e-6)
    cut = form.truncated(widest, (3,))
    reached = [error(form, p.fit(cut, kernel, 30), kernel, second) for p in (fast, plain)]
    assert reached[0] <= 1.02 * reached[1] < 0.99 * exact[2]


SHAPES = {
    "plain": {},
    "strides": {"strides": [2, 1]},
    "dilations": {"dilations": [1, 2], "pads": [1, 2, 1, 2]},
    "uneven pads": {"pads": [0, 1, 2, 1]},
    "no bias": {"bias": False},
    "auto_pad": {"auto_pad": "SAME_UPPER", "strides": [2, 2], "pads": None},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FORMS)
def test_the_chain_at_full_rank_computes_what_the_layer_did(name: str, shape: str):
    form: Form = FORMS[name]
    net = image(channels=4)
    options = dict(SHAPES[shape])
    if options.get("pads", 0) is None:
        del options["pads"]
        weights = net.weight(6, 4, 3, 3), net.weight(6)
        x = net.add("Conv", "x", *weights, name="layer", **options)
    else:
        x = net.conv("x", 4, 6, name="layer", **options)
    model = head(net, x, 6)
    graphs.infer_shapes(model)
    images = RNG.standard_normal((2, 4, 8, 8)).astype(np.float32)
    before = run(model, images)
    (target,) = [t for t in targets(model, (), ignored) if t.name == "layer"]
    full = (12,) if "svd" in name else {"tucker2": (4, 6), "depthwise_pointwise": (6,)}[name]
    kernel = kernel_of(target)
    factors = form.start(kernel, np.eye(kernel[0].size), full)
    replace_node(target.layer.node, form.chain(target.signature, full), form, factors)
    graphs.check(model)
    np.testing.assert_allclose(run(model, images), before, atol=1e-4)


def test_outputs_that_matter_more_are_kept_better():
    form = FORMS["spatial_svd"]
    kernel, second = kernels()
    importance = np.diag([100.0, 1, 1, 1, 1, 1])
    off = []
    for matters in (None, importance):
        metric = Metric.of(len(kernel), matters)
        weighed = metric.weighed(kernel)
        start = form.start(weighed, second, (4,))
        factors = problem(form, second, kernel.shape).fit(start, weighed, turns=20)
        flat = (form.dense(metric.plain(factors)) - kernel).reshape(len(kernel), -1)
        off.append(float(flat[0] @ second @ flat[0]))
    assert off[1] < off[0]


def test_weighing_and_back_changes_nothing():
    kernel, _ = kernels()
    root = RNG.standard_normal((6, 6))
    metric = Metric.of(6, root @ root.T)
    np.testing.assert_allclose(metric.plain((metric.weighed(kernel),))[0], kernel, atol=1e-12)


@pytest.mark.parametrize("importance", [None, np.zeros((6, 6)), np.full((6, 6), np.nan)])
def test_without_gradients_all_outputs_count_alike(importance):
    np.testing.assert_array_equal(Metric.of(6, importance).root, np.eye(6))


def test_a_layer_that_keeps_its_weights_keeps_the_factors_of_those():
    net = image(channels=16)
    model = head(net, net.conv("x", 16, 16, name="b"), 16)
    graphs.infer_shapes(model)
    target = next(t for t in targets(model, (), ignored) if t.name == "b")
    kernel = kernel_of(target)
    form, metric = FORMS["spatial_svd"], Metric.of(16, None)
    bound = FactoredLayer(
        target.layer, form, metric, form.start(kernel, np.eye(144), (8,)), LatestProblem()
    )
    kept = target.layer.weight.copy()
    zeros = np.zeros((1, 16))
    other = Moments(1, np.eye(144)[None], np.zeros((1, 144, 16)), zeros, np.zeros((1, 144)), zeros)
    bound(RNG.standard_normal((1, 16, 144)), other)
    np.testing.assert_allclose(form.dense(bound.factors()), kept, atol=1e-6)


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_factors_made_to_be_counted_have_the_shapes_of_real_ones(form):
    kernel = np.random.default_rng(0).normal(size=(16, 12, 3, 3))
    layer = LayerSignature("Conv", 12, 16, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), size=(8, 8))
    for rank in form.ranks(layer, 4, 8):
        real = form.start(kernel, np.eye(kernel[0].size), rank)
        blank = form.zeros(kernel.shape, rank)
        assert [f.shape for f in blank] == [f.shape for f in real]
