"""Simplify: fewer nodes, the same numbers; what draws, quantizes or would grow the file stays."""

from __future__ import annotations

import os
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx.parser
import pytest

from core import graph as graphs
from core.calibration.services import NoServices
from core.passes.base import Report
from core.passes.simplify import LARGEST_GROWTH, Simplify
from core.wording import sentence, sentences
from tests.builders import feeds, graph, kinds, rewrite, run, same, skips

ROW = "(float[N,6] x) => (float[N,6] y)"
IMAGE = "(float[N,3,8,8] x) => (float[N,4,H,W] y)"

# What each case is -> the graph, its weights, and the operators that are left.
SHORTER = {
    "constants": (f"{ROW} {{ a = Add (p, q) b = Mul (a, p) y = Add (x, b) }}",
                  {"p": (6,), "q": (6,)}, ["Add"]),
    "identities": (f"{ROW} {{ a = Identity (x) b = Relu (a) y = Identity (b) }}", {}, ["Relu"]),
    "dropout": (f"{ROW} {{ a = Relu (x) b, mask = Dropout (a) y = Neg (b) }}", {}, ["Relu", "Neg"]),
    "dead code": (f"{ROW} {{ y = Relu (x) a = Exp (x) b = Neg (a) }}", {}, ["Relu"]),
    "nothing added": (f"{ROW} {{ a = Add (x, zero) b = Mul (a, one) y = Relu (b) }}",
                      {"zero": np.float32(0), "one": np.float32(1)}, ["Relu"]),
    "twice the same": (f"{ROW} {{ a = Relu (x) b = Relu (x) y = Add (a, b) }}", {},
                       ["Relu", "Add"]),
    "a cast to what it is": (f"{ROW} {{ a = Cast <to=1> (x) y = Relu (a) }}", {}, ["Relu"]),
    "there and back": (f"{ROW} {{ a = Transpose <perm=[1,0]> (x) b = Transpose <perm=[1,0]> (a) "
                       "y = Relu (b) }", {}, ["Relu"]),
    "reshape of a reshape": (f"{ROW} {{ a = Reshape (x, flat) b = Reshape (a, rows) "
                             "y = Relu (b) }",
                             {"flat": np.array([-1]), "rows": np.array([-1, 6])},
                             ["Reshape", "Relu"]),
    "padding before a conv": (
        f"{IMAGE} {{ a = Pad (x, pads, zero) y = Conv (a, w) }}",
        {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "zero": np.float32(0), "w": (4, 3, 3, 3)},
        ["Conv"]),
    "a shape that is known": (
        "(float[2,3,4,4] x) => (float[2,48] y) { s = Shape (x) n = Gather (s, first) "
        "u = Unsqueeze (n, first_axis) to = Concat <axis=0> (u, rest) y = Reshape (x, to) }",
        {"first": np.array(0), "first_axis": np.array([0]), "rest": np.array([-1])}, ["Reshape"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SHORTER)
def test_fewer_nodes_and_the_same_numbers(name: str):
    text, weights, left = SHORTER[name]
    net = graph(text, **weights)
    made, report = rewrite(net, Simplify())
    assert kinds(made) == left
    assert report.changed == len(kinds(net)) - len(left)
    assert sentences(report.notes)[0] == f"{report.changed} of {len(kinds(net))} nodes removed."
    same(net, made, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SHORTER)
def test_once_is_enough(name: str):
    text, weights, _ = SHORTER[name]
    once, _ = rewrite(graph(text, **weights), Simplify())
    twice, report = rewrite(once, Simplify())
    assert report.changed == 0
    assert kinds(twice) == kinds(once)


@pytest.mark.parametrize("opset", [9, 11, 13, 16, 18, 21, 23])
def test_every_opset(opset: int):
    net = graph(f"{ROW} {{ a = Identity (x) b = Add (p, q) c = Add (a, b) y = Relu (c) }}",
                opset=opset, p=(6,), q=(6,))  # fmt: skip
    made, _ = rewrite(net, Simplify())
    assert kinds(made) == ["Add", "Relu"]
    assert made.opset_imports[""] == opset
    same(net, made, rtol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "(float[N,6] x) => (float[N,6] y) { r = RandomNormal <shape=[6]> () y = Add (x, r) }",
        "(float[N,6] x) => (float[N,6] y) { r = RandomUniformLike (p) y = Add (x, r) }",
    ],
)
def test_what_draws_is_drawn_each_time(text: str):
    made, _ = rewrite(graph(text, p=(6,)), Simplify())
    assert any(kind.startswith("Random") for kind in kinds(made))


def test_the_quantization_of_a_weight_stays():
    net = graph(
        f"{ROW} {{ w = DequantizeLinear (q, scale, zero) y = MatMul (x, w) }}",
        q=np.arange(36, dtype=np.int8).reshape(6, 6),
        scale=np.float32(0.1),
        zero=np.int8(0),
    )
    made, report = rewrite(net, Simplify())
    assert kinds(made) == ["DequantizeLinear", "MatMul"]
    assert report.changed == 0


def test_constants_that_would_grow_the_file_are_computed_each_time():
    wide = 2 * LARGEST_GROWTH
    text = "(float[N,W] x) => (float[N,W] y) { k = Expand (p, to) y = Add (x, k) }"
    net = graph(text, p=(1,), to=np.array([wide]))
    made, _ = rewrite(net, Simplify())
    assert len(graphs.serialize(made)) < 4 * wide


def test_dropout_that_trains_stays():
    net = graph(
        f"{ROW} {{ a = Dropout (x, ratio, train) y = Relu (a) }}",
        ratio=np.float32(0.5),
        train=np.array(True),
    )
    assert "Dropout" in kinds(rewrite(net, Simplify())[0])


def test_dropout_whose_mask_is_used_stays():
    net = graph(
        "(float[N,6] x) => (float[N,6] y, bool[N,6] mask) { a, mask = Dropout (x) y = Relu (a) }"
    )
    made, _ = rewrite(net, Simplify())
    assert [value.name for value in made.graph.outputs] == ["y", "mask"]
    same(net, made)


@pytest.mark.parametrize(
    "text",
    [
        "(float[N,6] x) => (float[N,6] y) { y = Identity (x) }",
        "(float[N,6] x) => (float[N,6] y, float[N,6] z) { y = Relu (x) z = Identity (y) }",
        "(float[N,6] x) => (float[6] y) { y = Identity (p) }",
        "(float[N,6] x) => (float[N,6] y, float[6] z) { y = Relu (x) z = Add (p, p) }",
    ],
)
def test_inputs_and_outputs_keep_their_names(text: str):
    net = graph(text, p=(6,)) if "p" in text.partition("{")[2] else graph(text)
    made, _ = rewrite(net, Simplify())
    assert [v.name for v in made.graph.inputs] == [v.name for v in net.graph.inputs]
    assert [v.name for v in made.graph.outputs] == [v.name for v in net.graph.outputs]
    same(net, made)


BRANCH = """(float[N,6] x, bool flag) => (float[N,6] y) {
    z = Identity (x)
    y = If (flag) <
      then_branch = a () => (float[N,6] p) { k = Add (w, w) p = Mul (z, k) },
      else_branch = b () => (float[N,6] q) { q = Identity (z) }
    >
}"""


def test_bodies_of_control_flow():
    net = graph(BRANCH, w=(6,))
    made, _ = rewrite(net, Simplify())
    assert len(kinds(made)) < len(kinds(net))
    x = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    for flag in (True, False):
        given = {"x": x, "flag": np.array(flag)}
        np.testing.assert_array_equal(run(made, given)[0], run(net, given)[0])


def test_a_condition_that_is_known_is_decided():
    net = graph(BRANCH.replace(", bool flag", ""), w=(6,), flag=np.array(True))
    made, _ = rewrite(net, Simplify())
    assert "If" not in kinds(made)
    same(net, made)


def test_flatten_stays_flatten():
    net = graph("(float[N,3,2,2] x) => (float[N,12] y) { y = Flatten (x) }")
    assert kinds(rewrite(net, Simplify())[0]) == ["Flatten"]


def test_operators_of_other_domains_are_not_touched():
    net = graph(
        f"{ROW} {{ a = Identity (x) b = com.microsoft.Gelu (a) y = Identity (b) }}",
        domains='"com.microsoft" : 1',
    )
    made, _ = rewrite(net, Simplify())
    assert kinds(made) == ["Gelu"]
    same(net, made)


def test_no_diary_is_left_in_the_file():
    made, _ = rewrite(graph(*SHORTER["constants"][:1], p=(6,), q=(6,)), Simplify())
    assert b"onnxscript" not in graphs.serialize(made)


def test_metadata_of_the_model_is_kept():
    net = graph(f"{ROW} {{ a = Identity (x) y = Relu (a) }}")
    net.metadata_props["lathe.labels"] = '["cat"]'
    made, _ = rewrite(net, Simplify())
    assert made.metadata_props["lathe.labels"] == '["cat"]'


DATA = Path(os.environ.get("LATHE_DATA", "")) / "models"


@pytest.mark.slow
@pytest.mark.skipif(
    not (os.environ.get("LATHE_DATA") and DATA.is_dir()),
    reason="LATHE_DATA names no folder with models",
)
@pytest.mark.parametrize("name", ["cifar10_keras_cnn", "weird_silero_vad_if", "coco_yolox_nano"])
def test_published_models(name: str):
    net = graphs.load(DATA / f"{name}.onnx")
    made, report = rewrite(net, Simplify())  # the runner compares the outputs
    assert len(kinds(made)) == len(kinds(net)) - report.changed <= len(kinds(net))


def parsed(text: str) -> graphs.Graph:
    return graphs.parse(onnx.parser.parse_model(text).SerializeToString(), "net")


def test_sequences_of_old_opsets_are_not_turned_into_newer_operators():
    net = parsed(
        """<ir_version: 7, opset_import: ["" : 12]>
        net (float[2, 3] x, float[2, 3] z) => (float[4, 3] y) {
            s = SequenceConstruct (x, z)
            y = ConcatFromSequence <axis = 0> (s)
        }"""
    )
    report = Report()
    Simplify().apply(net, report, NoServices())
    assert [node.op_type for node in net.graph] == ["SequenceConstruct", "ConcatFromSequence"]
    assert all("opset before 13" in sentence(skip.reason) for skip in report.skipped)


def test_a_weight_may_be_added_to_a_file_of_ir_version_3():
    net = parsed(
        """<ir_version: 3, opset_import: ["" : 9]>
        net (float[2] x) => (float[2] y) {
            c = Constant <value = float[2] {1, 2}> ()
            y = Add (x, c)
        }"""
    )
    Simplify().apply(net, Report(), NoServices())
    graphs.check(net)


# Operators as older opsets write them: what a rule takes for an input is an attribute there.
OLD = {
    "limits as attributes": (10, f"{ROW} {{ a = Clip <min=-1.0, max=50.0> (x) "
                             "y = Clip <min=-90.0, max=90.0> (a) }", {}),
    "one limit behind a Relu": (9, f"{ROW} {{ a = Relu (x) y = Clip <max=6.0> (a) }}", {}),
    "padding as an attribute": (10, f"{IMAGE} {{ a = Pad <pads=[0,0,1,1,0,0,1,1]> (x) "
                                "y = Conv (a, w) }", {"w": (4, 3, 3, 3)}),
    "a sequence of parts": (13, "(float[2,6] x) => (float[2,3] y) { "
                            "s = SplitToSequence <axis=1> (x, three) y = SequenceAt (s, one) }",
                            {"three": np.array(3), "one": np.array(1)}),
    "a shape that is partly known": (
        12, "(float[2,3,4,W] x) => (float[2,B,W] y) { s = Shape (x) n = Gather (s, first) "
        "w = Gather (s, last) u = Unsqueeze <axes=[0]> (n) v = Unsqueeze <axes=[0]> (w) "
        "to = Concat <axis=0> (u, rest, v) y = Reshape (x, to) }",
        {"first": np.array(0), "last": np.array(3), "rest": np.array([-1])}),
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_an_old_opset_keeps_its_numbers_and_its_words(name: str):
    opset, text, weights = OLD[name]
    net = graph(text, opset, **weights)
    made, _ = rewrite(net, Simplify())
    graphs.check(made)
    given = {"x": (100 * feeds(net)["x"]).astype(np.float32)}
    for wanted, got in zip(run(net, given), run(made, given), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)


def test_a_cast_that_does_not_saturate_stays():
    net = graph(
        "(float[N,6] x) => (float[N,6] y) { a = CastLike <saturate=0> (x, k) y = Cast <to=1> (a) }",
        19, k=np.zeros(1, np.float32).astype(ml_dtypes.float8_e4m3fn),
    )  # fmt: skip
    made, report = rewrite(net, Simplify())
    assert "CastLike" in kinds(made)
    assert any("does not saturate" in sentence(skip.reason) for skip in report.skipped)


def test_where_the_folder_fails_the_rest_is_simplified_all_the_same():
    before = graph(
        "(float[3,6] x, int64 split) => (seq(float[]) y, float[3,6] z) {"
        " y = SplitToSequence <axis=1> (x, split) i = Identity (x) z = Relu (i) }",
        24,
    )
    made, report = rewrite(before, Simplify())
    assert "where the folder fails" in skips(report)["SplitToSequence_1"]
    assert [node.op_type for node in made.graph] == ["SplitToSequence", "Relu"]
