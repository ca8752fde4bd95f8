"""Elements in another shape or order: ncnn answers as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.formats.ncnn.held import IMAGE, held

pytestmark = pytest.mark.backend
CASES: dict[str, tuple] = {
    "image last": (IMAGE, "y = Transpose <perm=[0,2,3,1]> (x)", {}),
    "flattened by columns": (
        IMAGE,
        "a = Transpose <perm=[0,3,1,2]> (x) b = Relu (a) y = Reshape (b, s)",
        {"s": np.int64([0, 7, 4, 9])},
    ),
    "every order of three": (
        IMAGE,
        (
            "a = Transpose <perm=[0,1,3,2]> (x) b = Transpose <perm=[0,2,1,3]> (a) c = "
            "Transpose <perm=[0,3,2,1]> (b) y = Transpose <perm=[0,2,3,1]> (c)"
        ),
        {},
    ),
    "windows": (
        "(float[1,8,8,3] x) => (float[?,16,3] y)",
        ("a = Reshape (x, s) b = Transpose <perm=[0,1,3,2,4,5]> (a) y = Reshape (b, t)"),
        {"s": np.int64([0, 2, 4, 2, 4, 3]), "t": np.int64([-1, 16, 3])},
    ),
    "four axes moved": (
        "(float[N,2,3,4,5] x) => (float[N,?,?,?,?] y)",
        "y = Transpose <perm=[0,4,2,1,3]> (x)",
        {},
    ),
    "depth to space": (
        "(float[N,8,3,5] x) => (float[N,?,?,?] y)",
        "y = DepthToSpace <blocksize=2> (x)",
        {},
    ),
    "depth to space, crd": (
        "(float[N,8,3,5] x) => (float[N,?,?,?] y)",
        'y = DepthToSpace <blocksize=2, mode="CRD"> (x)',
        {},
    ),
    "space to depth": (
        "(float[N,3,6,4] x) => (float[N,?,?,?] y)",
        "y = SpaceToDepth <blocksize=2> (x)",
        {},
    ),
    "squeezed": (
        "(float[N,4,1,7] x) => (float[N,?,?] y)",
        ("a = Squeeze (x, i) b = Unsqueeze (a, j) c = Sigmoid (b) y = Reshape (c, s)"),
        {"i": np.int64([2]), "j": np.int64([1]), "s": np.int64([0, 2, -1])},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_ncnn_computes_as_onnx_runtime(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    held(tmp_path, f"{head} {{ {body} }}", **weights)


OPSETS: dict[str, tuple] = {
    "squeeze by attributes": (
        11,
        "(float[N,4,1,7] x) => (float[N,?,?,?] y)",
        "a = Squeeze <axes=[2]> (x) y = Unsqueeze <axes=[1]> (a)",
        {},
    ),
}


@pytest.mark.parametrize("name", OPSETS)
def test_other_opsets_say_the_same_in_other_words(name: str, tmp_path: Path):
    opset, head, body, weights = OPSETS[name]
    held(tmp_path, f"{head} {{ {body} }}", opset, **weights)
