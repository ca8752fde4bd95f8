"""The int8 pass: close to the float net, refusals with reasons, every switch does something."""

from __future__ import annotations

import re

import numpy as np
import onnx_ir as ir
import pytest

from core.backends.base import cpu
from core.calibration import targets
from core.calibration.services import Lap, NoServices
from core.compress.quantization import cross_layer_equalization
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.scores import Scores
from core.compress.quantization.stand_in import STAND_IN
from core.compress.quantization.target_scheme import scheme
from core.data import Masks
from core.errors import BackendUnavailable, PassPrecondition
from core.passes.base import Report
from core.passes.quantize_int8 import QuantizeInt8
from core.pipeline.runner import apply
from core.records import Recipe, Step
from core.wording import sentence, sentences
from tests.compress.quantization.nets import (
    Random,
    dense,
    kernels,
    logits,
    parsed,
    random,
    residual,
    run,
    signal_to_noise_db,
)

SQNR_DB = 25.0  # of logits behind four int8 layers; 8 bits alone would allow about 40


def quantize(model, statistics=None, **options):
    report = Report()
    chosen = QuantizeInt8(**options)
    chosen.requires(model)
    chosen.apply(model, report, statistics or Random(count=64))
    return report


def noise_db(**options):
    model, x = logits(), next(Random(count=64, batch=64, seed=9).feeds())["x"]
    name = model.graph.outputs[0].name
    truth = run(model, x)[name]
    quantize(model, Random(count=128), **options)
    return signal_to_noise_db(truth, run(model, x)[name])


@pytest.mark.parametrize(
    "options",
    [
        {}, {"goal": "fastest"}, {"activations": "s8"}, {"backend": "openvino"},
        {"backend": "opencv"}, {"backend": "generic"}, {"rounding": "nearest"},
        {"correct_bias": False}, {"equalise": True}, {"per_channel": False}, {"ranges": "minmax"},
        {"ranges": "percentile"}, {"ranges": "mse"},
    ],
)  # fmt: skip
def test_the_logits_stay_close(options):
    assert noise_db(**options) > SQNR_DB


def test_16_bit_activations_are_closer_still():
    assert noise_db(activations="u16") > noise_db() + 5


def test_a_final_softmax_stays_float():
    model = residual()
    report = quantize(model)
    assert report.changed == 4
    found = kernels(model)
    assert found["Softmax"] == 1
    assert found["QLinearConv"] == 3


def test_the_report_says_what_each_repair_gave():
    notes = " ".join(sentences(quantize(residual()).notes))
    for word in ("held out", "Ranges by", "GPTQ", "Bias correction", "->"):
        assert word in notes


def test_quantized_twice_is_refused_in_clear_words():
    model = residual()
    quantize(model)
    with pytest.raises(PassPrecondition, match="already quantized"):
        quantize(model)


def test_without_weights_it_is_refused():
    model = parsed("g (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }", {})
    with pytest.raises(PassPrecondition, match="no convolution"):
        quantize(model)


def test_nan_names_the_tensor_and_the_image():
    with pytest.raises(PassPrecondition, match="'x' holds NaN for calibration image"):
        quantize(residual(), Random(count=32, spoil=17))


def test_excluded_layers_stay_float_and_unknown_names_are_told():
    model = residual()
    report = quantize(model, exclude=("Conv_3", "nowhere"))
    said = {skip.node: sentence(skip.reason) for skip in report.skipped}
    assert said["Conv_3"] == "left alone as asked"
    assert "no layer of this name" in said["nowhere"]
    assert kernels(model)["QLinearConv"] == 2


def test_without_anything_to_run_only_the_weights_are_quantized_and_it_says_so():
    model, x = residual(), next(Random().feeds())["x"]
    truth = run(model, x)["y"]
    report = quantize(model, NoServices())
    assert any("Data-free" in note for note in sentences(report.notes))
    assert not {"QLinearConv", "QuantizeLinear"} & set(kernels(model))
    assert signal_to_noise_db(truth, run(model, x)["y"]) > 35


