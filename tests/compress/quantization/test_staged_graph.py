"""Stages: a change in one place gives the outputs that the whole net with it gives."""

from __future__ import annotations

import functools
import time

import numpy as np
import pytest

from core.calibration import Probe
from core.compress.linalg import parallel
from core.compress.quantization import calibrate, partition, staged_graph
from core.compress.quantization.calibrate import layers_of
from core.compress.quantization.evaluator import Evaluator, headless
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.mixed_precision import layer_sensitivity
from core.compress.quantization.partition import is_weighted, select
from core.compress.quantization.prepare import prepared
from core.compress.quantization.qdq_writer import written
from core.compress.quantization.staged_graph import Stages, waists
from core.compress.quantization.target_scheme import Scheme
from tests.compress.quantization.nets import Random, dense, parsed, random, residual


def side_by_side():
    """Two branches from the input on, which meet at the very end."""
    return parsed(
        """g (float[N, 3, 12, 12] x) => (float[N, 4, 12, 12] y) {
          a = Conv<kernel_shape=[1,1]>(x, w1)
          r = Relu(a)
          b = Conv<kernel_shape=[1,1]>(x, w2)
          s = Sigmoid(b)
          y = Add(r, s)
        }""",
        {"w1": random(4, 3, 1, 1), "w2": random(4, 3, 1, 1, seed=2)},
    )


def neck():
    """Branches of a backbone, each with layers of its own, joined at the very end."""
    return parsed(
        """g (float[N, 3, 12, 12] x) => (float[N, 4, 12, 12] y) {
          a = Conv<kernel_shape=[1,1]>(x, w1)
          p = Relu(a)
          b = Conv<kernel_shape=[1,1]>(p, w2)
          q = Sigmoid(b)
          c = Conv<kernel_shape=[1,1]>(p, w3)
          r = Relu(c)
          d = Conv<kernel_shape=[1,1]>(q, w4)
          s = Relu(d)
          e = Conv<kernel_shape=[1,1]>(r, w5)
          t = Sigmoid(e)
          u = Add(s, t)
          y = Add(u, q)
        }""",
        {"w1": random(4, 3, 1, 1)} | {f"w{i}": random(4, 4, 1, 1, seed=i) for i in range(2, 6)},
    )


def louder(graph, name):
    """A copy with the weights of one layer made larger."""
    copy = graph.clone()
    layer = layers_of(copy)[name]
    layer.write(layer.matrix() * 1.5, layer.bias())
    return copy


@pytest.mark.parametrize("make", [residual, dense, side_by_side, neck])
def test_a_change_in_a_stage_does_what_it_does_in_the_whole(make):
    graph = headless(prepared(make()))
    feeds = list(Random(count=8).feeds())
    names = [v.name for v in graph.graph.outputs]
    cut = Stages(graph, feeds, lambda g, wanted: Probe(g, wanted, threads=1).run)
    for name in layers_of(graph):
        run = Probe(louder(graph, name), names, threads=1).run
        for found, feed in zip(
            cut.changed(name, lambda piece, name=name: louder(piece, name)), feeds, strict=True
        ):
            for output, array in run(feed).items():
                np.testing.assert_allclose(found[output], array, rtol=1e-4, atol=1e-5)


def test_a_stage_ends_where_few_tensors_pass():
    found = [ends for _, ends in waists(headless(prepared(side_by_side())))]
    assert found == [["r"], ["r", "s"]]  # the input is always there
    found = [ends for _, ends in waists(headless(prepared(residual())))]
    alone = {name for ends in found if len(ends) == 1 for name in ends}
    assert {"r", "s", "t", "m", "p"} <= alone
    assert not {"a", "d", "e"} & {name for ends in found for name in ends}  # what a layer makes
    assert ["c"] not in found  # r is beside it


def test_the_neck_of_a_detector_is_cut_where_its_branches_run_side_by_side():
    graph = headless(prepared(neck()))
    cut = Stages(graph, list(Random(count=4).feeds()), lambda g, n: Probe(g, n).run)
    assert cut.count > 2
    assert any(cut._passed)  # a branch that a stage does not touch


