"""How much a net is run: less often where it costs more, as much at once as memory bears."""

from __future__ import annotations

import numpy as np
import pytest

from core.compress.quantization import calibrate, effort, input_covariance
from core.compress.quantization.evaluator import Evaluator, headless
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.prepare import prepared
from core.compress.refit.normal_equations import Gram
from tests.compress.quantization.nets import Random, parsed, random, residual


def test_large_nets_take_fewer_images_and_none_takes_too_few(monkeypatch: pytest.MonkeyPatch):
    graph = prepared(residual())
    each = effort.cost.totals(graph)[1]
    assert effort.images(graph, 64) == 64
    assert effort.images(graph, 64, macs=40 * each) == 40
    assert effort.images(graph, 64, macs=each) == effort.LEAST_IMAGES
    assert effort.images(graph, 8, macs=each) == 8


def test_a_judge_of_a_large_net_runs_on_fewer_images_but_knows_all(monkeypatch):
    graph = headless(prepared(residual()))
    whole = Evaluator(graph, CalibrationSplit(Random(count=256)))
    monkeypatch.setattr(effort, "LARGEST_MACS", 20 * effort.cost.totals(graph)[1])
    monkeypatch.setattr(effort.images, "__defaults__", (effort.LARGEST_MACS, 16))
    thin = Evaluator(graph, CalibrationSplit(Random(count=256)))
    assert thin.images < whole.images
    assert thin.expected(0.01) == whole.expected(0.01)
    assert thin.error(graph) == 0.0


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(("room", "wanted"), [(3.5, {3, 2}), (0.1, {1}), (1000, {8})])
def test_batches_follow_the_memory_and_no_image_is_lost(monkeypatch, room, wanted, told):
    each = 8 * 12 * 12 * 4
    monkeypatch.setattr(effort, "batch_bytes", lambda: int(room * (each if told else each * 1.375)))
    graph, data = prepared(residual()), Random(count=40, batch=8)
    images = CalibrationSplit(data)
    value = next(iter(graph.graph)).outputs[0]
    name = value.name
    if not told:
        value.shape = None
    found = [(images.at, v["x"]) for v in images.values(graph, [name, "x"])]
    together = [f["x"] for f in images.calibration()]
    np.testing.assert_array_equal(np.concatenate([x for _, x in found]), np.concatenate(together))
    every = np.concatenate([f["x"] for f in data.feeds()])
    for at, x in found:
        np.testing.assert_array_equal(every[at : at + len(x)], x)
    sizes = {len(x) for _, x in found}
    assert sizes == wanted | (set() if told else {1})


def test_layers_that_read_the_same_share_their_sums(monkeypatch: pytest.MonkeyPatch):
    graph = prepared(
        parsed(
            """g (float[N, 3, 8, 8] x) => (float[N, 4, 8, 8] y) {
              a = Conv<kernel_shape=[1,1]>(x, w1)
              b = Conv<kernel_shape=[1,1]>(x, w2)
              c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w3)
              s = Add(a, b)
              y = Add(s, c)
            }""",
            {"w1": random(4, 3, 1, 1), "w2": random(4, 3, 1, 1), "w3": random(4, 3, 3, 3)},
        )
    )
    layers = calibrate.layers_of(graph)
    one, two, three = layers
    (grams,) = input_covariance.grams(
        graph, layers, list(layers), CalibrationSplit(Random((3, 8, 8)))
    )
    assert grams[one] is grams[two]
    assert grams[three] is not grams[one]
    monkeypatch.setattr(input_covariance, "LARGEST_BYTES", 1)
    monkeypatch.setattr(input_covariance, "SMALLEST_BYTES", 1)
    parts = list(
        input_covariance.grams(graph, layers, list(layers), CalibrationSplit(Random((3, 8, 8))))
    )
    assert [set(part) for part in parts] == [{one, two}, {three}]
    for part in parts:
        for name, gram in part.items():
            assert isinstance(gram, Gram)
            np.testing.assert_allclose(
                gram.second_moment(), grams[name].second_moment(), rtol=1e-5, atol=1e-7
            )
