"""Fewer bits per number: what takes them, what keeps its type between Casts, and why."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from core import graph as graphs
from core.passes.convert_precision import ConvertPrecision
from core.wording import sentences
from tests.builders import (
    feeds,
    graph,
    kinds,
    norm,
    refused,
    rewrite,
    run,
    same,
    skips,
    sqnr_db,
    weights_of,
)

FP16, FP32 = ConvertPrecision(precision="fp16"), ConvertPrecision(precision="fp32")
HALF_SQNR_DB = 50.0  # eleven bits of mantissa, about 6 dB each, less what sums lose
NET = """(float[N,3,8,8] x) => (float[N,5] y) {
    c = Conv <pads=[1,1,1,1]> (x, w, b) n = BatchNormalization (c, s, t, m, v) r = Relu (n)
    p = GlobalAveragePool (r) f = Flatten (p) y = Gemm <transB=1> (f, u, k)
}"""


def net(place: str = "initializer", opset: int = 17) -> graphs.Graph:
    return graph(NET, opset, place, w=(4, 3, 3, 3), b=(4,), u=(5, 4), k=(5,), **norm(4))


def types(made: graphs.Graph) -> dict[str, ir.DataType]:
    return {v.name: v.dtype for node in made.graph for v in node.outputs}


@pytest.mark.parametrize("place", ["initializer", "constant", "identity"])
@pytest.mark.parametrize("opset", [9, 11, 13, 14, 15, 17, 19, 22])
def test_half_the_bytes_and_almost_the_same_numbers(place: str, opset: int):
    before = net(place, opset)
    made, report = rewrite(before, FP16)
    assert report.changed == 6
    assert {a.dtype for a in weights_of(made).values()} == {np.dtype(np.float16)}
    given = feeds(before)
    wanted, got = run(before, given), run(made, given)
    assert HALF_SQNR_DB < sqnr_db(wanted, got) < 120
    assert got[0].dtype == np.float32


def test_inputs_and_outputs_keep_name_and_type():
    before = net()
    made, _ = rewrite(before, FP16)
    for side in (graphs.input_specs, graphs.output_specs):
        assert [(s.name, s.dtype) for s in side(made)] == [(s.name, s.dtype) for s in side(before)]
    assert kinds(made)[0] == kinds(made)[-1] == "Cast"
    assert kinds(made).count("Cast") == 2


def test_nodes_are_in_topological_order():
    made, _ = rewrite(_branches(), FP16)
    known = {v.name for v in made.graph.inputs} | set(weights_of(made))
    for node in made.graph:
        assert {v.name for v in node.inputs if v is not None} <= known, node.name
        known |= {v.name for v in node.outputs}


def _branches() -> graphs.Graph:
    return graph(
        """(float[N,6] x, float[N,6] u) => (float[N,6] y, float[N,6] z, float[N,3] top) {
            a = Relu (x) z = Add (a, u) b = Mul (a, z) y = Sigmoid (b)
            top, at = TopK (b, three)
        }""",
        three=np.array([3]),
    )


def test_an_output_that_others_use_too():
    before = _branches()
    made, report = rewrite(before, FP16)
    assert "loses too much in float16" in skips(report)["TopK_1"]
    same(before, made, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("which", [FP16, FP32])
def test_once_is_enough(which: ConvertPrecision):
    once, _ = rewrite(net(), which)
    twice, report = rewrite(once, which)
    assert report.changed == 0
    assert sentences(report.notes)[0].startswith("Nothing to convert to float")
    assert graphs.serialize(twice) == graphs.serialize(once)


def test_single_precision_is_nothing_to_do_for_a_net_of_float32():
    before = net()
    made, report = rewrite(before, FP32)
    assert (report.changed, sentences(report.notes)[0]) == (0, "Nothing to convert to float.")
    assert graphs.serialize(made) == graphs.serialize(before)


def _double(text: str, **weights: np.ndarray) -> graphs.Graph:
    return graph(text, **{n: np.asarray(w, np.float64) for n, w in weights.items()})


def test_double_becomes_single():
    random = np.random.default_rng(0)
    before = _double(
        "(double[N,6] x) => (double[N,4] y) { h = Gemm (x, w, b) r = Relu (h) y = MatMul (r, u) }",
        w=random.normal(size=(6, 5)),
        b=random.normal(size=5),
        u=random.normal(size=(5, 4)),
    )
    made, report = rewrite(before, FP32)
    assert report.changed == 3
    assert {a.dtype for a in weights_of(made).values()} == {np.dtype(np.float32)}
    assert made.graph.inputs[0].dtype == made.graph.outputs[0].dtype == ir.DataType.DOUBLE
    same(before, made, rtol=1e-5, atol=1e-6)


def test_double_becomes_half_in_one_step():
    before = _double("(double[N,6] x) => (double[N,4] y) { y = MatMul (x, w) }",
                     w=np.random.default_rng(0).normal(size=(6, 4)))  # fmt: skip
    made, _ = rewrite(before, FP16)
    assert {a.dtype for a in weights_of(made).values()} == {np.dtype(np.float16)}
    same(before, made, rtol=1e-2, atol=1e-2)


def test_casts_of_a_mixed_model_are_not_doubled():
    before = graph(
        """(float[N,6] x) => (float[N,6] y) {
            h = Cast <to=10> (x) r = Relu (h) f = Cast <to=1> (r) y = MatMul (f, w)
        }""",
        w=(6, 6),
    )
    made, report = rewrite(before, FP16)
    assert kinds(made) == ["Cast", "Relu", "MatMul", "Cast"]
    assert report.changed == 1
    same(before, made, rtol=1e-2, atol=1e-2)


def test_a_cast_to_the_old_type_goes_to_the_new_one():
    before = graph(
        "(uint8[N,6] x) => (float[N,4] y) { f = Cast <to=1> (x) s = Mul (f, k) y = MatMul (s, w) }",
        k=np.float32(0.25), w=(6, 4),
    )  # fmt: skip
    made, _ = rewrite(before, FP16)
    first = next(iter(made.graph))
    assert (first.op_type, first.attributes["to"].as_int()) == ("Cast", ir.DataType.FLOAT16)
    assert kinds(made) == ["Cast", "Mul", "MatMul", "Cast"]
    same(before, made, rtol=1e-2, atol=1e-2)


def test_the_scales_of_a_resize_stay_single():
    before = graph(
        """(float[N,3,4,4] x) => (float[N,3,8,8] y)
        { a = Relu (x) r = Resize <mode="linear"> (a, roi, scales) y = Neg (r) }""",
        roi=np.zeros(0, np.float32), scales=np.array([1, 1, 2, 2], np.float32),
    )  # fmt: skip
    made, _ = rewrite(before, FP16)
    assert weights_of(made)["scales"].dtype == np.float32
    assert types(made)["r"] == ir.DataType.FLOAT16
    same(before, made, rtol=1e-2, atol=1e-2)


def test_arithmetic_on_shapes_stays_exact():
    before = graph(
        """(float[1,3,H,5000] x) => (float[A,B] y) {
            s = Shape (x) last = Gather (s, three) f = Cast <to=1> (last) h = Mul (f, half)
            i = Cast <to=7> (h) to = Concat <axis=0> (minus, i) y = Reshape (x, to)
        }""",
        three=np.array([3]), half=np.float32(0.2002), minus=np.array([-1]),
    )  # fmt: skip
    made, _ = rewrite(before, FP16)
    assert types(made)["f"] == ir.DataType.FLOAT
    given = {"x": np.ones((1, 3, 1001, 5000), np.float32)[:, :, :1001]}
    assert run(made, given)[0].shape == run(before, given)[0].shape


BODY = """(float[N,6] x, bool flag) => (float[N,6] y) {
    z = Relu (x)
    c = If (flag) <
      then_branch = a () => (float[N,6] p) { p = Mul (z, w) },
      else_branch = b () => (float[N,6] q) { q = Neg (z) }
    >
    y = Sigmoid (c)
}"""


def test_bodies_of_control_flow_stay_as_they_are():
    before = graph(BODY, w=(6,))
    made, report = rewrite(before, FP16)
    assert "it holds a body" in skips(report)["If_1"]
    x = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    for flag in (True, False):
        given = {"x": x, "flag": np.array(flag)}
        np.testing.assert_allclose(run(made, given)[0], run(before, given)[0], atol=2e-3)


SKIPPED = {
    "another domain": (
        "(float[N,6] x) => (float[N,6] y) { a = Relu (x) [it] y = com.microsoft.Gelu (a) }", {},
        "operator com.microsoft.Gelu is not known here"),
    "a constant out of range": (
        "(float[N,6] x) => (float[N,6] y) { a = Relu (x) [it] b = Min (a, k) y = Neg (b) }",
        {"k": np.float32(1e6)}, "'k' holds 1e+06, beyond its range"),
    "a constant that would vanish": (
        "(float[N,6] x) => (float[N,6] y) { a = Relu (x) [it] b = Add (a, k) y = Neg (b) }",
        {"k": np.float32(1e-9)}, "'k' is 1e-09, which would become 0"),
    "a running sum": (
        "(float[N,6] x) => (float[N,6] y) { a = Relu (x) [it] y = CumSum (a, k) }",
        {"k": np.array(1)}, "CumSum loses too much in float16"),
}  # fmt: skip


@pytest.mark.parametrize("name", SKIPPED)
def test_what_stays_says_why(name: str):
    text, weights, reason = SKIPPED[name]
    before = graph(text, domains='"com.microsoft" : 1', **weights)
    made, report = rewrite(before, FP16)
    found = skips(report)
    assert found.pop("it") == f"stays float: {reason}"
    assert set(found.values()) <= {"stays float: it works on the result of it"}
    assert types(made)["a"] == ir.DataType.FLOAT16
    same(before, made, rtol=1e-2, atol=1e-2)


def test_infinities_on_purpose_stay():
    """A mask of minus infinity is no overflow."""
    before = graph(
        "(float[N,6] x) => (float[N,6] y) { a = Add (x, k) y = Softmax (a) }",
        k=np.array([0, 0, -np.inf, 0, 0, 0], np.float32),
    )
    made, report = rewrite(before, FP16)
    assert report.changed == 2
    same(before, made, rtol=1e-2, atol=1e-3)


def test_integer_models_are_refused():
    before = graph(
        "(float[N,6] x) => (float[N,6] y) { w = DequantizeLinear (q, k, z) y = MatMul (x, w) }",
        q=np.ones((6, 6), np.int8), k=np.float32(0.1), z=np.int8(0),
    )  # fmt: skip
    assert "already quantized" in refused(before, FP16)


def test_a_weight_that_two_nodes_share_is_stored_once():
    before = graph(
        "(float[N,6] x) => (float[N,6] y) { a = MatMul (x, w) b = MatMul (a, w) y = Neg (b) }",
        w=(6, 6),
    )
    made, _ = rewrite(before, FP16)
    assert [a.dtype.name for a in weights_of(made).values()] == ["float16"]
    same(before, made, rtol=1e-2, atol=1e-2)


def test_an_input_that_is_an_output():
    before = graph("(float[N,6] x) => (float[N,6] y, float[N,6] z) { y = Relu (x) z = Neg (y) }")
    before.graph.outputs.append(before.graph.inputs[0])
    made, _ = rewrite(before, FP16)
    assert [v.dtype for v in made.graph.outputs] == [ir.DataType.FLOAT] * 3
    onnx.checker.check_model(graphs.serialize(made))


def test_a_weight_that_is_an_output():
    before = graph("(float[N,6] x) => (float[N,6] y, float[6,6] w) { y = MatMul (x, w) }", w=(6, 6))
    made, _ = rewrite(before, FP16)
    same(before, made, rtol=1e-2, atol=1e-2)


DATA = Path(os.environ.get("LATHE_DATA", "")) / "models"


@pytest.mark.slow
@pytest.mark.skipif(
    not (os.environ.get("LATHE_DATA") and DATA.is_dir()),
    reason="LATHE_DATA names no folder with models",
)
@pytest.mark.parametrize("name", ["cifar10_resnet20", "coco_yolox_nano"])
def test_published_models(name: str):
    before = graphs.load(DATA / f"{name}.onnx")
    made, _ = rewrite(before, FP16)
    assert len(graphs.serialize(made)) < 0.6 * len(graphs.serialize(before))


# What float16 cannot hold in between, though both ends fit -> the graph, its weights, input size.
FRAGILE = {
    "a norm by its parts": (
        """(float[N,64] x) => (float[N,64] y) { m = ReduceMean <axes=[-1]> (x) c = Sub (x, m)
        p = Pow (c, two) v = ReduceMean <axes=[-1]> (p) e = Add (v, eps) s = Sqrt (e)
        y = Div (c, s) }""",
        {"two": np.float32(2), "eps": np.float32(1e-12)}, 2000.0),
    "a norm of nothing": (
        """(float[N,64] x) => (float[N,64] y) { m = ReduceMean <axes=[-1]> (x) c = Sub (x, m)
        p = Pow (c, two) v = ReduceMean <axes=[-1]> (p) e = Add (v, eps) s = Sqrt (e)
        y = Div (c, s) }""",
        {"two": np.float32(2), "eps": np.float32(1e-12)}, 0.0),
    "small squares": (
        """(float[N,64] x) => (float[N,64] y) { s = Mul (x, x) r = ReduceSum (s, last)
        n = Sqrt (r) y = Div (x, n) }""", {"last": np.array([-1])}, 1e-4),
    "a guarded logarithm": (
        "(float[N,64] x) => (float[N,64] y) { c = Clip (x, low) y = Log (c) }",
        {"low": np.float32(1e-12)}, 0.0),
    "a sum over an image": (
        """(float[N,64] x) => (float[N,1] y) { a = Relu (x) s = ReduceSum (a, last)
        y = Mul (s, part) }""", {"last": np.array([-1]), "part": np.float32(1e-3)}, 9000.0),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAGILE)
def test_true_float16_arithmetic_stays_close(name: str):
    """CPU runtimes compute such files in float32; the reference rounds after every operator."""
    text, weights, size = FRAGILE[name]
    before = graph(text, **weights)
    made, report = rewrite(before, FP16)
    given = {"x": size * feeds(before)["x"]}
    wanted = run(before, given)
    got = ReferenceEvaluator(onnx.ModelProto.FromString(graphs.serialize(made))).run(None, given)
    assert np.isfinite(got[0]).all()
    np.testing.assert_allclose(got[0], wanted[0], rtol=1e-2, atol=1e-2 * np.abs(wanted[0]).max())
    assert skips(report)


def test_sequences_stay_as_they_are():
    before = graph(
        """(float[N,6] x) => (float[N,6] y) { a = Relu (x) s = SequenceConstruct (a, x)
        b = SequenceAt (s, one) y = Neg (b) }""", one=np.array(1),
    )  # fmt: skip
    made, report = rewrite(before, FP16)
    assert "it works on a sequence" in skips(report)["SequenceConstruct_1"]
    same(before, made, rtol=1e-2, atol=1e-2)


def test_a_type_named_by_an_attribute_follows():
    before = graph(
        "(double[4,4] x) => (double[4,4] y) { e = EyeLike <dtype=11> (x) y = Mul (x, e) }"
    )
    made, report = rewrite(before, FP32)
    assert report.changed == 2
    assert types(made)["e"] == ir.DataType.FLOAT
    graphs.check(made)


def test_what_was_empty_before_may_be():
    before = graph(
        "(float[N,6] x) => (float[N,6] y) { a = Relu (x) y = Concat <axis=-1> (a, nothing) }",
        nothing=np.zeros((2, 0), np.float32),
    )
    made, _ = rewrite(before, FP16)
    same(before, made, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("which", [FP16, FP32])
def test_bits_that_are_taken_for_another_type_keep_theirs(which: ConvertPrecision):
    kind, to = ("float", 6) if which is FP16 else ("double", 7)
    other = "int32" if which is FP16 else "int64"
    before = graph(
        f"({kind}[4] x) => ({other}[4] y, {kind}[4] z) {{ y = BitCast <to={to}> (x) z = Abs (x) }}",
        26,
    )
    made, report = rewrite(before, which)
    assert "for another type's" in skips(report)["BitCast_1"]
    graphs.check(made)


def test_an_attention_that_gives_out_masked_scores_stays_wide():
    outputs = "y, k, v, scores"
    body = f"{outputs} = Attention <is_causal=1, qk_matmul_output_mode=2> (q, q, q, , pk, pv)"
    given = "(float[1,2,3,4] q, float[1,2,3,4] pk, float[1,2,3,4] pv) => (float[1,2,3,4] y"
    scores = f"{given}, float[1,2,3,6] scores) {{ {body} }}"
    _, report = rewrite(graph(scores, 23), FP16)
    assert "masked scores" in skips(report)["Attention_1"]
    _, report = rewrite(graph(f"{given}) {{ {body} }}", 23), FP16)
    assert report.changed == 1
