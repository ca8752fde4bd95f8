"""Folding batch norms: every layer that takes one over computes the same; the rest says why not."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from core import graph as graphs
from core.passes.fold_batch_norm import FoldBatchNorm
from core.wording import sentences
from tests.builders import graph, kinds, norm, refused, rewrite, run, same, skips, weights_of

BN = "[bn] y = BatchNormalization (c, s, t, m, v)"
IMAGE = "(float[N,4,8,8] x) => (float[N,6,H,W] y)"
ROWS = "(float[N,5] x) => (float[N,6] y)"

# What each case is -> the graph and its weights; every batch norm in it can be folded.
AFTER = {
    "conv": (f"{IMAGE} {{ c = Conv <pads=[1,1,1,1]> (x, w, b) {BN} }}", {"w": (6, 4, 3, 3)}),
    "conv without bias": (f"{IMAGE} {{ c = Conv (x, w) {BN} }}", {"w": (6, 4, 3, 3)}),
    "conv with an empty bias": (f'{IMAGE} {{ c = Conv (x, w, "") {BN} }}', {"w": (6, 4, 3, 3)}),
    "grouped conv": (
        f"{IMAGE} {{ c = Conv <group=2, strides=[2,2]> (x, w, b) {BN} }}",
        {"w": (6, 2, 3, 3)},
    ),
    "depthwise conv": (
        f"(float[N,6,8,8] x) => (float[N,6,H,W] y) {{ c = Conv <group=6> (x, w) {BN} }}",
        {"w": (6, 1, 3, 3)},
    ),
    "conv along one axis": (
        f"(float[N,4,9] x) => (float[N,6,L] y) {{ c = Conv (x, w) {BN} }}",
        {"w": (6, 4, 3)},
    ),
    "transposed conv": (
        f"{IMAGE} {{ c = ConvTranspose <strides=[2,2]> (x, w, b) {BN} }}",
        {"w": (4, 6, 3, 3)},
    ),
    "grouped transposed conv": (
        f"{IMAGE} {{ c = ConvTranspose <group=2> (x, w) {BN} }}",
        {"w": (4, 3, 3, 3)},
    ),
    "gemm": (f"{ROWS} {{ c = Gemm (x, w, b) {BN} }}", {"w": (5, 6)}),
    "gemm without bias": (f"{ROWS} {{ c = Gemm <transB=1> (x, w) {BN} }}", {"w": (6, 5)}),
    "gemm with factors": (
        f"{ROWS} {{ c = Gemm <alpha=0.5, beta=3.0, transB=1> (x, w, b) {BN} }}",
        {"w": (6, 5)},
    ),
    "gemm of a transposed input": (
        f"(float[5,N] x) => (float[N,6] y) {{ c = Gemm <transA=1> (x, w, b) {BN} }}",
        {"w": (5, 6)},
    ),
    "gemm with one bias for all": (
        f"{ROWS} {{ c = Gemm <beta=2.0> (x, w, scalar) {BN} }}",
        {"w": (5, 6), "scalar": np.float32(0.7)},
    ),
    "matmul": (f"{ROWS} {{ c = MatMul (x, w) {BN} }}", {"w": (5, 6)}),
    "matmul and add": (
        f"{ROWS} {{ h = MatMul (x, w) c = Add (h, b) {BN} }}",
        {"w": (5, 6)},
    ),
    "add on the left": (f"{ROWS} {{ h = MatMul (x, w) c = Add (b, h) {BN} }}", {"w": (5, 6)}),
    "conv and add": (
        f"{IMAGE} {{ h = Conv (x, w) c = Add (h, tall) {BN} }}",
        {"w": (6, 4, 3, 3), "tall": (6, 1, 1)},
    ),
    "conv and an add along the width": (
        f"{IMAGE} {{ h = Conv (x, w) c = Add (h, wide) {BN} }}",
        {"w": (6, 4, 3, 3), "wide": (6,)},
    ),
    "another batch norm": (
        f"""(float[N,6,4,4] x) => (float[N,6,4,4] y) {{
            a = Conv (x, w) r = Relu (a) c = BatchNormalization (r, ps, pt, pm, pv) {BN}
            }}""",
        {"w": (6, 6, 1, 1), **norm(6, "p")},
    ),
}  # fmt: skip


def case(text: str, weights: dict[str, object], **options: object) -> graphs.Graph:
    """The graph of `text` with those of the usual weights that it names inside its braces."""
    known = {"b": (6,), **norm(6), **weights}
    inputs, _, body = text.partition("{")
    named = set(re.findall(r"\w+", body)) - set(re.findall(r"\w+", inputs))
    return graph(text, **options, **{name: w for name, w in known.items() if name in named})


@pytest.mark.parametrize("place", ["initializer", "constant", "identity"])
@pytest.mark.parametrize("name", AFTER)
def test_the_layer_before_takes_it_over(name: str, place: str):
    net = case(*AFTER[name], place=place)
    folded, report = rewrite(net, FoldBatchNorm())
    found = kinds(net).count("BatchNormalization")
    left = kinds(folded).count("BatchNormalization")
    assert (report.changed, left) == (1, found - 1)
    same(net, folded)


@pytest.mark.parametrize("name", AFTER)
def test_without_the_batch_norm_the_output_differs_so_the_comparison_can_fail(name: str):
    net = case(*AFTER[name])
    bare = net.clone()
    last = next(n for n in bare.graph if n.name == "bn")
    last.outputs[0].replace_all_uses_with(last.inputs[0], replace_graph_outputs=True)
    assert np.abs(run(net)[0] - run(bare)[0]).max() > 0.1


@pytest.mark.parametrize("name", AFTER)
def test_once_is_enough(name: str):
    once, _ = rewrite(case(*AFTER[name]), FoldBatchNorm())
    twice, report = rewrite(once, FoldBatchNorm())
    assert report.changed == 0
    assert graphs.serialize(twice) == graphs.serialize(once)


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23])
def test_every_opset(opset: int):
    net = case(*AFTER["conv"], opset=opset)
    folded, report = rewrite(net, FoldBatchNorm())
    assert kinds(folded) == ["Conv"]
    assert report.changed == 1
    same(net, folded)


def test_an_older_opset_stays():
    net = case(*AFTER["conv without bias"], opset=6)
    report = _left(net)
    assert "convert the model to opset 7 or later" in skips(report)["bn"]


BEFORE = {
    "conv without padding": (
        "(float[N,6,8,8] x) => (float[N,4,H,W] y) {{ {bn} y = Conv <pads=[0,0,0,0]> (c, w, b) }}",
        {"w": (4, 6, 3, 3), "b": (4,)},
    ),
    "conv without bias": (
        "(float[N,6,8,8] x) => (float[N,4,H,W] y) {{ {bn} y = Conv (c, w) }}",
        {"w": (4, 6, 3, 3)},
    ),
    "grouped conv": (
        "(float[N,6,8,8] x) => (float[N,4,H,W] y) {{ {bn} y = Conv <group=2> (c, w) }}",
        {"w": (4, 3, 3, 3)},
    ),
    "valid": (
        '(float[N,6,8,8] x) => (float[N,4,H,W] y) {{ {bn} y = Conv <auto_pad="VALID"> (c, w) }}',
        {"w": (4, 6, 3, 3)},
    ),
    "same, of 1x1": (
        """(float[N,6,8,8] x) => (float[N,4,H,W] y)
        {{ {bn} y = Conv <auto_pad="SAME_UPPER", strides=[2,2]> (c, w) }}""",
        {"w": (4, 6, 1, 1)},
    ),
    "padded, no shift": (
        "(float[N,6,8,8] x) => (float[N,4,H,W] y) {{ {bn} y = Conv <pads=[1,1,1,1]> (c, w) }}",
        {"w": (4, 6, 3, 3), "m": np.zeros(6, np.float32), "t": np.zeros(6, np.float32)},
    ),
    "gemm": (
        "(float[N,6] x) => (float[N,4] y) {{ {bn} y = Gemm <alpha=2.0, beta=0.5> (c, w, b) }}",
        {"w": (6, 4), "b": (4,)},
    ),
    "gemm, transposed, without bias": (
        "(float[N,6] x) => (float[N,4] y) {{ {bn} y = Gemm <transB=1, alpha=0.5> (c, w) }}",
        {"w": (4, 6)},
    ),
    "two consumers that share weights": (
        """(float[N,6,8,8] x) => (float[N,4,H,W] y) {{ {bn}
            p = Conv (c, w) q = Conv <strides=[1,1]> (c, w, b) y = Add (p, q) }}""",
        {"w": (4, 6, 3, 3), "b": (4,)},
    ),
}  # fmt: skip
FIRST = "[bn] c = BatchNormalization (x, s, t, m, v)"


@pytest.mark.parametrize("name", BEFORE)
def test_the_layers_behind_take_it_over(name: str):
    text, weights = BEFORE[name]
    net = case(text.format(bn=FIRST), weights)
    folded, report = rewrite(net, FoldBatchNorm())
    assert "BatchNormalization" not in kinds(folded)
    assert report.changed == 1
    same(net, folded)


# What stays: the graph, its weights, and words of the reason.
STAYS = {
    "an input of the model": (
        "(float[N,6,4,4] x) => (float[N,6,4,4] y) { [bn] y = BatchNormalization (x, s, t, m, v) }",
        {},
        "follows an input of the model; its output is an output of the model",
    ),
    "padding before a conv": (
        f"(float[N,6,8,8] x) => (float[N,4,8,8] y) {{ {FIRST} y = Conv <pads=[1,1,1,1]> (c, w) }}",
        {"w": (4, 6, 3, 3)},
        "pads its input with zeros",
    ),
    "same padding before a conv": (
        f"""(float[N,6,8,8] x) => (float[N,4,8,8] y)
        {{ {FIRST} y = Conv <auto_pad="SAME_LOWER"> (c, w) }}""",
        {"w": (4, 6, 3, 3)},
        "pads its input with zeros",
    ),
    "a layer without weights": (
        "(float[N,6,8,8] x) => (float[N,6,8,8] y) { c = Relu (x) " + BN + " }",
        {},
        "which has no weights",
    ),
    "an output of the model in between": (
        "(float[N,4,8,8] x) => (float[N,6,H,W] c, float[N,6,H,W] y) { c = Conv (x, w) " + BN + " }",
        {"w": (6, 4, 3, 3)},
        "whose output is an output of the model too",
    ),
    "others need the layer as it is": (
        "(float[N,4,8,8] x) => (float[N,6,H,W] y, float[N,6,H,W] z) { c = Conv (x, w) z = Relu (c) "
        + BN + " }",
        {"w": (6, 4, 3, 3)},
        "whose output other nodes need as it is",
    ),
    "weights that are an input": (
        "(float[N,4,8,8] x, float[6,4,3,3] w) => (float[N,6,H,W] y) { c = Conv (x, w) " + BN + " }",
        {},
        "which has a weight that is the input 'w' of the model",
    ),
    "weights that are computed": (
        "(float[N,4,8,8] x) => (float[N,6,H,W] y) { k = Relu (w) c = Conv (x, k) " + BN + " }",
        {"w": (6, 4, 3, 3)},
        "which has a weight that is computed while the model runs",
    ),
    "a bias that is computed": (
        "(float[N,4,8,8] x) => (float[N,6,H,W] y) { k = Relu (b) c = Conv (x, w, k) " + BN + " }",
        {"w": (6, 4, 3, 3)},
        "which has a bias that is computed while the model runs",
    ),
    "parameters that are an input": (
        "(float[N,4,8,8] x, float[6] v) => (float[N,6,H,W] y) { c = Conv (x, w) " + BN + " }",
        {"w": (6, 4, 3, 3)},
        "its variance is the input 'v' of the model",
    ),
    "parameters that are not finite": (
        "(float[N,4,8,8] x) => (float[N,6,H,W] y) { c = Conv (x, w) " + BN + " }",
        {"w": (6, 4, 3, 3), "v": np.full(6, -1, np.float32)},
        "are not finite",
    ),
    "training": (
        """(float[N,4,8,8] x) => (float[N,6,H,W] y) { c = Conv (x, w)
        [bn] y, rm, rv = BatchNormalization <training_mode=1> (c, s, t, m, v) }""",
        {"w": (6, 4, 3, 3)},
        "is in training mode",
    ),
    "matmul of three axes": (
        "(float[N,6,5] x) => (float[N,6,7] y) { c = MatMul (x, w) " + BN + " }",
        {"w": (5, 7)},
        "does not put its channels on the last axis",
    ),
    "a constant of a higher rank": (
        "(float[N,5] x) => (float[6,6,6] y) { h = MatMul (x, w) c = Add (h, cube) " + BN + " }",
        {"w": (5, 6), "cube": (6, 1, 6)},
        "adds a constant of a higher rank",
    ),
    "half precision that would overflow": (
        "(float16[N,4,8,8] x) => (float16[N,6,H,W] y) { c = Conv (x, w) " + BN + " }",
        {"w": np.full((6, 4, 3, 3), 6e4, np.float16)}
        | {n: (a + 2).astype(np.float16) for n, a in norm(6).items() if n != "v"}
        | {"v": np.full(6, 0.01, np.float16)},
        "do not fit float16",
    ),
    "the weights of the next layer": (
        """(float[N,6,3,3] x, float[1,6,8,8] i) => (float[1,N,H,W] y)
        { [bn] c = BatchNormalization (x, s, t, m, v) y = Conv (i, c) }""",
        {},
        "takes it as its weights",
    ),
    "a transposed input of gemm": (
        "(float[N,6] x) => (float[6,4] y) { " + FIRST + " y = Gemm <transA=1> (c, w) }",
        {"w": (2, 4)},
        "takes it transposed",
    ),
}  # fmt: skip


def _left(net: graphs.Graph):
    before = graphs.serialize(net)
    made, report = rewrite(net, FoldBatchNorm())
    assert report.changed == 0
    assert graphs.serialize(made) == before
    return report


@pytest.mark.parametrize("name", STAYS)
def test_what_cannot_be_folded_stays_with_its_reason(name: str):
    text, weights, reason = STAYS[name]
    report = _left(case(text, weights))
    assert list(skips(report)) == ["bn"]
    assert reason in skips(report)["bn"]
    assert sentences(report.notes)[0] == "0 of 1 batch norms folded."


def test_spatial_zero_stays():
    text, weights = AFTER["conv without bias"]
    old = text.replace("BatchNormalization", "BatchNormalization <spatial=0>")
    assert "spatial = 0" in skips(_left(case(old, weights, opset=7)))["bn"]


def test_the_outputs_of_training_mode_stay_before_opset_14():
    text = """(float[N,4,8,8] x) => (float[N,6,H,W] y) { c = Conv (x, w)
        [bn] y, rm, rv, sm, sv = BatchNormalization (c, s, t, m, v) }"""
    net = case(text, {"w": (6, 4, 3, 3)}, opset=9)
    _, report = rewrite(net, FoldBatchNorm())
    assert report.changed == 0
    assert skips(report)["bn"] == "lists the outputs of training mode"


def test_several_consumers_and_an_output_of_the_model():
    net = case(
        """(float[N,4,8,8] x) => (float[N,6,H,W] y, float[N,6,H,W] z, float[N,6,H,W] u)
        { c = Conv (x, w) [bn] y = BatchNormalization (c, s, t, m, v) z = Relu (y) u = Neg (y) }""",
        {"w": (6, 4, 3, 3)},
    )
    folded, report = rewrite(net, FoldBatchNorm())
    assert (report.changed, kinds(folded)) == (1, ["Conv", "Relu", "Neg"])
    assert [value.name for value in folded.graph.outputs] == ["y", "z", "u"]
    same(net, folded)


def test_shared_weights_keep_their_numbers_for_the_others():
    net = case(
        """(float[N,4,8,8] x) => (float[N,6,H,W] y, float[N,6,H,W] z)
        { c = Conv (x, w, b) z = Conv <dilations=[1,1]> (x, w, b)
          [bn] y = BatchNormalization (c, s, t, m, v) }""",
        {"w": (6, 4, 3, 3)},
    )
    before = weights_of(net)["w"].copy()
    folded, report = rewrite(net, FoldBatchNorm())
    assert report.changed == 1
    np.testing.assert_array_equal(weights_of(folded)["w"], before)
    same(net, folded)


def test_two_layers_of_shared_weights_and_shared_parameters():
    net = case(
        """(float[N,4,8,8] x) => (float[N,6,H,W] y, float[N,6,H,W] z)
        { c = Conv (x, w) d = Conv (x, w)
          [bn] y = BatchNormalization (c, s, t, m, v) z = BatchNormalization (d, s, t, m, v) }""",
        {"w": (6, 4, 3, 3)},
    )
    folded, report = rewrite(net, FoldBatchNorm())
    assert report.changed == 2
    assert "s" not in weights_of(folded)
    same(net, folded)


def test_inside_a_body():
    net = case(
        """(float[N,4,8,8] x, bool flag) => (float[N,6,6,6] z) {
          z = If (flag) <
            then_branch = then () => (float[N,6,6,6] y) { c = Conv (x, w) [bn] y = BatchNormalization (c, s, t, m, v) },
            else_branch = other () => (float[N,6,6,6] q) { q = Conv (x, w) }
          >
        }""",  # noqa: E501
        {"w": (6, 4, 3, 3)},
    )
    folded, report = rewrite(net, FoldBatchNorm())
    assert report.changed == 1
    assert kinds(folded) == ["If", "Conv", "Conv"]
    for flag in (True, False):
        given = {"x": np.random.default_rng(0).normal(size=(2, 4, 8, 8)).astype(np.float32)}
        given["flag"] = np.array(flag)
        np.testing.assert_allclose(run(folded, given)[0], run(net, given)[0], rtol=1e-4, atol=1e-5)


def test_a_layer_outside_the_body_stays():
    net = case(
        """(float[N,4,8,8] x, bool flag) => (float[N,6,6,6] z) { c = Conv (x, w)
          z = If (flag) <
            then_branch = then () => (float[N,6,6,6] y) { [bn] y = BatchNormalization (c, s, t, m, v) },
            else_branch = other () => (float[N,6,6,6] q) { q = Relu (c) }
          >
        }""",  # noqa: E501
        {"w": (6, 4, 3, 3)},
    )
    assert "outside this body" in skips(_left(net))["bn"]


def test_inside_a_function_it_stays():
    net = graph(
        """(float[N,6] x) => (float[N,6] y) { y = my.layer (x, w, s, t, m, v) }
        <domain: "my", opset_import: ["" : 17]>
        layer (x, w, s, t, m, v) => (y) { c = MatMul (x, w) [bn] y = BatchNormalization (c, s, t, m, v) }
        """,  # noqa: E501
        domains='"my" : 1',
        w=(6, 6),
        **norm(6),
    )
    assert "inside a model-local function" in skips(_left(net))["bn"]


def test_batch_norms_of_other_domains_are_none_of_ours():
    net = case(*AFTER["conv without bias"])
    next(n for n in net.graph if n.name == "bn").domain = "my"
    net.opset_imports["my"] = 1
    assert sentences(_left(net).notes)[0] == "The model holds no batch norm."


def test_double_precision_stays_double():
    weights = {n: a.astype(np.float64) for n, a in norm(6).items()}
    net = graph(
        "(double[N,5] x) => (double[N,6] y) { c = Gemm (x, w, b) "
        "y = BatchNormalization (c, s, t, m, v) }",
        w=np.random.default_rng(1).normal(size=(5, 6)),
        b=np.random.default_rng(2).normal(size=6),
        **weights,
    )
    folded, _ = rewrite(net, FoldBatchNorm())
    assert folded.graph.outputs[0].dtype == ir.DataType.DOUBLE
    same(net, folded, rtol=1e-12, atol=1e-12)


def test_a_wrong_fold_would_be_undone(monkeypatch: pytest.MonkeyPatch):
    """The runner holds an exact pass to its promise."""
    monkeypatch.setattr(
        "core.compress.folding.rules._bias_after", lambda bias, affine: affine.shift * 2
    )
    assert "more than rounding" in refused(case(*AFTER["conv"]), FoldBatchNorm())


DATA = Path(os.environ.get("LATHE_DATA", "")) / "models"


@pytest.mark.slow
@pytest.mark.skipif(
    not (os.environ.get("LATHE_DATA") and DATA.is_dir()),
    reason="LATHE_DATA names no folder with models",
)
@pytest.mark.parametrize(
    ("name", "before", "most"),
    [("cifar10_densenet52_k12_bn", 100, 51), ("cifar10_resnet20_bn", 19, 0),
     ("imagenet_mobilenet_v1_0.25_bn", 27, 0)],
)  # fmt: skip
def test_published_models(name: str, before: int, most: int):
    net = graphs.load(DATA / f"{name}.onnx")
    assert kinds(net).count("BatchNormalization") == before
    folded, report = rewrite(net, FoldBatchNorm())
    left = kinds(folded).count("BatchNormalization")
    assert left <= most
    assert len(report.skipped) == left
    same(net, folded, rtol=1e-3, atol=1e-4)