def test_where_integers_lose_the_race_the_model_stays_as_it_is():
    class Slow(Random):
        def race(self, graphs, sessions=1, brief=False, backend=""):
            return [Lap((1.0,) * 8), *[Lap((2.0,) * 8)] * (len(graphs) - 1)]

    model = residual()
    before = [node.op_type for node in model.graph]
    report = quantize(model, Slow(count=64))
    assert [node.op_type for node in model.graph] == before
    assert report.changed == 0
    assert any("fp32 is the best" in note for note in sentences(report.notes))


def test_an_old_opset_is_raised():
    model, x = residual(opset=11), next(Random().feeds())["x"]
    truth = run(model, x)["y"]
    quantize(model)
    assert model.graph.opset_imports[""] >= 13
    assert signal_to_noise_db(truth, run(model, x)["y"]) > SQNR_DB


def test_a_processor_without_vnni_gets_weights_that_cannot_overflow(monkeypatch):
    def chosen(backend, activations="auto"):
        return scheme(backend, targets.int8()[backend], activations)

    monkeypatch.setattr(cpu, "machine", lambda: "x86_64")
    monkeypatch.setattr(cpu, "flags", lambda: frozenset({"avx2"}))
    assert chosen("onnxruntime").saturates
    assert chosen("onnxruntime", "s8").saturates  # its kernel shifts s8 to u8 and adds so too
    assert not chosen("opencv").saturates
    monkeypatch.setattr(cpu, "flags", lambda: frozenset({"avx2", "avx512_vnni"}))
    assert not chosen("onnxruntime").saturates
    monkeypatch.setattr(cpu, "machine", lambda: "aarch64")
    assert chosen("onnxruntime").signed


def test_calibration_streams():
    data = Random(count=400)
    quantize(residual(), data, rounding="nearest", correct_bias=False)
    assert data.handed_out <= 12 * 100


def test_the_runner_accepts_it_and_reverts_the_second_time():
    step = Step("quantize_int8", {"goal": "fastest"})
    made, (first, second) = apply(residual(), Recipe("int8", (step, step)), Random(count=64))
    assert not first.reverted
    assert first.changed == 4
    assert "already quantized" in second.reverted
    assert any(node.op_type == "QuantizeLinear" for node in made.graph)


def test_layers_without_a_constant_weight_are_skipped_with_a_reason():
    model = parsed(
        """g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y) {
          a = Conv<kernel_shape=[1,1]>(x, w)
          t = Transpose<perm=[0,1,3,2]>(a)
          y = MatMul(a, t)
        }""",
        {"w": random(4, 4, 1, 1)},
    )
    report = quantize(model, Random((4, 8, 8), count=32))
    assert any("no constant weight" in sentence(skip.reason) for skip in report.skipped)
    assert np.isfinite(run(model, next(Random((4, 8, 8)).feeds())["x"])["y"]).all()


class Clocked(Random):
    """A fake stopwatch: an integer convolution takes a third of a float one."""

    unit = 0.001

    def race(self, graphs, sessions=1, brief=False, backend=""):
        return [Lap((self.cost(graph),) * 8) for graph in graphs]

    def cost(self, graph):
        total = 0.1
        for node in graph.graph:
            if node.op_type in ("Conv", "Gemm"):
                maker = node.inputs[1].producer()
                total += 1.0 if maker is not None else 3.0
        return total * self.unit


def test_so_many_points_may_be_lost():
    strict, loose = logits(), logits()
    data = Clocked(count=128)
    strictly = quantize(strict, data, goal="within_points", points=0.5)
    loosely = quantize(loose, data, goal="within_points", points=10.0)
    assert loosely.changed == 4
    assert strictly.changed <= loosely.changed
    assert any("keep their first class" in note for note in sentences(loosely.notes))


def test_points_need_scores_of_classes():
    model = parsed(
        """g (float[N, 3, 12, 12] x) => (float[N, 3, 12, 12] y) {
          y = Conv<kernel_shape=[1,1]>(x, w)
        }""",
        {"w": random(3, 3, 1, 1)},
    )
    with pytest.raises(PassPrecondition, match="outputs that are scored"):
        quantize(model, Clocked(count=64), goal="within_points")


@pytest.mark.parametrize(
    ("limit", "changed", "said"),
    [(100.0, 0, "nothing is more accurate"), (0.5, 4, "out of reach"), (8.5, 2, "takes 12.1 ms")],
)
def test_what_time_is_left_goes_into_accuracy(limit, changed, said):
    model = residual()
    report = quantize(model, Clocked(count=64), goal="within_ms", milliseconds=limit)
    assert report.changed == changed
    assert any(said in note for note in sentences(report.notes))


