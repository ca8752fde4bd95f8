"""Repairs: equalisation changes nothing in float, corrected biases mend means, searches obey."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.calibration.services import Lap
from core.compress.quantization import (
    bias_correction,
    calibrate,
    cross_layer_equalization,
    gptq,
    input_covariance,
    partition,
)
from core.compress.quantization.calibrate import layers_of
from core.compress.quantization.evaluator import Evaluator, headless
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.mixed_precision import layer_search, layer_sensitivity
from core.compress.quantization.observers import observe
from core.compress.quantization.prepare import prepared
from core.compress.quantization.qdq_writer import QuantizationPlan, written
from core.compress.quantization.qparams import over
from core.compress.quantization.stand_in import stand_in
from core.compress.quantization.target_scheme import Scheme
from core.passes.base import Report
from core.passes.quantize_int8.goals import Goal, Means, met
from core.records import Note
from core.wording import sentence, sentences
from tests.compress.quantization.nets import (
    Random,
    dense,
    output_error,
    parsed,
    random,
    residual,
    run,
)
from tests.compress.quantization.test_layouts import shuffled


@pytest.fixture
def work():
    judged = headless(prepared(residual()))
    images = CalibrationSplit(Random(count=64))
    selection = partition.select(judged)
    seen = calibrate.seen(judged, selection, images)
    evaluator = Evaluator(judged, images)
    plan, error, _ = calibrate.best_ranges(
        judged, selection, seen, layers_of(judged), Scheme(saturates=True), evaluator
    )
    return judged, images, evaluator, plan, error


def uneven():
    """Depthwise after a Clip, with channels of very different size."""
    w1 = random(8, 3, 3, 3) * np.logspace(-2, 0.3, 8)[:, None, None, None]
    return parsed(
        """g (float[N, 3, 12, 12] x) => (float[N, 4, 12, 12] y) {
          a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1, b1)
          c = Clip(a, zero, six)
          d = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group=8>(c, w2, b2)
          r = Relu(d)
          y = Conv<kernel_shape=[1,1]>(r, w3)
        }""",
        {
            "w1": w1.astype(np.float32),
            "b1": random(8, scale=0.01),
            "w2": random(8, 1, 3, 3),
            "b2": random(8),
            "w3": random(4, 8, 1, 1),
            "zero": np.array(0, np.float32),
            "six": np.array(6, np.float32),
        },
    )


def test_equalisation_leaves_the_float_outputs_and_evens_out_the_channels():
    graph, images = prepared(uneven()), CalibrationSplit(Random(count=64))
    x = next(Random().feeds())["x"]
    before = run(graph, x)["y"]
    found = cross_layer_equalization.links(graph)
    names = [link.tensor for link in found]
    assert names == ["c", "r"]
    seen = observe(images.values(graph, names), names)
    spread = seen["c"].channel_high.max() / seen["c"].channel_high.min()
    assert len(cross_layer_equalization.equalise(found, seen)) == 2
    after = observe(images.values(graph, names), names)
    evened = after["c"].channel_high
    assert evened.max() / evened.min() < 0.2 * spread
    assert evened.max() <= 6.0
    np.testing.assert_allclose(run(graph, x)["y"], before, atol=1e-4 * np.abs(before).max())


def test_channels_that_meet_in_a_concat_get_one_range_and_nothing_else_changes():
    graph, images = prepared(dense()), CalibrationSplit(Random(count=64))
    x = next(Random().feeds())["x"]
    before = run(graph, x)["y"]
    found = [link for link in cross_layer_equalization.links(graph) if not link.alone]
    assert [link.tensor for link in found] == ["r", "b", "d"]
    assert [link.offsets for link in found] == [(0, 0, 0), (8, 8), (16,)]
    assert len({link.joint for link in found}) == 1
    assert all(link.free for link in found)
    names = [link.tensor for link in found]
    seen = observe(images.values(graph, names), names)
    assert len(cross_layer_equalization.equalise(found, seen)) == 3
    after = observe(images.values(graph, names), names)

    def reach(at):
        return np.concatenate([np.maximum(-at[n].channel_low, at[n].channel_high) for n in names])

    wanted = np.minimum(reach(seen).max(), reach(seen) * cross_layer_equalization.LARGEST_FACTOR)
    np.testing.assert_allclose(reach(after), wanted, rtol=1e-3)
    np.testing.assert_allclose(run(graph, x)["y"], before, atol=1e-4 * np.abs(before).max())


@pytest.mark.parametrize("everything", [False, True])
def test_concats_in_a_row_share_one_range_but_for_what_is_much_narrower(everything):
    graph = prepared(dense())
    selection = partition.select(graph)
    ranges = dict.fromkeys(selection.roots, (0.0, 1.0))
    ranges |= {
        "r": (0.0, 1.0),
        "b": (-2.0, 6.0),
        "c": (-2.0, 6.0),
        "d": (-5.0, 3.0),
        "e": (-5.0, 6.0),
    }
    calibrate.shared(graph, selection, ranges, Scheme(share_concat=everything))
    assert {ranges[n] for n in "bcde"} == {(-5.0, 6.0)}
    assert ranges["r"] == ((-5.0, 6.0) if everything else (0.0, 1.0))


def clipped_before_a_relu(low):
    """A net whose input has a tail that makes nothing but zeros, and its plan without that tail."""
    graph = prepared(
        parsed(
            """g (float[N, 1, 4, 4] x) => (float[N, 1, 4, 4] y) {
              a = Conv(x, w1)
              r = Relu(a)
              y = Conv(r, w2)
            }""",
            {"w1": np.ones((1, 1, 1, 1), np.float32), "w2": np.ones((1, 1, 1, 1), np.float32)},
        )
    )
    selection, layers = partition.select(graph), layers_of(graph)
    grids = {"x": over((low, 3.0)), "r": over((0.0, 3.0)), "y": over((0.0, 3.0))}
    weights = calibrate.weights(layers, selection, grids, Scheme())
    return (
        graph,
        QuantizationPlan(selection, {n: grids[n] for n in selection.roots}, weights),
        layers,
    )


class Skewed(Random):
    """One value in four is deeply negative."""

    def feeds(self):
        rng = np.random.default_rng(4)
        for _ in range(self.count // self.batch):
            x = rng.uniform(0.0, 3.0, (self.batch, 1, 4, 4))
            yield {"x": np.where(rng.random(x.shape) < 0.25, -40.0, x).astype(np.float32)}


def test_a_bias_is_mended_where_the_relu_passes_and_not_where_it_makes_zeros():
    graph, plan, layers = clipped_before_a_relu(low=-0.5)
    images = CalibrationSplit(Skewed((1, 4, 4), count=64))
    evaluator = Evaluator(graph, images)
    fixed = bias_correction.corrected(graph, plan, layers, images, 64)
    (first, *_) = plan.selection.weighted
    moved = fixed.weights[first].bias
    assert np.abs(moved).max() < 0.01  # the mean over all places is off by ten
    assert evaluator.error(written(graph, fixed)) <= evaluator.error(written(graph, plan)) * 1.01


def test_a_shift_that_differs_from_image_to_image_is_shrunk():
    rng = np.random.default_rng(0)
    wanted = [np.zeros((16, 2, 3, 3))]
    found = [np.full((16, 2, 3, 3), -1.0)]
    found[0][:, 1] = rng.standard_normal((16, 1, 1)) * 5
    shift = bias_correction.mean_shift(wanted, found, 1, (-np.inf, np.inf)).reshape(-1)
    assert shift[0] == pytest.approx(1.0)
    assert abs(shift[1]) < abs(found[0][:, 1].mean())


def test_corrected_biases_make_the_means_agree():
    judged = headless(prepared(residual()))
    images = CalibrationSplit(Random(count=64))
    selection = partition.select(judged)
    seen = calibrate.seen(judged, selection, images)
    used = Scheme(saturates=True)
    selected = calibrate.extents(judged, selection, seen, used, "minmax", 100.0)

    grids = calibrate.grids(selected, used)
    layers = layers_of(judged)
    coarse = {
        name: __import__("core.compress.quantization.gptq", fromlist=["x"]).quantized(
            layer, 3, True, None, grids[selection.tensors[layer.node.inputs[0].name]].scale
        )
        for name, layer in layers.items()
    }
    plan = QuantizationPlan(selection, grids, coarse)
    fixed = bias_correction.corrected(judged, plan, layers, images, 64)
    output = judged.graph.outputs[0].name

    def mean(graph):
        run_it = images.runner(graph, [output])
        rows = [run_it(f)[output].mean(0) for f in images.calibration()]
        return np.mean(rows, axis=0)

    truth, raw, mended = (mean(g) for g in (judged, written(judged, plan), written(judged, fixed)))
    assert np.abs(raw - truth).max() > 0.02
    assert np.abs(mended - truth).max() < 0.1 * np.abs(raw - truth).max()


def test_a_sensitive_layer_goes_back_to_float(work):
    judged, _, evaluator, plan, error = work
    victim = plan.selection.weighted[1]
    spoilt = dict(plan.weights)
    spoilt[victim] = replace(spoilt[victim], codes=spoilt[victim].codes // 16 * 16)
    worse = replace(plan, weights=spoilt)
    result = layer_sensitivity.fall_back(
        judged, worse, evaluator, frozenset(), 2 * error, lambda selection: True
    )
    assert result.floats == (victim,)
    assert next(iter(result.sensitivities)) == victim
    assert result.error <= 2 * error
    kept = layer_sensitivity.fall_back(
        judged, worse, evaluator, frozenset(), 0.0, lambda selection: False
    )
    assert kept.floats == ()


def cost(graph) -> float:
    """A fake stopwatch: depthwise costs more in integers, and each conversion costs."""
    total = 0.0
    for node in graph.graph:
        if node.op_type == "Conv":
            weight = node.inputs[1].producer()
            integer = weight is not None and weight.op_type == "DequantizeLinear"
            deep = node.attributes.get_int("group", 1) > 1
            total += (9.0 if deep else 1.0) if integer else (4.0 if deep else 8.0)
        total += 0.1 * (node.op_type == "QuantizeLinear")
    return total


def test_the_search_leaves_float_what_is_slower_in_integers():
    source = prepared(residual())
    choice = layer_search.fastest(
        source, source, frozenset(),
        lambda selection: written(source, stand_in(source, selection, Scheme())),
        lambda graphs, sessions=1, brief=False: [Lap((cost(g),) * 8) for g in graphs],
    )  # fmt: skip
    assert sentence(choice.moves[0]).startswith("depthwise layers")
    assert choice.ratio.faster
    assert choice.ratio.value < choice.full_ratio.value
    assert "Conv_2" in choice.floats


def test_grouped_layers_are_decided_apart_from_depthwise_ones():
    source = prepared(shuffled())
    nodes = {node.name: node for node in source.graph}

    def seconds(graph):
        total = 0.0
        for node in graph.graph:
            if node.op_type == "Conv":
                group, deep = node.attributes.get_int("group", 1), node.name in alone
                integer = node.inputs[1].producer() is not None
                slow = group > 1 and not deep
                total += (9.0 if slow else 1.0) if integer else (4.0 if slow else 8.0)
        return total

    alone = {n for n, node in nodes.items() if node.attributes.get_int("group", 1) == 8}
    choice = layer_search.fastest(
        source, source, frozenset(),
        lambda selection: written(source, stand_in(source, selection, Scheme())),
        lambda graphs, sessions=1, brief=False: [Lap((seconds(g),) * 8) for g in graphs],
    )  # fmt: skip
    assert choice.moves[0] == Note.of("float.grouped")
    assert len(alone) == 1
    assert alone <= set(choice.selection.weighted)
    floats = {n for n in choice.floats if nodes[n].op_type == "Conv"}
    assert {nodes[n].attributes.get_int("group", 1) for n in floats} == {2}


@pytest.mark.parametrize("affordable", [True, False])
def test_goal_safe_leaves_float_what_it_takes_if_that_is_still_faster(work, affordable):
    judged, images, evaluator, plan, error = work
    victim = plan.selection.weighted[1]
    codes = plan.weights[victim].codes // 16 * 16
    spoilt = replace(
        plan, weights=plan.weights | {victim: replace(plan.weights[victim], codes=codes)}
    )

    def race(graphs, sessions=1, brief=False):
        return [Lap((t,) * 8) for t in (1.0, *[0.5 if affordable else 1.5] * (len(graphs) - 1))]

    def build(selection):
        return written(judged, layer_sensitivity.restricted(plan, selection))

    means = Means(judged, judged, evaluator, build, race, Report(), images, judged)
    found = met(Goal("safe", 2 * error, 0, 0), means, spoilt, frozenset())
    assert (victim in found.selection.weighted) != affordable
    assert evaluator.error(written(judged, found)) <= 2 * error or not affordable


def test_goal_safe_hands_out_no_destroyed_net(work):
    """Where nothing may go back to float for the time that it takes, float is what is left."""
    judged, images, evaluator, plan, _ = work
    zeros = {n: replace(w, codes=np.zeros_like(w.codes)) for n, w in plan.weights.items()}
    spoilt, report = replace(plan, weights=zeros), Report()

    def race(graphs, sessions=1, brief=False):
        return [Lap((1.0 if i == 0 else 1.5,) * 8) for i in range(len(graphs))]

    def build(selection):
        return written(judged, layer_sensitivity.restricted(plan, selection))

    means = Means(judged, judged, evaluator, build, race, report, images, judged)
    assert met(Goal("safe", 0.005, 0, 0), means, spoilt, frozenset()) is None
    assert "keeps what the net computes" in sentences(report.notes)[-1]
    assert met(Goal("fastest", 0, 0, 0), means, spoilt, frozenset()) is spoilt


def test_images_are_held_out_from_all_over_the_set_and_never_calibrate():
    images = CalibrationSplit(Random(count=400))
    held = {f["x"].tobytes() for f in images.held_out}
    used = {f["x"].tobytes() for f in images.calibration()}
    assert images.separate
    assert not held & used
    assert images.judged <= 64
    order = [f["x"].tobytes() for f in Random(count=400).feeds()]
    some = [order.index(f["x"].tobytes()) for f in images.calibration(16)]
    assert max(some) > 60


def test_one_batch_judges_and_calibrates():
    images = CalibrationSplit(Random(count=4))
    assert not images.separate
    assert len(list(images.calibration())) == 1


@pytest.mark.parametrize("off", [0.0, 1e-5, 1e-4])
def test_a_wide_layer_with_one_strong_direction_is_rounded_all_the_same(off):
    """What sums in single precision are off by may be more than the ridge: no covariance then."""
    d, draw = 1600, np.random.default_rng(0)
    strong = draw.standard_normal(d)
    strong /= np.linalg.norm(strong)
    truth = (1e4 * np.outer(strong, strong) + 1e-6 * np.eye(d))[None]
    noise = draw.standard_normal((d, d))
    second = (truth + off * 1e4 * (noise + noise.T) / np.sqrt(d)).astype(np.float32)
    matrix, scales = draw.standard_normal((1, 4, d)), np.full((1, 4), 0.05)
    codes = gptq.gptq(matrix, scales, 127, second)
    plain = gptq.nearest(matrix, scales, 127)
    found, naive = (output_error(matrix, c, scales, truth) for c in (codes, plain))
    assert found < 0.1 * naive


def test_sums_that_layers_share_do_not_change_when_they_are_read():
    """Layers that read the same tensor are rounded on different cores, from the same sums."""
    judged = headless(prepared(dense()))
    layers = layers_of(judged)
    for part in input_covariance.grams(
        judged, layers, list(layers), CalibrationSplit(Random(count=64))
    ):
        for gram in {id(g): g for g in part.values()}.values():
            assert gram._block is None
            first, again = gram.moments().second, gram.moments().second
            np.testing.assert_array_equal(first, again)
