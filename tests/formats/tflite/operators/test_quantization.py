"""QDQ graphs as TFLite: the integers of the file, and what is left in float."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ConversionFailed
from core.formats.tflite.net import Net
from core.formats.tflite.operators.quantization import OPERATORS
from tests.builders import graph
from tests.formats.tflite.answers import answers, operators, same

RANDOM = np.random.default_rng(3)
CODES = RANDOM.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
SCALES = np.array([0.01, 0.02, 0.015, 0.005], np.float32)
BIAS = RANDOM.integers(-3000, 3000, 4).astype(np.int32)
ONE_STEP = 1.01
LAYER = """(float[1,3,8,8] x) => (float[1,4,8,8] y) {
    xq = QuantizeLinear (x, s, z) xd = DequantizeLinear (xq, s, z)
    wd = DequantizeLinear <axis=0> (w, ws, wz) bd = DequantizeLinear <axis=0> (b, bs, bz)
    a = Conv <pads=[1,1,1,1]> (xd, wd, bd) r = Relu (a)
    yq = QuantizeLinear (r, t, u) y = DequantizeLinear (yq, t, u) }"""
POINTS = {
    "unsigned": {"z": np.uint8(121), "u": np.uint8(0)},
    "signed": {"z": np.int8(-7), "u": np.int8(-128)},
}


def layer(kind: str) -> dict[str, object]:
    return {
        "s": np.float32(0.03), "t": np.float32(0.05), "w": CODES, "ws": SCALES,
        "wz": np.zeros(4, np.int8), "b": BIAS, "bs": SCALES * np.float32(0.03),
        "bz": np.zeros(4, np.int32), **POINTS[kind],
    }  # fmt: skip


def constants(made: Net) -> dict[str, np.ndarray]:
    """By name, those of codes."""
    return {t.name: t.data for t in made.file.tensors if t.data is not None and t.grid is not None}


@pytest.mark.parametrize("kind", POINTS)
def test_a_layer_computes_with_the_integers_of_the_file(kind: str):
    net = graph(LAYER, **layer(kind))
    x = {"x": RANDOM.normal(size=(1, 3, 8, 8)).astype(np.float32)}
    made = same(net, ONE_STEP * 0.05 / 4, given=x)
    assert operators(made) == {
        "QUANTIZE": 1, "TRANSPOSE": 2, "CONV_2D": 1, "DEQUANTIZE": 1,
    }  # fmt: skip
    found = constants(made)
    assert found["wd_codes"].tolist() == CODES.transpose(0, 2, 3, 1).tolist()
    assert found["bias"].tolist() == BIAS.tolist()
    grids = {t.name: t.grid for t in made.file.tensors if t.grid is not None}
    assert grids["wd_codes"].scale == tuple(map(float, SCALES))
    assert grids["wd_codes"].axis == 0
    zero = 121 - 128 if kind == "unsigned" else -7
    assert (grids["xq"].scale, grids["xq"].zero) == ((float(np.float32(0.03)),), zero)
    assert grids["yq"].zero == -128


def test_a_depthwise_layer_has_its_scales_along_the_last_axis():
    weights = layer("signed") | {"w": CODES[:3, :1], "ws": SCALES[:3], "wz": np.zeros(3, np.int8)}
    text = LAYER.replace("x, wd, bd", "xd, wd").replace("(xd, wd, bd)", "(xd, wd)")
    text = text.replace("bd = DequantizeLinear <axis=0> (b, bs, bz)", "")
    text = text.replace("Conv <", "Conv <group=3, ").replace("1,4,8,8", "1,3,8,8")
    used = {k: v for k, v in weights.items() if k not in ("b", "bs", "bz")}
    made = same(graph(text, **used), ONE_STEP * 0.05, given=None)
    assert operators(made)["DEPTHWISE_CONV_2D"] == 1
    (grid,) = [t.grid for t in made.file.tensors if t.name == "wd_codes"]
    assert grid is not None
    assert grid.axis == 3


def test_a_product_and_sums_of_codes():
    net = graph(
        """(float[2,6] x, float[2,4] v) => (float[2,4] y) {
        xq = QuantizeLinear (x, s, z) xd = DequantizeLinear (xq, s, z)
        vq = QuantizeLinear (v, s, z) vd = DequantizeLinear (vq, s, z)
        wd = DequantizeLinear <axis=1> (w, ws) m = MatMul (xd, wd)
        mq = QuantizeLinear (m, t, z) md = DequantizeLinear (mq, t, z)
        a = Add (md, vd) aq = QuantizeLinear (a, t, z) ad = DequantizeLinear (aq, t, z)
        b = Mul (ad, vd) bq = QuantizeLinear (b, t, z) y = DequantizeLinear (bq, t, z) }""",
        s=np.float32(0.03), t=np.float32(0.05), z=np.int8(3), ws=SCALES,
        w=RANDOM.integers(-127, 128, (6, 4)).astype(np.int8),
    )  # fmt: skip
    made = same(net, 0.06)
    found = operators(made)
    assert (found["FULLY_CONNECTED"], found["ADD"], found["MUL"]) == (1, 1, 1)
    assert found["DEQUANTIZE"] == 1


def test_inputs_of_a_concat_are_brought_to_its_grid():
    net = graph(
        """(float[1,2,3,3] x, float[1,2,3,3] v) => (float[1,4,3,3] y) {
        xq = QuantizeLinear (x, s, z) xd = DequantizeLinear (xq, s, z)
        vq = QuantizeLinear (v, t, z) vd = DequantizeLinear (vq, t, z)
        c = Concat <axis=1> (xd, vd) cq = QuantizeLinear (c, t, z)
        y = DequantizeLinear (cq, t, z) }""",
        s=np.float32(0.03), t=np.float32(0.05), z=np.uint8(128),
    )  # fmt: skip
    made = same(net, ONE_STEP * 0.05)
    assert operators(made)["QUANTIZE"] == 3
    assert operators(made)["CONCATENATION"] == 1


def test_what_moves_data_leaves_codes_alone():
    net = graph(
        """(float[1,4,8,8] x) => (float[1,64] y) {
        xq = QuantizeLinear (x, s, z) xd = DequantizeLinear (xq, s, z)
        p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (xd) pq = QuantizeLinear (p, s, z)
        pd = DequantizeLinear (pq, s, z) r = Reshape (pd, shape) rq = QuantizeLinear (r, s, z)
        y = DequantizeLinear (rq, s, z) }""",
        s=np.float32(0.03), z=np.uint8(90), shape=np.array([1, 64]),
    )  # fmt: skip
    made = same(net, 1e-6)
    assert (operators(made)["QUANTIZE"], operators(made)["DEQUANTIZE"]) == (1, 1)


def test_a_pad_of_codes():
    net = graph(
        """(float[1,2,3,3] x) => (float[1,2,5,5] y) { xq = QuantizeLinear (x, s, z)
        p = Pad (xq, pads, z) y = DequantizeLinear (p, s, z) }""",
        s=np.float32(0.03), z=np.uint8(90), pads=np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    )  # fmt: skip
    same(net, 1e-6)


def test_weights_of_a_float_layer_stay_codes_and_are_computed_with_in_float():
    net = graph(
        """(float[1,3,8,8] x) => (float[1,4,6,6] y) {
        wd = DequantizeLinear <axis=0> (w, ws, wz) y = Conv (x, wd) }""",
        w=CODES, ws=SCALES, wz=np.zeros(4, np.int8),
    )  # fmt: skip
    made = same(net)
    assert operators(made)["DEQUANTIZE"] == 1
    assert constants(made)["wd_codes"].dtype == np.int8


def test_weights_around_another_zero_are_right():
    net = graph(
        LAYER,
        **layer("unsigned")
        | {"w": (CODES.astype(int) + 128).astype(np.uint8), "wz": np.full(4, 131, np.uint8)},
    )
    same(net, 0.02)


def test_functions_of_other_grids_are_computed_in_float():
    net = graph(
        """(float[2,6] x) => (float[2,6] y) { xq = QuantizeLinear (x, s, z)
        xd = DequantizeLinear (xq, s, z) a = Sigmoid (xd) aq = QuantizeLinear (a, t, u)
        y = DequantizeLinear (aq, t, u) }""",
        s=np.float32(0.03), z=np.uint8(128), t=np.float32(1 / 255), u=np.uint8(0),
    )  # fmt: skip
    made = same(net, ONE_STEP / 255)
    assert [one.code for one in made.file.operations] == [
        "QUANTIZE", "DEQUANTIZE", "LOGISTIC", "QUANTIZE", "DEQUANTIZE",
    ]  # fmt: skip


def test_inputs_and_outputs_of_codes_keep_their_type():
    net = graph(
        """(uint8[1,4,4,3] x) => (uint8[1,3,4,4] y) { d = DequantizeLinear (x, s, z)
        t = Transpose <perm=[0,3,1,2]> (d) r = Relu (t) y = QuantizeLinear (r, s, z) }""",
        s=np.float32(0.03), z=np.uint8(120),
    )  # fmt: skip
    x = RANDOM.integers(0, 256, (1, 4, 4, 3)).astype(np.uint8)
    same(net, 0, given={"x": x})


def test_activations_of_16_bits_are_computed_in_float_and_that_is_said():
    net = graph(
        """(float[2,6] x) => (float[2,6] y) { q = QuantizeLinear (x, s, z)
        d = DequantizeLinear (q, s, z) y = Relu (d) }""",
        opset=21, s=np.float32(0.0001), z=np.uint16(32768),
    )  # fmt: skip
    x = {"x": RANDOM.uniform(-2, 2, (2, 6)).astype(np.float32)}
    made, _ = answers(net, x)
    same(net, 1e-3, given=x)
    assert any("more than 8 bits" in note for note in made.notes)


def refused(words: str, text: str, opset: int = 21, **weights: object) -> None:
    with pytest.raises(ConversionFailed, match=words):
        answers(graph(text, opset=opset, **weights), {})


def test_two_views_of_codes_are_two_of_their_numbers():
    same(
        graph(
            """(float[1,4,4,4] x) => (float[1,4,4,4] y) { q = QuantizeLinear (x, s, z)
            d = DequantizeLinear (q, s, z) a = Softmax <axis=3> (d)
            t = Transpose <perm=[0,1,3,2]> (d) b = Softmax <axis=3> (t) y = Add (a, b) }""",
            s=np.float32(0.03), z=np.int8(3),
        ),
        1e-5,
    )  # fmt: skip


def test_one_input_is_not_read_by_two_grids():
    refused(
        "by another grid",
        """(int8[2,6] x) => (float[2,6] y) { a = DequantizeLinear (x, s, z)
        b = DequantizeLinear (x, t, z) y = Add (a, b) }""",
        s=np.float32(0.03), t=np.float32(0.06), z=np.int8(3),
    )  # fmt: skip


def test_one_input_may_be_read_twice_by_one_grid():
    same(
        graph(
            """(uint8[2,6] x) => (float[2,6] y) { a = DequantizeLinear (x, s, z)
            b = DequantizeLinear (x, s, z) y = Add (a, b) }""",
            s=np.float32(0.03), z=np.uint8(3),
        ),
        given={"x": RANDOM.integers(0, 256, (2, 6)).astype(np.uint8)},
    )  # fmt: skip


def test_codes_of_8_bits_by_several_scales_are_not_left_without_rounding():
    refused(
        "no one grid",
        """(float[2,4] x) => (float[2,4] y) { q = QuantizeLinear <axis=1> (x, s, z)
        y = DequantizeLinear <axis=1> (q, s, z) }""",
        s=SCALES, z=np.zeros(4, np.int8),
    )  # fmt: skip


def test_codes_of_16_bits_are_no_output():
    refused(
        "more than 8 bits",
        "(float[2,4] x) => (int16[2,4] y) { y = QuantizeLinear (x, s, z) }",
        s=np.float32(0.01), z=np.int16(0),
    )  # fmt: skip


@pytest.mark.parametrize("zero", [np.uint8(0), np.int8(0)])
def test_codes_are_padded_with_the_code_0_where_no_value_is_given(zero: np.number):
    same(
        graph(
            """(float[1,3] x) => (float[1,5] y) { q = QuantizeLinear (x, s, z) p = Pad (q, pads)
            y = DequantizeLinear (p, s, z) }""",
            s=np.float32(0.03), z=zero, pads=np.array([0, 1, 0, 1]),
        ),
        1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("zero", [np.uint8(128), np.uint16(0)])
def test_codes_are_not_padded_with_other_codes_than_that_of_0(zero: np.number):
    refused(
        "pads codes",
        """(float[1,3] x) => (float[1,5] y) { q = QuantizeLinear (x, s, z) p = Pad (q, pads)
        y = DequantizeLinear (p, s, z) }""",
        s=np.float32(0.03), z=zero, pads=np.array([0, 1, 0, 1]),
    )  # fmt: skip


def test_casts():
    same(
        graph(
            """(float[2,6] x, int64[2,6] i) => (int32[2,6] y, float[2,6] f) {
            y = Cast <to=6> (x) f = Cast <to=1> (i) }"""
        )
    )


def test_the_table():
    assert set(OPERATORS) == {"Cast", "QuantizeLinear", "DequantizeLinear"}