def test_a_backend_that_is_not_here_is_not_raced_and_it_says_so():
    class Away(Random):
        def race(self, graphs, sessions=1, brief=False, backend=""):
            raise BackendUnavailable(f"{backend} is not installed.")

    report = quantize(residual(), Away(count=64), backend="openvino")
    assert report.changed == 4
    assert any(
        "Not raced" in note and "openvino is not installed" in note
        for note in sentences(report.notes)
    )


def test_the_finished_model_must_win_too():
    class Deceived(Clocked):
        def cost(self, graph):
            scale = graph.graph.initializers.get("x_scale")
            real = scale is not None and not np.isclose(scale.const_value.numpy(), STAND_IN.scale)
            return 99.0 if real else super().cost(graph)

    model = residual()
    before = [node.op_type for node in model.graph]
    assert quantize(model, Deceived(count=64)).changed == 0
    assert [node.op_type for node in model.graph] == before


def test_wide_layers_read_16_bits_and_are_more_accurate():
    model, x = logits(), next(Random(count=64, batch=64, seed=9).feeds())["x"]
    name = model.graph.outputs[0].name
    truth = run(model, x)[name]
    layers = [n.name or f"{n.op_type}_{i}" for i, n in enumerate(model.graph)]
    chosen = tuple(n for n in layers if n.startswith(("Conv", "Gemm")))
    report = quantize(model, Random(count=128), wide=(*chosen, "nowhere"), goal="fastest")
    kinds = {
        n.inputs[2].const_value.dtype.name for n in model.graph if n.op_type == "QuantizeLinear"
    }
    assert "UINT16" in kinds
    assert any(s.node == "nowhere" and "no layer" in sentence(s.reason) for s in report.skipped)
    assert signal_to_noise_db(truth, run(model, x)[name]) > noise_db(goal="fastest")


def test_where_phones_compute_with_16_bits_sensitive_layers_take_them():
    model = logits()
    (link, *_) = cross_layer_equalization.links(
        model
    )  # its channels are made uneven: 8 bits do not hold them
    maker, (reader, *_) = link.maker, link.readers
    uneven = np.geomspace(1 / 300, 300, len(maker.bias()))
    rows = uneven.reshape(maker.groups, -1, 1)
    columns = np.repeat(uneven, reader.taps).reshape(reader.groups, 1, -1)
    maker.write(maker.matrix() * rows, maker.bias() * uneven)
    reader.write(reader.matrix() / columns, reader.bias())
    report = quantize(model, Random(count=128), backend="generic", target=1e-6, equalise=False)
    assert any("16-bit activations for" in note for note in sentences(report.notes))
    assert model.opset_imports[""] >= 21


def test_a_sensitive_net_with_layers_left_float_by_the_race_is_repaired():
    report = quantize(logits(), Clocked(count=64), exclude=("Conv_0",), target=1e-6)
    assert report.changed


def test_a_matmul_on_tokens_keeps_its_bias_in_the_sum_behind_it():
    model = parsed(
        """g (float[N, 6, 8] x) => (float[N, 6, 4] y) {
          a = MatMul(x, w1)
          b = Add(c1, a)
          r = Relu(b)
          y = MatMul(r, w2)
        }""",
        {"w1": random(8, 16), "c1": random(16, scale=1.0), "w2": random(16, 4, seed=3)},
    )
    data = Random((6, 8), count=64)
    x = next(Random((6, 8), seed=4).feeds())["x"]
    truth = run(model, x)["y"]
    report = quantize(model, data)
    assert report.changed == 2
    assert signal_to_noise_db(truth, run(model, x)["y"]) > SQNR_DB


def test_bounds_of_a_clip_that_are_computed_are_no_obstacle():
    model = residual()
    for name in ("zero", "six"):
        value = model.graph.initializers[name]
        clip = next(n for n in model.graph if n.op_type == "Clip")
        cast = ir.Node("", "Cast", [value], [ir.AttrInt64("to", 1)], name=f"cast_{name}")
        cast.outputs[0].name = f"{name}_cast"
        model.graph.insert_before(clip, cast)
        clip.replace_input_with(1 if name == "zero" else 2, cast.outputs[0])
    quantize(model, goal="fastest")
    assert "Clip" not in kernels(model)
    assert kernels(model)["QLinearConv"] == 3


