"""Layers that share a weight: it is stored once, and equal images stay equal."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from core import graph as graphs
from core.calibration import Probe
from core.calibration.services import NoServices
from core.compress.quantization import cross_layer_equalization, partition, shared_weights
from core.compress.quantization.prepare import prepared
from core.compress.quantization.qparams import Weight
from core.compress.refit.linear_layers import Layer
from core.passes.base import Report
from core.passes.quantize_int8 import QuantizeInt8
from core.passes.quantize_weights import QuantizeWeights
from tests.calibration.fake_services import FakeServices
from tests.compress.quantization.nets import parsed, random, signal_to_noise_db


def siamese(second_bias="b2"):
    """Two branches with the same weights, and what lies between their ends."""
    return parsed(
        f"""g (float[N, 3, 12, 12] a, float[N, 3, 12, 12] b) => (float[N, 4] y) {{
          a1 = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(a, w1, b1)
          a2 = Relu(a1)
          a3 = Conv<kernel_shape=[3,3]>(a2, w2, b2)
          a4 = Relu(a3)
          c1 = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(b, w1, b1)
          c2 = Relu(c1)
          c3 = Conv<kernel_shape=[3,3]>(c2, w2, {second_bias})
          c4 = Relu(c3)
          d = Sub(a4, c4)
          m = Conv<kernel_shape=[1,1]>(d, w3)
          g = GlobalAveragePool(m)
          y = Flatten(g)
        }}""",
        {
            "w1": random(16, 3, 3, 3),
            "b1": random(16, scale=0.1),
            "w2": random(16, 16, 3, 3, seed=2),
            "b2": random(16, scale=0.1, seed=3),
            "other": random(16, scale=0.1, seed=5),
            "w3": random(4, 16, 1, 1, seed=4),
        },
    )


class Pairs(FakeServices):
    """`Services` over pairs of images; those of one side come brighter."""

    count, batch = 64, 8

    def __init__(self, brighter=1.0):
        super().__init__()
        self.brighter = brighter

    def feeds(self):
        draw = np.random.default_rng(0)
        for _ in range(self.count // self.batch):
            a, b = draw.standard_normal((2, self.batch, 3, 12, 12)).astype(np.float32)
            yield {"a": a, "b": b * np.float32(self.brighter)}

    def runner_as_written(self, graph, names):
        return self.runner(graph, names)


PASSES = [
    QuantizeInt8(goal="fastest", backend="generic"),
    QuantizeWeights(bits="4"),
    QuantizeWeights(bits="8"),
    QuantizeWeights(bits="4", store="dequantize"),
    QuantizeWeights(bits="4", rounding="nearest"),
]


def made(pass_, graph, statistics):
    pass_.apply(graph, Report(), statistics)
    return graph


def outputs(graph, a, b):
    return Probe(graph, ["y"], threads=1).run({"a": a, "b": b})["y"]


@pytest.mark.parametrize("pass_", PASSES, ids=repr)
def test_a_weight_is_stored_once_and_both_branches_compute_alike(pass_):
    graph = made(pass_, siamese(), Pairs(brighter=1.1))
    sizes = Counter(
        v.const_value.size for v in graph.graph.initializers.values() if v.const_value.size >= 200
    )
    assert sum(sizes.values()) == 2, sizes  # the two shared weights; those of the head are few
    a, b = np.random.default_rng(1).standard_normal((2, 4, 3, 12, 12)).astype(np.float32)
    zero = outputs(graph, np.zeros_like(a), np.zeros_like(a))
    np.testing.assert_array_equal(outputs(graph, a, a), zero)
    forth, back = outputs(graph, a, b) - zero, outputs(graph, b, a) - zero
    truth = outputs(siamese(), a, b)
    assert signal_to_noise_db(truth, forth + zero) > (
        10 if getattr(pass_, "bits", "") == "4" else 25
    )
    assert np.abs(forth + back).max() < 0.02 * np.abs(forth).max() + 1e-6


def test_without_images_a_weight_is_stored_once_too():
    graph = made(QuantizeInt8(backend="generic"), siamese(), NoServices())
    large = [v for v in graph.graph.initializers.values() if v.const_value.size >= 200]
    assert len(large) == 2


def test_ranges_that_differ_too_much_stay_apart():
    pass_ = QuantizeInt8(goal="fastest", backend="generic")
    graph = made(pass_, siamese(), Pairs(brighter=8.0))
    steps = {
        name: float(v.const_value.numpy())
        for name, v in graph.graph.initializers.items()
        if name in ("a_scale", "b_scale")
    }
    assert steps["b_scale"] > 4 * steps["a_scale"]


def test_a_bias_of_ones_own_is_kept():
    graph = made(QuantizeWeights(bits="8"), siamese("other"), Pairs())
    a = np.random.default_rng(1).standard_normal((4, 3, 12, 12)).astype(np.float32)
    assert signal_to_noise_db(outputs(siamese("other"), a, a), outputs(graph, a, a)) > 30


def test_a_bias_where_the_first_has_none_is_what_a_repair_adds_to():
    nodes = [n for n in siamese("other").graph if n.op_type == "Conv"]
    first, other = Layer(nodes[1], 1), Layer(nodes[3], 1)
    first.write(first.matrix(), np.zeros(16))
    found = shared_weights.like(
        Weight(np.zeros((16, 16, 3, 3), np.int8), np.ones(16), 0), first, other
    )
    np.testing.assert_allclose(found.bias, other.bias())


def test_what_goes_back_to_float_takes_its_twin_along():
    graph = prepared(siamese())
    first, second, third, fourth, last = (n.name for n in graph.graph if partition.is_weighted(n))
    assert set(partition.select(graph, frozenset({third})).weighted) == {second, fourth, last}
    assert shared_weights.firsts(n for n in graph.graph if partition.is_weighted(n)) == {
        first: first, second: second, third: first, fourth: second, last: last,
    }  # fmt: skip


def test_a_shared_weight_is_not_equalised_apart():
    assert cross_layer_equalization.links(prepared(siamese())) == []


def test_the_file_shrinks_accordingly():
    before = len(graphs.serialize(siamese()))
    assert (
        len(graphs.serialize(made(QuantizeWeights(bits="8"), siamese(), Pairs()))) < 0.55 * before
    )