def test_how_far_a_change_strays_is_told_at_the_end_of_its_stage():
    graph = headless(prepared(neck()))
    cut = Stages(graph, list(Random(count=4).feeds()), lambda g, n: Probe(g, n).run)
    names = [*layers_of(graph)]
    changes = [(name, functools.partial(louder, name=name)) for name in names]
    assert all(error > 1e-6 for _, error in cut.strays(changes))
    assert all(error == 0 for _, error in cut.strays([(name, lambda p: p) for name in names]))


def test_only_the_stage_of_a_change_is_loaded_again():
    graph = headless(prepared(residual()))
    loaded = []

    def runner(piece, names):
        loaded.append(sum(map(is_weighted, piece.graph)))
        return Probe(piece, names, threads=1).run

    cut = Stages(graph, list(Random(count=4).feeds()), runner)
    assert sum(loaded) == len(layers_of(graph))
    assert len(loaded) > 1
    before = len(loaded)
    cut.changed(next(iter(layers_of(graph))), lambda piece: piece)
    assert len(loaded) == before + 1
    assert loaded[-1] < len(layers_of(graph))


def test_a_layers_error_is_that_of_the_whole_net_with_it_alone_quantized():
    judged = headless(prepared(residual()))
    images, selection = CalibrationSplit(Random(count=64)), partition.select(judged)
    seen = calibrate.seen(judged, selection, images)
    evaluator = Evaluator(judged, images)
    plan, _, _ = calibrate.best_ranges(
        judged, selection, seen, layers_of(judged), Scheme(), evaluator
    )
    found = layer_sensitivity.sensitivities(judged, plan, evaluator)
    few, every = evaluator.few(layer_sensitivity.RANKING_IMAGES), frozenset(layers_of(judged))
    assert list(found.values()) == sorted(found.values(), reverse=True)
    for name, error in found.items():
        alone = select(judged, every - {name}, frozenset(), frozenset())
        whole = few.error(written(judged, layer_sensitivity.restricted(plan, alone)))
        assert error == pytest.approx(whole, rel=0.05)


def test_a_layer_that_leads_to_integers_alone_moves_no_logits():
    text = """g (float[N, 3, 8, 8] x) => (float[N, 4, 8, 8] y, int64[N, 1, 8, 8] c) {
      a = Conv<kernel_shape=[1,1]>(x, w1)
      y = Relu(a)
      b = Conv<kernel_shape=[1,1]>(x, w2)
      c = ArgMax<axis=1>(b)
    }"""
    graph = parsed(text, {"w1": random(4, 3, 1, 1), "w2": random(4, 3, 1, 1, seed=2)})
    judged = headless(prepared(graph))
    images, selection = CalibrationSplit(Random((3, 8, 8), count=64)), partition.select(judged)
    evaluator = Evaluator(judged, images)
    seen = calibrate.seen(judged, selection, images)
    plan, _, _ = calibrate.best_ranges(
        judged, selection, seen, layers_of(judged), Scheme(), evaluator
    )
    found = layer_sensitivity.sensitivities(judged, plan, evaluator)
    assert len(found) == 2
    assert sorted(map(bool, found.values())) == [False, True]


def test_there_are_no_more_stages_than_are_worth_keeping():
    chain = "\n".join(f"a{i} = Conv<kernel_shape=[1,1]>(r{i}, w)\nr{i + 1} = Relu(a{i})"
                      for i in range(30))  # fmt: skip
    graph = parsed(
        f"g (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y) {{\nr0 = Relu(x)\n{chain}\n"
        "y = Identity(r30)\n}",
        {"w": random(3, 3, 1, 1)},
    )
    made = prepared(graph)
    cut = Stages(made, list(Random((3, 4, 4), count=4).feeds()), lambda g, n: Probe(g, n).run)
    assert 4 <= cut.count <= staged_graph.MOST


def test_items_come_in_order_and_the_next_is_made_meanwhile():
    made, seen = [], []

    def items():
        for item in range(4):
            made.append(item)
            yield item

    for item in parallel.ahead(items()):
        seen.append(item)
        deadline = time.monotonic() + 5
        while len(made) < min(item + 2, 4) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(made) == min(item + 2, 4)  # one more, and only one
    assert seen == [0, 1, 2, 3]


def test_what_fails_in_the_other_thread_fails_here():
    def items():
        yield 1
        raise ValueError("no more")

    found = parallel.ahead(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="no more"):
        next(found)
