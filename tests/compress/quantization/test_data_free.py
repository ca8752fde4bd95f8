"""Without images: moments follow the real ones, equalising changes nothing, the pass says so."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core import graph as graphs
from core.calibration import Probe, Unseen
from core.compress.quantization import data_free
from core.compress.quantization.bn_statistics import ChannelMoments, norms, spread
from core.compress.quantization.prepare import prepared
from core.data.made_up import made_up_images
from core.errors import PassPrecondition
from core.passes.base import Report
from core.passes.quantize_int8 import QuantizeInt8
from core.pipeline.runner import apply
from core.records import Preprocess, Recipe, Step
from core.wording import sentence, sentences
from tests.compress.quantization.nets import parsed, random, run, signal_to_noise_db

SQNR_DB = 20.0


def normed(seed=0, padded=True, shift=0.0):
    """Two normed convolutions with a shortcut and a pooled Gemm; the norms' numbers are true ones.

    Weights are drawn such that each convolution's output really has the mean and variance that its
    norm takes away, on inputs of independent pixels.
    """
    pads = ", pads=[1,1,1,1]" if padded else ""
    add = "t = Add(q, r)" if padded else "t = Relu(q)"
    model = parsed(
        f"""g (float[N, 3, 16, 16] x) => (float[N, 5] y) {{
          a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1)
          n = BatchNormalization(a, g1, b1, m1, v1)
          r = Relu(n)
          c = Conv<kernel_shape=[3,3]{pads}>(r, w2)
          q = BatchNormalization(c, g2, b2, m2, v2)
          {add}
          p = GlobalAveragePool(t)
          f = Flatten(p)
          y = Gemm<transB=1>(f, w3, k3)
        }}""",
        {"w1": random(8, 3, 3, 3, seed=seed + 1), "w2": random(8, 8, 3, 3, seed=seed + 2),
         "w3": random(5, 8, scale=1.0, seed=seed + 3), "k3": random(5, seed=seed + 4),
         "g1": np.linspace(0.3, 1.5, 8, dtype=np.float32), "b1": random(8, seed=seed + 5) + shift,
         "g2": np.linspace(1.2, 0.4, 8, dtype=np.float32), "b2": random(8, seed=seed + 6),
         **{name: np.zeros(8, np.float32) for name in ("m1", "m2")},
         **{name: np.ones(8, np.float32) for name in ("v1", "v2")}},
    )  # fmt: skip
    x = pictures()
    for made, mean, variance in (("a", "m1", "v1"), ("c", "m2", "v2")):
        values = Probe(model, [made], threads=1).run({"x": x})[made]
        for name, numbers in ((mean, values.mean((0, 2, 3))), (variance, values.var((0, 2, 3)))):
            model.graph.initializers[name].const_value = ir.tensor(numbers, name=name)
    return model


def pictures(seed=5):
    return np.random.default_rng(seed).random((32, 3, 16, 16)).astype(np.float32)


def inputs():
    return {"x": ChannelMoments(np.full(3, 0.5), np.full(3, 1 / 12), np.zeros(3), np.ones(3))}


def test_moments_are_those_of_the_values():
    model = normed()
    source = prepared(model)
    found = spread(source, norms(model), inputs())
    names = ["r", "q", "t"]
    values = Probe(source, names, threads=1).run({"x": pictures()})
    for name in names:
        real = values[name].mean((0, 2, 3))
        scale = values[name].std((0, 2, 3))
        assert np.abs(found[name].mean - real).max() < 0.25 * scale.max()
        assert found[name].extent[0] <= np.quantile(values[name], 0.001) + 1e-6
        assert found[name].extent[1] >= np.quantile(values[name], 0.999)
    assert found["r"].extent[0] == 0.0


def test_what_no_norm_tells_is_not_guessed():
    model = parsed(
        """g (float[N, 3, 8, 8] x) => (float[N, 4, 8, 8] y) {
          a = Conv<kernel_shape=[1,1]>(x, w)
          y = Relu(a)
        }""",
        {"w": random(4, 3, 1, 1)},
    )
    assert set(spread(prepared(model), norms(model), inputs())) == {"x"}


def test_a_norm_folded_before_is_known_from_the_model_as_it_was():
    model = normed()
    folded, _ = apply(model, Recipe("fold", (Step("fold_batch_norm", {}),)))
    assert not norms(folded)
    assert {"r", "t"} <= set(spread(prepared(folded), norms(model), inputs()))


@pytest.mark.parametrize("shift", [0.0, 6.0])
def test_equalising_and_absorbing_change_nothing_in_float(shift):
    model = normed(padded=False, shift=shift)
    source = prepared(model)
    x = pictures(6)
    before = run(source, x)["y"]
    biases = {n: v.const_value.numpy().copy() for n, v in source.graph.initializers.items()}
    data_free.equalised(source, norms(model), inputs())
    after = {n: v.const_value.numpy() for n, v in source.graph.initializers.items()}
    assert any(n not in after or not np.array_equal(biases[n], after[n]) for n in biases)
    assert signal_to_noise_db(before, run(source, x)["y"]) > 50


@pytest.mark.parametrize("backend", ["generic"])
def test_the_pass_without_images_stays_close_and_says_so(backend):
    model, report = normed(), Report()
    x = pictures(7)
    truth = run(model, x)["y"]
    unseen = Unseen(graphs.input_specs(model), Preprocess())
    QuantizeInt8(backend=backend).apply(model, report, unseen)
    assert any("ranges are six deviations" in note for note in sentences(report.notes))
    assert report.changed == 3
    assert signal_to_noise_db(truth, run(model, x)["y"]) > SQNR_DB


def test_without_norms_made_up_images_stand_in_and_it_says_so():
    model, _ = apply(normed(), Recipe("fold", (Step("fold_batch_norm", {}),)))
    x, report = pictures(7), Report()
    truth = run(model, x)["y"]
    unseen = Unseen(graphs.input_specs(model), Preprocess())
    QuantizeInt8(backend="generic", goal="fastest").apply(model, report, unseen)
    assert any("times what made-up images reach" in note for note in sentences(report.notes))
    assert "QuantizeLinear" in {node.op_type for node in model.graph}
    assert signal_to_noise_db(truth, run(model, x)["y"]) > SQNR_DB - 6  # a bit is 6 dB


def test_the_safe_goal_trusts_no_made_up_range():
    model, _ = apply(normed(), Recipe("fold", (Step("fold_batch_norm", {}),)))
    x, report = pictures(7), Report()
    truth = run(model, x)["y"]
    unseen = Unseen(graphs.input_specs(model), Preprocess())
    QuantizeInt8(backend="generic").apply(model, report, unseen)
    assert any("only the weights are int8" in note for note in sentences(report.notes))
    assert "QuantizeLinear" not in {node.op_type for node in model.graph}
    assert signal_to_noise_db(truth, run(model, x)["y"]) > SQNR_DB


def test_a_guess_of_the_pixels_is_no_range():
    """Without a word on the preprocessing, inputs may reach five times as far as was guessed."""
    x = 5 * pictures(7)
    folded, _ = apply(normed(), Recipe("fold", (Step("fold_batch_norm", {}),)))
    for model, layers in ((folded, 3), (normed(), 2)):
        truth, report = run(model, x)["y"], Report()
        unseen = Unseen(graphs.input_specs(model), None)
        QuantizeInt8(backend="generic", goal="fastest").apply(model, report, unseen)
        assert report.changed == layers
        said = [*sentences(report.notes), *(sentence(skip.reason) for skip in report.skipped)]
        assert any("does not say how pixels become inputs" in text for text in said)
        kept = not any("six deviations" in note for note in sentences(report.notes))
        assert kept == (model is folded)  # weights alone, or all but what reads the input
        if kept:
            assert signal_to_noise_db(truth, run(model, x)["y"]) > SQNR_DB


def test_what_a_relu6_or_a_sigmoid_lets_through_needs_no_image():
    model = ir.from_onnx_text("""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[1, 2, 4, 4] x) => (float[1, 4] y)
        <float low = {0}, float high = {6}>
        {
            a = Clip(x, low, high)
            b = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)
            c = Sigmoid(x)
            d = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(c)
            e = Concat<axis = 1>(b, d)
            f = Relu(e)
            y = ReduceMax<axes = [2, 3], keepdims = 0>(f)
        }
    """)
    known = data_free.bounded(model)
    assert known == {"a": (0, 6), "b": (0, 6), "c": (0, 1), "d": (0, 1), "e": (0, 6)}


def test_points_cannot_be_told_from_made_up_images():
    model = normed()
    unseen = Unseen(graphs.input_specs(model), Preprocess())
    chosen = QuantizeInt8(backend="generic", goal="within_points")
    with pytest.raises(PassPrecondition, match="made-up images"):
        chosen.apply(model, Report(), unseen)


def test_made_up_images_hold_black_and_white_and_are_smooth():
    specs = graphs.input_specs(normed())
    images = made_up_images(specs, Preprocess(), 6)
    assert images.pixels(0).max() == 0
    assert images.pixels(1).min() == 255
    noise = images.pixels(3).astype(float)
    assert noise.std() > 10
    assert np.abs(np.diff(noise, axis=0)).mean() < noise.std()
    assert np.array_equal(images.pixels(3), images.pixels(3))
