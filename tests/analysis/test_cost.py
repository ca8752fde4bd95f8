"""Costs of small graphs, counted by hand."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core.analysis import cost

HEADER = '<ir_version: 9, opset_import: ["" : 17]>\n'


def graph(text: str, **weights: tuple[int, ...]) -> ir.Model:
    model = ir.from_onnx_text(HEADER + text)
    for name, shape in weights.items():
        tensor = ir.tensor(np.ones(shape, np.float32), name=name)
        value = next(v for v in model.graph.inputs if v.name == name)
        value.const_value, value.shape, value.dtype = tensor, tensor.shape, tensor.dtype
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


def test_convolutions_are_named_and_counted():
    model = graph(
        """g (float[N,8,10,12] x, float[16,8,3,3] w, float[16] b, float[16,1,3,3] d,
              float[4,16,1,1] p, float[8,2,3,3] q) => (float[N,4,10,12] y, float[N,8,8,10] z) {
            a = Conv<pads=[1,1,1,1]>(x, w, b)
            c = Conv<pads=[1,1,1,1], group=16>(a, d)
            y = Conv(c, p)
            z = Conv<group=4>(x, q)
        }""",
        w=(16, 8, 3, 3), b=(16,), d=(16, 1, 3, 3), p=(4, 16, 1, 1), q=(8, 2, 3, 3),
    )  # fmt: skip
    listed = cost.layers(model)
    assert [c.kind for c in listed] == [
        "conv 3x3", "depthwise 3x3", "pointwise 1x1", "grouped conv 3x3",
    ]  # fmt: skip
    assert [c.macs for c in listed] == [16 * 72 * 120, 16 * 9 * 120, 64 * 120, 8 * 18 * 80]
    assert [c.parameters for c in listed] == [1152 + 16, 144, 64, 144]
    assert listed[0].output_shape == (1, 16, 10, 12)
    assert cost.totals(model) == (1168 + 352, sum(c.macs for c in listed))


@pytest.mark.parametrize("batch", ["N", "1", "8"])
def test_one_sample_is_counted_whatever_the_batch(batch):
    model = graph(
        f"""g (float[{batch},6] x, float[6,5] w) => (float[{batch},5] y) {{
            y = MatMul(x, w)
        }}""",
        w=(6, 5),
    )
    assert cost.totals(model) == (30, 30)


def test_a_product_of_activations_costs_macs_and_no_parameters():
    model = graph(
        """g (float[N,2,7,4] a, float[N,2,4,3] b) => (float[N,2,7,3] y) { y = MatMul(a, b) }"""
    )
    (layer,) = cost.layers(model)
    assert (layer.kind, layer.parameters, layer.macs) == ("matrix product", 0, 2 * 7 * 3 * 4)


def test_transposed_convolution_counts_taps_per_input():
    model = graph(
        """g (float[1,4,5,5] x, float[4,6,2,2] w) => (float[1,6,10,10] y) {
            y = ConvTranspose<strides=[2,2]>(x, w)
        }""",
        w=(4, 6, 2, 2),
    )
    (layer,) = cost.layers(model)
    assert (layer.kind, layer.macs) == ("transposed conv 2x2", 4 * 25 * 6 * 4)


def test_a_shared_weight_counts_once():
    model = graph(
        """g (float[N,4] x, float[4,4] w) => (float[N,4] y) { h = Gemm(x, w)  y = Gemm(h, w) }""",
        w=(4, 4),
    )
    assert [c.parameters for c in cost.layers(model)] == [16, 0]
    assert cost.totals(model) == (16, 32)


def test_quantized_weights_count_and_their_scales_do_not():
    model = graph(
        """g (float[N,4] x) => (float[N,3] y)
        <int8[4,3] q = {1,2,3,4,5,6,7,8,9,10,11,12}, float s = {0.5}, int8 z = {0}> {
            w = DequantizeLinear(q, s, z)
            y = MatMul(x, w)
        }"""
    )
    (layer,) = cost.layers(model)
    assert (layer.op_type, layer.parameters, layer.size_bytes) == ("MatMul", 12, 12)


PACKED = """g (float[N,4] x) => (float[N,3] y{more})
    <int8[6] q = {{1,2,3,4,5,6}}, float[2] u = {{1.0, 0.5}}, int64[2] t = {{6, 1}},
     int64[2] s = {{4, 3}}, float[3] scale = {{1, 2, 3}}> {{
        f = Cast <to=1> (q)
        c = Reshape (f, t)
        two = Mul (c, u)
        flat = Reshape (two, s)
        w = Mul (flat, scale)
        y = MatMul (x, w)
        {nodes}
    }}"""


def test_a_weight_that_is_unpacked_counts_by_its_elements_and_unpacking_is_no_layer():
    (layer,) = cost.layers(graph(PACKED.format(more="", nodes="")))
    assert (layer.op_type, layer.kind) == ("MatMul", "fully connected")
    assert (layer.parameters, layer.macs) == (12, 12)
    assert layer.size_bytes == 6 + 2 * 4 + 3 * 4 + 2 * 2 * 8


def test_an_unpacked_weight_that_two_layers_share_counts_once():
    model = graph(PACKED.format(more=", float[N,3] z", nodes="r = Relu (x) z = MatMul (r, w)"))
    assert [c.parameters for c in cost.layers(model) if c.op_type == "MatMul"] == [12, 0]
    assert cost.totals(model)[0] == 12


def test_what_two_layers_unpack_from_the_same_numbers_counts_once():
    nodes = "v = Mul (flat, scale) r = Relu (x) z = MatMul (r, v)"
    model = graph(PACKED.format(more=", float[N,3] z", nodes=nodes))
    assert [c.parameters for c in cost.layers(model) if c.op_type == "MatMul"] == [12, 0]


def test_what_is_computed_from_an_input_is_no_weight():
    model = graph(
        """g (float[N,4] x, float[4,3] given) => (float[N,3] y) <float[3] s = {1, 2, 3}> {
            w = Mul (given, s)
            y = MatMul (x, w)
        }"""
    )
    assert [(c.op_type, c.parameters) for c in cost.layers(model)] == [("Mul", 3), ("MatMul", 0)]
    assert cost.layers(model)[1].kind == "matrix product"


def test_sizes_computed_by_a_chain_of_shapes_are_followed():
    model = graph(
        """g (float[N,2,4,4] x, float[3,32] w) => (float[N,3] y) <int64[1] rest = {-1}> {
            s = Shape(x)
            zero = Constant<value_ints=[0]>()
            n = Gather(s, zero)
            t = Concat<axis=0>(n, rest)
            f = Reshape(x, t)
            y = Gemm<transB=1>(f, w)
        }""",
        w=(3, 32),
    )
    assert cost.totals(model) == (96, 96)
    assert [c.op_type for c in cost.layers(model)] == ["Reshape", "Gemm"]


def test_a_dynamic_image_size_is_said_and_not_guessed():
    model = graph(
        """g (float[N,3,H,W] x, float[8,3,3,3] w) => (float[N,8,P,Q] y) { y = Conv(x, w) }""",
        w=(8, 3, 3, 3),
    )
    (layer,) = cost.layers(model)
    assert (layer.macs, layer.kind) == (None, "conv 3x3, size unknown")


def test_both_branches_of_an_if_are_counted():
    model = graph(
        """g (float[N,4] x, bool c, float[4,4] w) => (float[N,4] y) {
            y = If(c) <
                then_branch = t () => (float[N,4] a) { a = MatMul(x, w) },
                else_branch = e () => (float[N,4] b) { h = MatMul(x, w)  b = MatMul(h, w) }
            >
        }""",
        w=(4, 4),
    )
    assert cost.totals(model) == (16, 48)
