"""Histograms of the weights of a layer and of what leaves it."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis.topology import topology
from core.calibration.services import NoServices
from core.pipeline.distributions import BINS, distributions, histogram, leaving
from core.records import Distributions
from tests.builders import graph
from tests.calibration.fake_services import FakeServices

NET = """(float[N,1,2,2] x) => (float[N,1,2,2] y) {
    [a] a = Conv (x, w)
    y = Relu (a)
}"""
QUANTIZED = """(float[N,1,2,2] x) => (float[N,1,2,2] y) {
    wd = DequantizeLinear (w, step, zero)
    [y] y = Conv (x, wd)
}"""


class Images(FakeServices):
    """Four batches of two images, the last one with the largest numbers."""

    count = 8

    def feeds(self):
        for place in range(4):
            yield {"x": np.full((2, 1, 2, 2), place - 1, np.float32)}


def test_weights_are_counted_without_images():
    found = distributions(graph(NET, w=np.full((1, 1, 1, 1), 2, np.float32)), "a", NoServices(), 8)
    assert (found.activations, found.images) == (None, 0)
    assert found.weights is not None
    assert (found.weights.mean, found.weights.counted) == (2.0, 1)


def test_what_leaves_a_layer_is_taken_behind_its_activation_over_so_many_images():
    net = graph(NET, w=np.full((1, 1, 1, 1), 2, np.float32))
    every, few = (distributions(net, "a", Images(), images) for images in (100, 3))
    assert (every.value, every.images, few.images) == ("y", 8, 4)
    assert (every.activations.low, every.activations.high) == (0.0, 4.0)
    assert every.activations.zeros == pytest.approx(0.5)
    assert few.activations.whole == 16


def test_weights_of_a_quantized_file_are_those_that_it_computes_with():
    weights = np.array([-3, 5], np.int8).reshape(2, 1, 1, 1)
    net = graph(
        QUANTIZED.replace("float[N,1,2,2] y", "float[N,2,2,2] y"),
        w=weights,
        step=np.array(0.5, np.float32),
        zero=np.array(0, np.int8),
    )
    found = distributions(net, "y", NoServices(), 8).weights
    assert (found.low, found.high, found.levels) == (-1.5, 2.5, 2)


def test_a_layer_that_is_not_there_has_nothing():
    assert distributions(graph(NET, w=(1, 1, 1, 1)), "gone", Images(), 8) == Distributions()


def test_a_product_of_activations_has_no_weights():
    net = graph("(float[2,2] x) => (float[2,2] y) { [y] y = MatMul (x, x) }")
    assert distributions(net, "y", NoServices(), 8).weights is None


def test_a_shape_is_not_what_leaves_a_layer():
    net = graph("(float[N,2] x) => (float[N,2] y, int64[2] s) { y = Relu (x)  s = Shape (y) }")
    assert leaving(topology(net), 0) == "y"


def test_numbers_that_are_none_are_left_out():
    found = histogram([np.array([1.0, np.nan, np.inf, 3.0])])
    assert (found.low, found.high, found.counted, len(found.counts)) == (1.0, 3.0, 2, BINS)
    assert histogram([np.array([np.nan])]) is None


def test_equal_numbers_have_a_bin():
    found = histogram([np.zeros(5)])
    assert (found.zeros, found.levels, found.counted) == (1.0, 1, 5)
    assert found.low < 0 < found.high