def test_what_meets_in_concatenations_is_brought_to_one_range():
    model, x = dense(), next(Random(count=64, batch=64, seed=9).feeds())["x"]
    truth = run(model, x)["y"]
    report = quantize(model, Random(count=64), goal="fastest")
    note = next(
        note for note in sentences(report.notes) if note.startswith("Cross-layer equalisation")
    )
    assert "nothing gained" not in note
    assert signal_to_noise_db(truth, run(model, x)["y"]) > SQNR_DB
    assert kernels(model)["QLinearConcat"] == 2


class Labelled(Clocked):
    """As `Clocked`, each image labelled by `labels`."""

    annotations = None


def answers(model, data):
    return np.concatenate([next(iter(run(model, f["x"]).values())) for f in data.feeds()])


@pytest.mark.parametrize(("count", "known", "said"), [
    (128, True, "Counted on 128 labelled"), (64, True, "too few to count on"),
    (128, False, "hardly ever right"),
])  # fmt: skip
def test_points_are_counted_where_the_images_have_labels(count, known, said):
    model, data = logits(), Labelled(count=count)
    scores = answers(model, data)
    data.annotations = scores.argmax(1) if known else scores.argmin(1)
    report = quantize(model, data, goal="within_points", points=10.0)
    assert report.changed
    assert any(said in note for note in sentences(report.notes))


def painted(count=48):
    """A small segmentation net, and images with its own answers as masks: each pixel counts."""
    net = parsed(
        """g (float[N, 3, 12, 12] x) => (float[N, 5, 12, 12] y) {
          c = Conv<pads=[1,1,1,1]>(x, w)
          r = Relu(c)
          d = Conv<pads=[1,1,1,1]>(r, v)
          s = Relu(d)
          y = Conv(s, u)
        }""",
        {"w": random(8, 3, 3, 3), "v": random(8, 8, 3, 3, seed=2), "u": random(5, 8, 1, 1, seed=3)},
    )
    data = Clocked(count=count)
    found = answers(net, data).argmax(1).astype(np.uint8)
    data.annotations = Masks(lambda index: found[index], count)
    return net, data


def test_points_of_a_segmentation_net_are_those_of_its_miou():
    strict, data = painted()
    loose, _ = painted()
    strictly = quantize(strict, data, goal="within_points", points=0.5)
    loosely = quantize(loose, data, goal="within_points", points=10.0)
    assert 0 <= strictly.changed < loosely.changed == 3
    (said,) = (note for note in sentences(loosely.notes) if "points of mIoU lost" in note)
    lost = float(re.search(r"images: ([\d.]+) points", said).group(1))
    assert 0.5 < lost <= 10
    whole, _ = painted()
    counted = Scores(whole, CalibrationSplit(data), None)
    assert counted.lost(loose) == pytest.approx(lost, abs=0.006)
    assert counted.lost(strict) <= 0.5


def test_without_masks_pixels_that_change_count_as_lost():
    net, data = painted()
    data.annotations = None
    report = quantize(net, data, goal="within_points", points=10.0)
    (said,) = (note for note in sentences(report.notes) if "pixel agreement" in note)
    assert "no annotations to score on" in said
    assert report.changed == 3


def test_without_labels_points_are_said_to_be_an_expectation():
    report = quantize(logits(), Clocked(count=128), goal="within_points", points=10.0)
    assert any("An expectation, not a count" in note for note in sentences(report.notes))
    assert not any("Counted on" in note for note in sentences(report.notes))


@pytest.mark.parametrize(
    ("choice", "said"),
    [({}, "activations alone"), ({"rounding": "nearest"}, "weights to nearest"),
     ({"per_channel": False}, "weights to nearest")],
)  # fmt: skip
def test_equalising_is_judged_with_the_weights_where_nothing_mends_them(choice, said):
    report = quantize(residual(), Random(count=64), goal="fastest", **choice)
    (note,) = (
        note for note in sentences(report.notes) if note.startswith("Cross-layer equalisation")
    )
    assert said in note
