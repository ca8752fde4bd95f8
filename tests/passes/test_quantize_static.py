"""Static int8: close to the float net, by whichever calibration, and only where it should be."""

from __future__ import annotations

import platform

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from core import graph as graphs
from core.calibration.services import Tensors
from core.compress.quantization.stock import writer
from core.passes.base import Report
from core.passes.quantize_static import QuantizeStatic
from core.wording import sentences
from tests.builders import (
    Images,
    feeds,
    graph,
    kinds,
    norm,
    refused,
    rewrite,
    run,
    skips,
    sqnr_db,
    weights_of,
)

INT8_SQNR_DB = 20.0  # of one to three layers; eight bits give about 40 dB on one well-filled range
NET = """(float[N,3,8,8] x) => (float[N,5] y) {
    [stem] c = Conv <pads=[1,1,1,1]> (x, w, b) r = Relu (c)
    [deep] d = Conv <group=4, pads=[1,1,1,1]> (r, dw) a = Add (d, r)
    p = GlobalAveragePool (a) f = Flatten (p) [head] y = Gemm <transB=1> (f, u, k)
}"""


def net(place: str = "initializer", opset: int = 17) -> graphs.Graph:
    shapes = {"w": (4, 3, 3, 3), "b": (4,), "dw": (4, 1, 3, 3), "u": (5, 4), "k": (5,)}
    return graph(NET, opset, place, **shapes)


def fidelity(before: graphs.Graph, made: graphs.Graph) -> float:
    pairs = [(run(before, g), run(made, g)) for g in (feeds(before, seed) for seed in range(4))]
    return sqnr_db(*([out for outs in side for out in outs] for side in zip(*pairs, strict=True)))


OPTIONS = [
    {},
    {"calibration": "percentile"},
    {"calibration": "percentile", "percentile": 99.0},
    {"calibration": "entropy"},
    {"activations": "u8"},
    {"activations": "s8"},
    {"per_channel": False},
    {"reduce_range": True},
]


