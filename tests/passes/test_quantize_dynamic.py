"""Dynamic int8: fully connected layers only, close to the float net, no images needed."""

from __future__ import annotations

import numpy as np
import pytest

from core import graph as graphs
from core.passes.quantize_dynamic import QuantizeDynamic
from core.wording import sentences
from tests.builders import graph, kinds, refused, rewrite, run, skips, sqnr_db, weights_of

INT8_SQNR_DB = 25.0
NET = """(float[N,3,8,8] x) => (float[N,5] y) {
    [stem] c = Conv (x, w) p = GlobalAveragePool (c) f = Flatten (p)
    [first] h = MatMul (f, u) r = Relu (h) [head] y = Gemm <transB=1> (r, k, b)
}"""


def net(place: str = "initializer", opset: int = 17) -> graphs.Graph:
    return graph(NET, opset, place, w=(8, 3, 3, 3), u=(8, 16), k=(5, 16), b=(5,))


@pytest.mark.parametrize("place", ["initializer", "constant", "identity"])
@pytest.mark.parametrize("opset", [9, 11, 13, 17, 19, 21, 22])
def test_close_to_the_float_net(opset: int, place: str):
    before = net(place, opset)
    made, report = rewrite(before, QuantizeDynamic())
    assert report.changed == 2
    assert kinds(made).count("MatMulInteger") == 2
    assert INT8_SQNR_DB < sqnr_db(run(before), run(made)) < 80


def test_only_fully_connected_layers_are_int8():
    made, _ = rewrite(net(), QuantizeDynamic())
    kept = {name: array.dtype.name for name, array in weights_of(made).items()}
    assert kept["w"] == "float32"
    int8 = [array for array in weights_of(made).values() if array.dtype == np.int8]
    assert sorted(array.shape for array in int8 if array.ndim) == [(8, 16), (16, 5)]


def test_excluded_layers_stay_float():
    made, report = rewrite(net(), QuantizeDynamic(exclude=("head",)))
    assert report.changed == 1
    assert skips(report) == {"head": "left alone as asked"}
    assert kinds(made).count("MatMulInteger") == 1
    assert "MatMul" in kinds(made)
    assert np.float32 in {a.dtype.type for a in weights_of(made).values() if a.shape[:1] == (16,)}


@pytest.mark.parametrize("factors", ["alpha=0.5", "beta=3.0", "alpha=2.0, beta=0.5, transB=1"])
def test_a_gemm_with_factors(factors: str):
    text = f"(float[N,6] x) => (float[N,5] y) {{ [fc] y = Gemm <{factors}> (x, w, b) }}"
    before = graph(text, w=(5, 6) if "transB" in factors else (6, 5), b=(5,))
    made, report = rewrite(before, QuantizeDynamic())
    assert report.changed == kinds(made).count("MatMulInteger") == 1
    assert sqnr_db(run(before), run(made)) > INT8_SQNR_DB


SKIPPED = {
    "it takes its input transposed": "[it] y = Gemm <transA=1> (h, w)",
    "its bias is computed while the model runs": "k = Relu (b) [it] y = Gemm <beta=2.0> (h, w, k)",
    "its weight is not a float32 constant": "k = Relu (w) [it] y = MatMul (h, k)",
}


@pytest.mark.parametrize("reason", SKIPPED)
def test_what_stays_float_says_why(reason: str):
    text = f"(float[6,6] x) => (float[6,6] y) {{ h = MatMul (x, w) {SKIPPED[reason]} }}"
    shared = graph(text, w=(6, 6), **({"b": (6,)} if "Relu (b)" in text else {}))
    made, report = rewrite(shared, QuantizeDynamic())
    assert skips(report) == {"it": f"stays float: {reason}"}
    assert report.changed == kinds(made).count("MatMulInteger") == 1
    assert sqnr_db(run(shared), run(made)) > INT8_SQNR_DB


def test_a_gemm_whose_bias_is_computed():
    before = graph(
        "(float[N,6] x) => (float[N,5] y) { k = Relu (b) [fc] y = Gemm (x, w, k) }",
        w=(6, 5),
        b=(5,),
    )
    made, report = rewrite(before, QuantizeDynamic())
    assert report.changed == 1
    assert sqnr_db(run(before), run(made)) > INT8_SQNR_DB


def test_a_name_that_no_layer_has_is_pointed_out():
    _, report = rewrite(net(), QuantizeDynamic(exclude=("nothing",)))
    assert skips(report) == {"nothing": "there is no layer of this name"}
    assert report.changed == 2


def test_all_layers_excluded_changes_nothing():
    before = net()
    made, report = rewrite(before, QuantizeDynamic(exclude=("first", "head")))
    assert (report.changed, sentences(report.notes)) == (0, ("No layer is left to quantize.",))
    assert graphs.serialize(made) == graphs.serialize(before)


def test_twice_is_refused():
    made, _ = rewrite(net(), QuantizeDynamic())
    assert refused(made, QuantizeDynamic()) == "The model is already quantized."


@pytest.mark.parametrize(
    "text",
    [
        "(float[N,3,8,8] x) => (float[N,4,H,W] y) { y = Conv (x, w) }",
        "(float[N,6] x, float[6,6] u) => (float[N,6] y) { y = MatMul (x, u) }",
        "(float16[N,6] x) => (float16[N,6] y) { y = MatMul (x, h) }",
    ],
)
def test_nothing_to_quantize_is_refused(text: str):
    given = {"w": (4, 3, 1, 1), "h": np.ones((6, 6), np.float16)}
    before = graph(text, **{n: a for n, a in given.items() if f", {n})" in text})
    assert "use static quantization" in refused(before, QuantizeDynamic())


def test_a_layer_whose_weight_is_computed_stays_float_beside_others():
    before = graph(
        "(float[N,6] x, float[6,6] u) => (float[N,6] y) "
        "{ [fixed] a = MatMul (x, w) [free] y = MatMul (a, u) }",
        w=(6, 6),
    )
    made, report = rewrite(before, QuantizeDynamic())
    assert report.changed == 1
    assert kinds(made).count("MatMulInteger") == 1
    assert "MatMul" in kinds(made)


def test_the_model_keeps_its_metadata():
    before = net()
    before.metadata_props["lathe.labels"] = '["cat"]'
    made, _ = rewrite(before, QuantizeDynamic())
    assert made.metadata_props["lathe.labels"] == '["cat"]'
