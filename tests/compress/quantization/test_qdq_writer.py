"""What is written: fused by the runtime, integer-exact, shared scales, nothing else touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.calibration import targets
from core.compress.quantization import calibrate, partition
from core.compress.quantization.calibrate import layers_of
from core.compress.quantization.evaluator import Evaluator, headless
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.prepare import prepared
from core.compress.quantization.qdq_writer import written
from core.compress.quantization.qparams import bias_codes
from core.compress.quantization.target_scheme import Scheme, scheme
from tests.compress.quantization.nets import Random, kernels, parsed, random, residual, run


def quantized(model, statistics=None, chosen=None, exclude=frozenset()):
    source = prepared(model)
    judged = headless(source)
    images = CalibrationSplit(statistics or Random())
    used = chosen or scheme("onnxruntime", targets.int8()["onnxruntime"])
    selection = partition.select(judged, exclude)
    seen = calibrate.seen(judged, selection, images)
    plan, _, _ = calibrate.best_ranges(
        judged, selection, seen, layers_of(judged), used, Evaluator(judged, images)
    )
    return source, plan, written(source, plan)


def test_onnxruntime_fuses_everything_between_input_and_softmax():
    source, plan, graph = quantized(residual())
    found = kernels(graph)
    assert found["QLinearConv"] == 3
    assert found["QLinearAdd"] == found["QGemm"] == 1
    assert not {"Conv", "FusedConv", "Relu", "Clip", "Add", "Gemm", "MatMul"} & set(found)
    assert found["QuantizeLinear"] == 1
    assert found["Softmax"] == 1
    assert len(plan.selection.bounded) == 3
    assert any(node.op_type == "Relu" for node in source.graph)


@pytest.mark.parametrize(("channels", "group"), [(8, 1), (3, 1), (8, 8), (7, 7)])
def test_convolutions_are_integer_exact(channels, group):
    """Against a reference in wide integers: a kernel that overflows 16 bits would differ."""
    outputs = channels if group > 1 else 6
    weight = np.abs(random(outputs, channels // group, 3, 3, scale=1.0)) + 0.5
    model = parsed(
        f"""g (float[N, {channels}, 9, 9] x) => (float[N, {outputs}, 9, 9] y) {{
          y = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group={group}>(x, w, b)
        }}""",
        {"w": weight.astype(np.float32), "b": random(outputs)},
    )
    data = Random((channels, 9, 9))
    _, plan, graph = quantized(model, data)
    x = np.full((2, channels, 9, 9), 100.0, np.float32)  # saturates the input grid
    x[1] = next(data.feeds())["x"][0]
    expected = reference(plan, x, channels, group)
    np.testing.assert_array_equal(run(graph, x)["y"], expected)


def reference(plan, x, channels, group):
    """QLinearConv of ONNX in 64-bit integers."""
    weight = next(iter(plan.weights.values()))
    grid, out = plan.grid("x"), plan.grid("y")
    codes = grid.quantize(x).astype(np.int64) - grid.zero
    padded = np.pad(codes, ((0, 0), (0, 0), (1, 1), (1, 1)))
    kernel = weight.codes.astype(np.int64)
    outputs, per_group = kernel.shape[:2]
    bias, product = bias_codes(weight.bias, grid.scale, weight.scales)
    total = np.zeros((len(x), outputs, *x.shape[2:]), np.int64) + bias[:, None, None]
    for o in range(outputs):
        first = o // (outputs // group) * per_group
        for i in range(per_group):
            for r in range(3):
                for c in range(3):
                    window = padded[:, first + i, r : r + x.shape[2], c : c + x.shape[3]]
                    total[:, o] += window * kernel[o, i, r, c]
    scaled = total.astype(np.float32) * (product / np.float32(out.scale))[:, None, None]
    rounded = np.clip(np.rint(scaled) + out.zero, out.lowest, out.highest)
    return out.dequantize(rounded.astype(np.int64))


def test_pools_and_reshapes_hand_their_grid_on():
    _, plan, _ = quantized(residual())
    tensors = plan.selection.tensors
    assert tensors["m"] == tensors["t"]
    assert tensors["f"] == tensors["p"] == "p"
    assert plan.grid("m") is plan.grid("t")


def concatenation(scale):
    return parsed(
        """g (float[N, 3, 8, 8] x) => (float[N, 2, 8, 8] y) {
          a = Conv<kernel_shape=[1,1]>(x, w1)
          b = Conv<kernel_shape=[1,1]>(x, w2)
          c = Concat<axis=1>(a, b)
          y = Conv<kernel_shape=[1,1]>(c, w3)
        }""",
        {
            "w1": random(4, 3, 1, 1),
            "w2": random(4, 3, 1, 1, scale=0.3 * scale, seed=1),
            "w3": random(2, 8, 1, 1),
        },
    )


def test_a_concatenation_shares_its_scale_where_the_ranges_are_alike():
    _, plan, _ = quantized(concatenation(1.0), Random((3, 8, 8)))
    assert plan.grid("a") == plan.grid("b") == plan.grid("c")


def test_a_concatenation_of_unlike_ranges_keeps_its_scales_unless_the_backend_needs_one():
    _, plan, _ = quantized(concatenation(50.0), Random((3, 8, 8)))
    assert plan.grid("b").scale > 5 * plan.grid("a").scale
    shared = Scheme("generic", True, share_concat=True)
    _, plan, _ = quantized(concatenation(50.0), Random((3, 8, 8)), shared)
    assert plan.grid("a") == plan.grid("b") == plan.grid("c")


def test_padding_that_is_computed_goes_into_the_convolution():
    model = parsed(
        """g (float[N, 3, 8, 8] x) => (float[N, 4, 4, 4] y) {
          half = ConstantOfShape<value = int64[1] {0}>(four)
          all = Concat<axis=0>(half, ends)
          p = Pad(x, all, none)
          y = Conv<kernel_shape=[3,3], strides=[2,2]>(p, w)
        }""",
        {
            "four": np.array([6]),
            "ends": np.array([1, 1]),
            "none": np.array(0, np.float32),
            "w": random(4, 3, 3, 3),
        },
    )
    x = next(Random((3, 8, 8)).feeds())["x"]
    source, _, graph = quantized(model, Random((3, 8, 8)))
    assert [n.op_type for n in source.graph] == ["Conv"]
    np.testing.assert_allclose(run(source, x)["y"], run(model, x)["y"], atol=1e-5)
    assert kernels(graph)["QLinearConv"] == 1


def test_padding_of_channels_stays_in_integers():
    model = parsed(
        """g (float[N, 4, 8, 8] x) => (float[N, 2, 8, 8] y) {
          a = Conv<kernel_shape=[1,1]>(x, w1)
          p = Pad(a, pads)
          b = Conv<kernel_shape=[1,1]>(p, w2)
          s = Add(b, p)
          y = Conv<kernel_shape=[1,1]>(s, w3)
        }""",
        {
            "w1": random(4, 4, 1, 1),
            "w2": random(8, 8, 1, 1),
            "w3": random(2, 8, 1, 1),
            "pads": np.array([0, 2, 0, 0, 0, 2, 0, 0]),
        },
    )
    x = next(Random((4, 8, 8)).feeds())["x"]
    _, plan, graph = quantized(model, Random((4, 8, 8)))
    assert plan.grid("p") is plan.grid("a")
    found = kernels(graph)
    assert found["QLinearConv"] == 3
    assert found["QuantizeLinear"] == found["DequantizeLinear"] == 1
    truth, ours = run(model, x)["y"], run(graph, x)["y"]
    assert np.abs(truth - ours).max() < 0.05 * np.abs(truth).max()


def test_a_batch_norm_that_several_layers_need_is_computed_in_integers():
    model = parsed(
        """g (float[N, 4, 8, 8] x) => (float[N, 2, 8, 8] y) {
          a = Conv<kernel_shape=[1,1]>(x, w1)
          n = BatchNormalization(a, scale, shift, mean, variance)
          c = Concat<axis=1>(a, n)
          y = Conv<kernel_shape=[1,1]>(c, w2)
        }""",
        {
            "w1": random(4, 4, 1, 1),
            "w2": random(2, 8, 1, 1),
            **{n: random(4, seed=i) for i, n in enumerate(("scale", "shift", "mean"))},
            "variance": np.full(4, 0.5, np.float32),
        },
    )
    x = next(Random((4, 8, 8)).feeds())["x"]
    source, _, graph = quantized(model, Random((4, 8, 8)))
    np.testing.assert_allclose(run(source, x)["y"], run(model, x)["y"], atol=1e-5)
    assert kernels(graph)["QLinearConv"] == 3


def test_an_excluded_layer_reads_and_makes_floats():
    _, _, graph = quantized(residual(), exclude=frozenset({"Conv_2"}))
    found = kernels(graph)
    assert found["QLinearConv"] == 2
    assert found["Conv"] + found["FusedConv"] == 1


def test_an_unknown_activation_between_layers_stays_float():
    model = parsed(
        """g (float[N, 4, 8, 8] x) => (float[N, 2, 8, 8] y) {
          a = Conv<kernel_shape=[1,1]>(x, w1)
          h = Elu(a)
          y = Conv<kernel_shape=[1,1]>(h, w2)
        }""",
        {"w1": random(4, 4, 1, 1), "w2": random(2, 4, 1, 1)},
    )
    _, _, graph = quantized(model, Random((4, 8, 8)))
    assert kernels(graph)["Elu"] == 1


def test_a_float_pool_is_not_made_to_compute_with_integers():
    model = parsed(
        """g (float[N, 4, 12, 12] x) => (float[N, 4, 6, 6] y) {
          a = Conv <pads = [1, 1, 1, 1]> (x, w1)
          r = Relu(a)
          p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
          b = Conv <pads = [1, 1, 1, 1]> (p, w2)
          y = Relu(b)
        }""",
        {"w1": random(4, 4, 3, 3), "w2": random(4, 4, 3, 3, seed=2)},
    )
    first = next(n.name for n in prepared(model).graph if n.op_type == "Conv")
    _, plan, graph = quantized(model, Random((4, 12, 12)), exclude=frozenset({first}))
    assert "p" in plan.selection.tensors
    found = kernels(graph)
    assert found["QLinearConv"] == 1
    pool = next(n for n in graph.graph if n.op_type == "MaxPool")
    assert [use.node.op_type for use in pool.outputs[0].uses()] == ["Clip"]
    assert found["QuantizeLinear"] == 1


def test_the_file_does_not_depend_on_the_order_of_a_set():
    _, plan, graph = quantized(residual())
    written_in = [name for name in graph.graph.initializers if name.endswith("_codes")]
    order = {name: index for index, name in enumerate(plan.selection.weighted)}
    owners = [max((n for n in order if name.startswith(n)), key=len) for name in written_in]
    assert set(owners) == set(order)
    assert owners == sorted(owners, key=order.__getitem__)


def test_openvino_gets_no_zero_points_but_where_a_concatenation_needs_them():
    used = replace(scheme("openvino", targets.int8()["openvino"], "u8"), mixed=True)
    model, data = residual(), Random(count=32)
    _, plan, _ = quantized(model, data, used)
    assert plan.grid("x").signed
    assert plan.grid("x").zero == 0
    assert not plan.grid("r").signed
    assert plan.grid("r").zero == 0  # behind a ReLU
    _, plan, _ = quantized(concatenation(1.0), Random((3, 8, 8)), used)
    kinds = {plan.grid(name).dtype for name in ("a", "b", "c")}
    assert len(kinds) == 1