@pytest.mark.parametrize("place", ["initializer", "constant", "identity"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_close_to_the_float_net(options: dict[str, object], place: str):
    before = net(place)
    made, report = rewrite(before, QuantizeStatic(**options), data=Images(before))
    assert report.changed == 3
    assert sentences(report.notes)[0].startswith("3 layers with weights now compute in int8")
    assert INT8_SQNR_DB < fidelity(before, made) < 60
    onnx.checker.check_model(graphs.serialize(made), full_check=True)


@pytest.mark.parametrize("opset", [9, 11, 13, 15, 17, 19, 21])
def test_every_opset(opset: int):
    before = net(opset=opset)
    made, report = rewrite(before, QuantizeStatic(), data=Images(before))
    assert report.changed == 3
    assert made.opset_imports[""] >= 13
    assert fidelity(before, made) > INT8_SQNR_DB


def test_inputs_and_outputs_stay_float():
    before = net()
    made, _ = rewrite(before, QuantizeStatic(), data=Images(before))
    for side in (graphs.input_specs, graphs.output_specs):
        assert [(s.name, s.dtype) for s in side(made)] == [(s.name, s.dtype) for s in side(before)]


def quantizers(made: graphs.Graph, layer: str) -> dict[str, ir.Node]:
    """Where the input and the weight of a layer come from."""
    node = next(n for n in made.graph if n.name == layer)
    return {"input": node.inputs[0].producer(), "weight": node.inputs[1].producer()}


def test_weights_have_one_scale_per_output_channel():
    before = net()
    made, _ = rewrite(before, QuantizeStatic(), data=Images(before))
    for layer, channels, weight in (("stem", 4, "w"), ("deep", 4, "dw"), ("head", 5, "u")):
        quantizer = quantizers(made, layer)["weight"]
        assert quantizer.op_type == "DequantizeLinear"
        scale = graphs.constant(quantizer.inputs[1])
        assert scale.shape == (channels,)
        original = weights_of(before)[weight]
        largest = np.abs(original).reshape(channels, -1).max(1)
        np.testing.assert_allclose(scale, largest / 127, rtol=0.01)
        stored = graphs.constant(quantizer.inputs[0]).astype(np.float64)
        axes = (channels, *[1] * (original.ndim - 1))
        error = np.abs(stored * scale.reshape(axes) - original)
        assert (error <= scale.reshape(axes) * 0.51).all()


def test_one_scale_for_a_whole_weight_if_asked():
    before = net()
    made, _ = rewrite(before, QuantizeStatic(per_channel=False), data=Images(before))
    assert graphs.constant(quantizers(made, "stem")["weight"].inputs[1]).shape == ()


def test_seven_bits_if_asked():
    before = net()
    made, _ = rewrite(before, QuantizeStatic(reduce_range=True), data=Images(before))
    stored = graphs.constant(quantizers(made, "stem")["weight"].inputs[0])
    assert 32 <= np.abs(stored.astype(int)).max() <= 64


@pytest.mark.parametrize(("kind", "dtype"), [("u8", np.uint8), ("s8", np.int8)])
def test_signed_or_unsigned_activations(kind: str, dtype: type):
    before = net()
    made, report = rewrite(before, QuantizeStatic(activations=kind), data=Images(before))
    assert graphs.constant(quantizers(made, "stem")["input"].inputs[2]).dtype == dtype
    assert f"(activations {kind})" in sentences(report.notes)[0]


@pytest.mark.parametrize(("machine", "dtype"), [("x86_64", np.uint8), ("aarch64", np.int8)])
def test_auto_takes_what_suits_the_machine(machine, dtype, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    before = net()
    made, _ = rewrite(before, QuantizeStatic(), data=Images(before))
    assert graphs.constant(quantizers(made, "stem")["input"].inputs[2]).dtype == dtype


def test_excluded_layers_stay_float():
    before = net()
    made, report = rewrite(before, QuantizeStatic(exclude=("deep", "nothing")), data=Images(before))
    assert report.changed == 2
    assert skips(report) == {
        "deep": "left alone as asked",
        "nothing": "there is no layer of this name",
    }
    assert weights_of(made)["dw"].dtype == np.float32
    assert quantizers(made, "stem")["weight"].op_type == "DequantizeLinear"


def test_all_layers_excluded_changes_nothing():
    before = net()
    every = QuantizeStatic(exclude=("stem", "deep", "head"))
    made, report = rewrite(before, every, data=Images(before))
    assert report.changed == 0
    assert "No layer is left to quantize." in sentences(report.notes)
    assert graphs.serialize(made) == graphs.serialize(before)


def test_what_comes_after_the_last_layer_stays_float():
    before = graph(
        "(float[N,6] x) => (float[N,4] y) { h = MatMul (x, w) s = Mul (h, k) y = Softmax (s) }",
        w=(6, 4), k=(4,),
    )  # fmt: skip
    made, _ = rewrite(before, QuantizeStatic(), data=Images(before))
    assert kinds(made)[-2:] == ["Mul", "Softmax"]


def test_a_weight_that_is_computed_is_skipped():
    before = graph(
        """(float[N,6] x) => (float[N,4] y)
        { h = MatMul (x, w) q = Relu (u) [it] y = MatMul (h, q) }""",
        w=(6, 6), u=(6, 4),
    )  # fmt: skip
    _, report = rewrite(before, QuantizeStatic(), data=Images(before))
    assert skips(report) == {"it": "stays float: its weight is not a float32 constant"}


def test_without_images_it_is_refused():
    assert "needs calibration images" in refused(net(), QuantizeStatic())


def test_images_without_a_finite_value_are_refused():
    before = net()

    def spoil(given: Tensors) -> None:
        given["x"][:] = np.nan

    assert "no finite value" in refused(before, QuantizeStatic(), Images(before, spoil=spoil))


def test_a_quantized_model_is_refused():
    before = net()
    made, _ = rewrite(before, QuantizeStatic(), data=Images(before))
    assert refused(made, QuantizeStatic(), Images(before)) == "The model is already quantized."


@pytest.mark.parametrize(
    "text",
    ["(float[N,6] x) => (float[N,6] y) { y = Relu (x) }",
     "(float16[N,6] x) => (float16[N,4] y) { y = MatMul (x, h) }"],
)  # fmt: skip
def test_a_model_without_float32_weights_is_refused(text: str):
    before = graph(text, **({"h": np.ones((6, 4), np.float16)} if "h)" in text else {}))
    assert "no convolution or fully connected layer" in refused(
        before, QuantizeStatic(), Images(before)
    )


def test_batch_norms_that_stay_are_pointed_out():
    before = graph(
        """(float[N,3,8,8] x) => (float[N,4,H,W] y)
        { c = Conv (x, w) r = Relu (c) n = BatchNormalization (r, s, t, m, v) y = Conv (n, u) }""",
        w=(4, 3, 1, 1), u=(4, 4, 1, 1), **norm(4),
    )  # fmt: skip
    _, report = rewrite(before, QuantizeStatic(), data=Images(before))
    assert any("1 batch norms stay float" in note for note in sentences(report.notes))


def test_the_preview_counts_what_the_result_has():
    before = net()
    seen = before.clone()
    assert QuantizeStatic().preview(seen, Report())
    made, _ = rewrite(before, QuantizeStatic(), data=Images(before))
    assert kinds(seen) == kinds(made)
    sizes = [{n: (a.dtype, a.shape) for n, a in weights_of(g).items()} for g in (seen, made)]
    assert sizes[0] == sizes[1]


STEM = "(float[N,3,8,8] x) => "
TWO = {"w": (4, 3, 3, 3), "u": (5, 4, 1, 1)}
# What the quantizer merges or reads wrongly -> the graph, its weights, and the node that stays.
LEFT_OUT = {
    "a Clip above zero": (
        "(float[N,5,6,6] y) { c = Conv (x, w) [it] r = Clip (c, low, high) y = Conv (r, u) }",
        TWO | {"low": np.float32(0.1), "high": np.float32(0.5)}),
    "a tap before the Relu": (
        "(float[N,5,6,6] y, float[N,4,6,6] c) { c = Conv (x, w) [it] r = Relu (c) "
        "y = Conv (r, u) }", TWO),
    "a Relu that a body reads": (
        "(float[N,5,6,6] y) { c = Conv (x, w) [it] r = Relu (c) s = Loop (three, true_, r) "
        "<body = b (int64 i, bool go, float[N,4,6,6] h) => (bool on, float[N,4,6,6] o) "
        "{ t = Tanh (h) o = Add (t, r) on = Identity (go) }> y = Conv (s, u) }",
        TWO | {"three": np.array(3), "true_": np.array(True)}),
    "a transposed convolution in groups": (
        "(float[N,5,H,W] y) { c = Conv (x, w) [it] r = ConvTranspose <group=2> (c, g, k) "
        "y = Conv (r, u) }", TWO | {"g": (4, 2, 2, 2), "k": (4,)}),
    "a tensor of nothing": (
        "(float[N,5,6,6] y) { c = Conv (x, w) [it] r = Concat <axis=1> (c, none) "
        "y = Conv (r, u) }", TWO | {"none": np.zeros((2, 0, 6, 6), np.float32)}),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_the_quantizer_gets_wrong_stays_float(name: str):
    text, weights = LEFT_OUT[name]
    before = graph(STEM + text, **weights)
    made, report = rewrite(before, QuantizeStatic(), data=Images(before))
    assert skips(report)["it"].startswith("stays float: ")
    assert report.changed == 2
    assert fidelity(before, made) > INT8_SQNR_DB


@pytest.mark.parametrize("shape", [(1, 5), (1,), (), (1, 1)])
def test_a_gemm_takes_any_bias_that_stands_for_a_row(shape: tuple[int, ...]):
    before = graph(
        "(float[N,6] x) => (float[N,5] y) { y = Gemm <transB=1> (x, u, k) }",
        u=(5, 6), k=np.full(shape, 0.5, np.float32),
    )  # fmt: skip
    made, report = rewrite(before, QuantizeStatic(), data=Images(before))
    assert report.changed == 1
    assert fidelity(before, made) > INT8_SQNR_DB


@pytest.mark.parametrize("end", ["x_scale", "w_zero_point", "x_QuantizeLinear_Output"])
def test_names_like_the_quantizers_own(end: str):
    before = graph(
        f"(float[N,3,8,8] x) => (float[N,5,6,6] {end}) "
        f"{{ c_scale = Conv (x, w_quantized) {end} = Conv (c_scale, u) }}",
        w_quantized=(4, 3, 3, 3), u=(5, 4, 1, 1),
    )  # fmt: skip
    made, report = rewrite(before, QuantizeStatic(), data=Images(before))
    assert report.changed == 2
    assert [value.name for value in made.graph.outputs] == [end]
    assert fidelity(before, made) > INT8_SQNR_DB


def test_nodes_that_the_quantizer_fails_on_are_found(monkeypatch: pytest.MonkeyPatch):
    before = net()
    original = writer._attempt

    def failing(*args: object) -> graphs.Graph | None:
        nodes = args[-1]
        return None if any(node.name == "deep" for node in nodes) else original(*args)

    monkeypatch.setattr(writer, "_attempt", failing)
    made, report = rewrite(before, QuantizeStatic(), data=Images(before))
    assert skips(report)["deep"] == "stays float: onnxruntime's quantizer fails on it"
    assert report.changed == 2
    assert fidelity(before, made) > INT8_SQNR_DB
