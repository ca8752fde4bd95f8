"""Reductions, softmax and the place of the largest: ncnn answers as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.formats.ncnn.held import IMAGE, ROWS, held

pytestmark = pytest.mark.backend
CASES: dict[str, tuple] = {
    "mean of the image": (IMAGE, "y = ReduceMean <axes=[2,3]> (x)", {}),
    "mean, axes gone": (
        "(float[N,4,9,7] x) => (float[N,?] y)",
        "y = ReduceMean <axes=[-1,-2], keepdims=0> (x)",
        {},
    ),
    "sum of channels": (IMAGE, "y = ReduceSum (x, a)", {"a": np.int64([1])}),
    "of rows": (
        ROWS,
        (
            "a = ReduceMax <axes=[1]> (x) b = ReduceMin <axes=[2]> (x) c = ReduceL2 "
            "<axes=[2]> (x) d = Add (a, b) y = Add (d, c)"
        ),
        {},
    ),
    "l1, squares": (
        ROWS,
        ("a = ReduceL1 <axes=[1]> (x) b = ReduceSumSquare <axes=[2]> (x) y = Add (a, b)"),
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_ncnn_computes_as_onnx_runtime(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    held(tmp_path, f"{head} {{ {body} }}", **weights)


OPSETS: dict[str, tuple] = {
    "softmax of all behind an axis": (
        11,
        "(float[N,4,9,7] x) => (float[N,?,?,?] y)",
        "y = Softmax <axis=1> (x)",
        {},
    ),
    "mean by an input": (18, IMAGE, "y = ReduceMean (x, a)", {"a": np.int64([2, 3])}),
}


@pytest.mark.parametrize("name", OPSETS)
def test_other_opsets_say_the_same_in_other_words(name: str, tmp_path: Path):
    opset, head, body, weights = OPSETS[name]
    held(tmp_path, f"{head} {{ {body} }}", opset, **weights)


POSITIVE = {
    "logarithms of sums": "a = ReduceLogSum <axes=[1]> (x) b = ReduceLogSumExp <axes=[1]> (x) "
    "y = Add (a, b)",
    "product": "y = ReduceProd <axes=[1]> (x)",
}


@pytest.mark.parametrize("name", POSITIVE)
def test_what_is_for_positive_numbers(name: str, tmp_path: Path):
    held(tmp_path, f"{IMAGE} {{ {POSITIVE[name]} }}", at_least=0.1)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
def test_the_place_of_the_largest_is_found_without_a_layer_for_it(
    op: str, last: int, tmp_path: Path
):
    held(
        tmp_path,
        f"""(float[N,5,6] x) => (int64[N,1,6] y, int64[N,5] z) {{ r = Round (x)
        y = {op} <axis=1, select_last_index={last}> (r) z = {op} <axis=-1, keepdims=0> (x) }}""",
    )


@pytest.mark.parametrize(
    ("text", "axes"),
    [(IMAGE, [1]), (IMAGE, [2, 3]), (IMAGE, [1, 2, 3]), (ROWS, [1]), (ROWS, [2])],
)
@pytest.mark.parametrize("keep", [0, 1])
def test_exponentials_of_large_numbers_are_summed(
    text: str, axes: list[int], keep: int, tmp_path: Path
):
    head, _ = text.split(" => ")
    left = head.count(",") if keep else head.count(",") - len(axes)
    out = f"(float[{','.join(['N', *'?' * left])}] y)"
    op = f"ReduceLogSumExp <axes={axes}, keepdims={keep}>"
    held(tmp_path, f"{head} => {out} {{ y = {op} (x) }}", at_least=100.0)
