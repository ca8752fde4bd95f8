"""A layer as rows times a matrix gives what ONNX Runtime computes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from core.compress.linalg.im2col_sampling import pick, values_at
from core.compress.refit.linear_layers import find
from core.compress.refit.normal_equations import Gram
from core.compress.refit.ridge import Positive, Ridge, error, free_bias, ridge
from tests.calibration.fake_services import FakeServices
from tests.compress.refit.images import input_grams

CONVS = {
    "plain": ("float[2,4,9,8] x", "float[6,4,3,3] w", ""),
    "strided": ("float[2,4,9,8] x", "float[6,4,3,2] w", "strides = [2,1], pads = [1,0,2,1]"),
    "dilated": ("float[2,4,9,8] x", "float[6,4,3,3] w", "dilations = [2,1], pads = [2,1,2,1]"),
    "grouped": ("float[2,4,9,8] x", "float[6,2,3,3] w", "group = 2"),
    "depthwise": ("float[2,4,9,8] x", "float[8,1,3,3] w", "group = 4"),
    "same_upper": (
        "float[2,4,9,8] x",
        "float[6,4,2,3] w",
        'auto_pad = "SAME_UPPER", strides = [2,2]',
    ),
    "same_lower": (
        "float[2,4,9,8] x",
        "float[6,4,2,3] w",
        'auto_pad = "SAME_LOWER", strides = [1,2]',
    ),
    "valid": ("float[2,4,9,8] x", "float[6,4,2,3] w", 'auto_pad = "VALID"'),
    "one_d": ("float[2,4,9] x", "float[6,4,3] w", "pads = [1,1]"),
    "three_d": ("float[1,2,4,5,6] x", "float[3,2,2,3,2] w", "strides = [1,2,1]"),
}


def conv(name: str) -> ir.Model:
    x, w, attributes = CONVS[name]
    options = f"<{attributes}>" if attributes else ""
    model = ir.from_onnx_text(
        f"""<ir_version: 9, opset_import: ["" : 17]>
        g ({x}) => (float y) <{w}> {{ y = Conv {options} (x, w) }}"""
    )
    return filled(model)


def filled(model: ir.Model) -> ir.Model:
    """Random weights for the tensors that the text only declares."""
    random = np.random.default_rng(5)
    loose = [v for n in model.graph for v in n.inputs if v.producer() is None]
    for value in dict.fromkeys(v for v in loose if v not in model.graph.inputs):
        array = random.normal(size=tuple(value.shape)).astype(np.float32)
        value.const_value = ir.tensor(array, name=value.name)
        model.graph.register_initializer(value)
    model.graph.outputs[0].shape = None
    return model


def run(model: ir.Model, feeds: dict[str, np.ndarray]) -> np.ndarray:
    content = ir.to_proto(model).SerializeToString()
    return onnxruntime.InferenceSession(content).run(None, feeds)[0]


def feeds(model: ir.Model) -> dict[str, np.ndarray]:
    random = np.random.default_rng(6)
    return {
        v.name: random.normal(size=tuple(v.shape)).astype(np.float32) for v in model.graph.inputs
    }


def product(layer, rows: np.ndarray) -> np.ndarray:
    blocks = rows.reshape(len(rows), layer.groups, -1)
    return np.einsum("ngd,god->ngo", blocks, layer.matrix()).reshape(len(rows), -1) + layer.bias()


@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("per_image", [7, 10_000])
def test_rows_times_matrix_is_the_convolution(name, per_image):
    model = conv(name)
    given = feeds(model)
    (layer,) = find(model)
    sites = layer.sites(given["x"].shape, per_image, 0)
    expected = values_at(run(model, given), 1, sites)
    got = product(layer, layer.rows(given["x"], sites))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CONVS)
def test_written_weights_are_what_is_computed(name):
    model = conv(name)
    given = feeds(model)
    (layer,) = find(model)
    sites = layer.sites(given["x"].shape, 100, 0)
    rows = layer.rows(given["x"], sites)
    bias = np.arange(layer.weight.shape[0], dtype=float)
    layer.write(layer.matrix() * 2, bias)
    expected = product(layer, rows)
    assert layer.bias().tolist() == bias.tolist()
    np.testing.assert_allclose(
        values_at(run(model, given), 1, sites), expected, rtol=1e-4, atol=1e-3
    )


DENSE = {
    "gemm": ("float[5,4] x", "y = Gemm(x, w)", "float[4,3] w"),
    "turned": ("float[5,4] x", "y = Gemm<transB = 1>(x, w, b)", "float[3,4] w, float[3] b"),
    "matmul": ("float[2,5,4] x", "y = MatMul(x, w)", "float[4,3] w"),
    "biased": ("float[2,5,4] x", "h = MatMul(x, w) y = Add(b, h)", "float[4,3] w, float[3] b"),
}


def dense(name: str) -> ir.Model:
    x, nodes, weights = DENSE[name]
    return filled(
        ir.from_onnx_text(
            f"""<ir_version: 9, opset_import: ["" : 17]>
        g ({x}) => (float y) <{weights}> {{ {nodes} }}"""
        )
    )


@pytest.mark.parametrize("name", DENSE)
def test_dense_layers_take_new_weights_and_a_bias(name):
    model = dense(name)
    given = feeds(model)
    (layer,) = find(model)
    before = run(model, given)
    sites = layer.sites(given["x"].shape, 100, 0)
    rows = layer.rows(given["x"], sites)
    np.testing.assert_allclose(
        product(layer, rows), values_at(before, -1, sites), rtol=1e-4, atol=1e-4
    )
    layer.write(layer.matrix() * 3, layer.bias() + 1)
    assert model.graph.outputs[0].name == "y"
    (layer,) = find(model)
    assert layer.output == "y"
    np.testing.assert_allclose(
        values_at(run(model, given), -1, sites), product(layer, rows), rtol=1e-4, atol=1e-4
    )
    assert np.abs(run(model, given) - before).max() > 0.5


@pytest.mark.parametrize(
    "nodes",
    [
        "y = Gemm<alpha = 0.5>(x, w)",
        "y = Gemm<transA = 1>(x, w)",
        "h = Relu(w) y = MatMul(x, h)",
        "y = MatMul(w, x)",
    ],
)
def test_what_is_not_a_plain_layer_is_left_alone(nodes):
    model = ir.from_onnx_text(
        f"""<ir_version: 9, opset_import: ["" : 17]>
        g (float[4,4] x) => (float[4,4] y) <float[4,4] w> {{ {nodes} }}"""
    )
    assert find(filled(model)) == []


def test_places_repeat_for_a_turn_and_differ_between_turns():
    one, again, other = (pick((3, 8, 6, 6), 1, 5, seed) for seed in (1, 1, 2))
    assert one.places.tolist() == again.places.tolist() != other.places.tolist()
    assert all(len(set(one.places[one.images == i])) == 5 for i in range(3))
    assert one.places.max() < 36


@pytest.mark.parametrize("groups", [1, 2, 20])
def test_sums_in_chunks_give_the_moments_of_all_rows(groups):
    random = np.random.default_rng(0)
    x = random.normal(100, 2, (400, groups * 3))  # a mean far from zero must cost no digits
    y = random.normal(-50, 1, (400, groups * 2)) + x[:, : groups * 2]
    gram = Gram(groups)
    for i in range(0, 400, 90):
        gram.add(x[i : i + 90], y[i : i + 90])
    got = gram.moments()
    for g in range(groups):
        rows, targets = x[:, 3 * g : 3 * g + 3], y[:, 2 * g : 2 * g + 2]
        full = np.cov(np.hstack([rows, targets]).T, bias=True)
        np.testing.assert_allclose(got.second[g], full[:3, :3], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(got.cross[g], full[:3, 3:], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(got.spread[g], np.diag(full)[3:], rtol=1e-3)
        np.testing.assert_allclose(got.mean_in[g], rows.mean(0))
        np.testing.assert_allclose(got.mean_out[g], targets.mean(0))


def test_two_sums_that_share_a_shift_add_up():
    random = np.random.default_rng(1)
    x, y = random.normal(5, 1, (60, 4)), random.normal(size=(60, 2))
    whole, part = Gram(), Gram()
    whole.add(x, y)
    part.add(x[:20], y[:20])
    rest = part.sharing_shift()
    rest.add(x[20:], y[20:])
    np.testing.assert_allclose(
        part.merged(rest).moments().second, whole.moments().second, rtol=1e-4, atol=1e-5
    )


def test_ridge_finds_the_weights_behind_the_rows_and_error_tells_the_residual():
    random = np.random.default_rng(2)
    x, true = random.normal(3, 1, (500, 6)), random.normal(size=(1, 4, 6))
    y = x @ true[0].T + [1, 2, 3, 4] + random.normal(0, 0.1, (500, 4))
    gram = Gram()
    gram.add(x, y)
    weights, bias = ridge(gram.moments(), np.zeros((1, 4, 6)), 1e-6)
    np.testing.assert_allclose(weights, true, atol=0.03)
    residual = ((y - x @ weights[0].T - bias[0]) ** 2).mean(0)
    np.testing.assert_allclose(error(gram.moments(), weights, bias)[0], residual, rtol=1e-3)
    worse = error(gram.moments(), weights, bias + 1)[0]
    np.testing.assert_allclose(worse, residual + 1, rtol=1e-3)


def test_a_strong_ridge_keeps_the_weights_that_are_there():
    random = np.random.default_rng(3)
    x, y = random.normal(size=(50, 5)), random.normal(size=(50, 2))
    gram, start = Gram(), random.normal(size=(1, 2, 5))
    gram.add(x, y)
    kept, bias = ridge(gram.moments(), start, 1e9)
    np.testing.assert_allclose(kept, start, atol=1e-6)
    np.testing.assert_allclose(bias, free_bias(gram.moments(), start), atol=1e-6)


def test_dead_inputs_do_no_harm():
    gram = Gram()
    gram.add(np.zeros((30, 3)), np.ones((30, 2)))
    weights, bias = ridge(gram.moments(), np.ones((1, 2, 3)), 1e-3)
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(bias, 1)


class Fixed(FakeServices):
    """Batches that hold the activations too."""

    def activations(self, graph, names):
        for batch in self.batches:
            yield {name: batch[name] for name in names}


def test_input_grams_go_over_every_batch_once():
    model = conv("plain")
    batches = [feeds(model), {k: v * 2 for k, v in feeds(model).items()}]
    layers = find(model)
    gram = input_grams(model, layers, Fixed(batches), per_image=10_000)["y"]
    assert gram.count == 2 * 2 * 7 * 6
    rows = np.concatenate(
        [layers[0].rows(b["x"], layers[0].sites(b["x"].shape, 10_000, 0)) for b in batches]
    )
    np.testing.assert_allclose(
        gram.second_moment()[0], rows.T @ rows / len(rows), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("name", CONVS)
def test_columns_as_they_lie_are_those_of_the_matrix_in_their_order(name):
    model = conv(name)
    (layer,), given = find(model), feeds(model)
    sites = layer.sites(given["x"].shape, 7, 0)
    rows, seen = layer.rows(given["x"], sites), layer.seen(given["x"], sites)
    blocks = (a.reshape(len(a), layer.groups, -1) for a in (rows, seen))
    filed, lying = (np.asarray(b) for b in blocks)
    np.testing.assert_array_equal(filed[:, :, layer.order], lying)


@pytest.mark.parametrize("size", [5, 192, 500])
def test_a_system_solved_in_blocks_is_solved(size):
    random = np.random.default_rng(4)
    half = random.normal(size=(size, 2 * size))
    system, right = half @ half.T, random.normal(size=(size, 3))
    np.testing.assert_allclose(system @ Positive(system).solve(right), right, atol=1e-7)
    system[0, 0] = -1.0  # indefinite: no such factors, but a solution
    np.testing.assert_allclose(system @ Positive(system).solve(right), right, atol=1e-7)


def test_one_factorisation_fits_other_targets_as_a_fit_of_their_own_does():
    random = np.random.default_rng(5)
    x, start = random.normal(size=(300, 6)), random.normal(size=(1, 2, 6))
    first, second = Gram(), Gram()
    first.add(x, random.normal(size=(300, 2)))
    second.add(x, random.normal(size=(300, 2)) + x[:, :2])
    got = Ridge(first.moments(), start, 0.1).fit(second.moments())
    for mine, own in zip(got, ridge(second.moments(), start, 0.1), strict=True):
        np.testing.assert_allclose(mine, own, atol=1e-6)
