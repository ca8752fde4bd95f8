"""Matrix products, and attention as exporters write it: ncnn answers as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.formats.ncnn.held import ROWS, held

pytestmark = pytest.mark.backend
CASES: dict[str, tuple] = {
    "gemm": (
        "(float[N,6] x) => (float[N,?] y)",
        "a = Gemm <transB=1, alpha=0.5, beta=2.0> (x, w, b) y = Relu (a)",
        {"w": (5, 6), "b": (5,)},
    ),
    "gemm, one bias": (
        "(float[N,6] x) => (float[N,?] y)",
        "y = Gemm (x, w, b)",
        {"w": (6, 5), "b": np.float32([2])},
    ),
    "matmul of rows, with bias": (
        ROWS,
        "a = MatMul (x, w) y = Add (b, a)",
        {"w": (6, 8), "b": (8,)},
    ),
    "batched matmul": (
        "(float[N,2,3,4] x, float[N,2,4,5] z) => (float[N,?,?,?] y)",
        "y = MatMul (x, z)",
        {},
    ),
    "matmul with batched weights": (
        "(float[N,2,3,4] x) => (float[N,?,?,?] y)",
        "y = MatMul (x, w)",
        {"w": (2, 4, 5)},
    ),
    "matmul of a constant": (ROWS, "y = MatMul (w, x)", {"w": (4, 5)}),
    "attention": (
        "(float[N,6,8] x) => (float[N,?,?] y)",
        (
            "q = MatMul (x, wq) k = MatMul (x, wk) v = MatMul (x, wv) q4 = Reshape (q, "
            "heads) k4 = Reshape (k, heads) v4 = Reshape (v, heads) qt = Transpose "
            "<perm=[0,2,1,3]> (q4) kt = Transpose <perm=[0,2,3,1]> (k4) vt = Transpose "
            "<perm=[0,2,1,3]> (v4) s = MatMul (qt, kt) d = Div (s, root) p = Softmax "
            "<axis=-1> (d) o = MatMul (p, vt) ot = Transpose <perm=[0,2,1,3]> (o) r = "
            "Reshape (ot, flat) y = MatMul (r, wo)"
        ),
        {
            "wq": (8, 8),
            "wk": (8, 8),
            "wv": (8, 8),
            "wo": (8, 8),
            "heads": np.int64([0, 6, 2, 4]),
            "flat": np.int64([0, 6, 8]),
            "root": np.float32(2),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_ncnn_computes_as_onnx_runtime(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    held(tmp_path, f"{head} {{ {body} }}", **weights)
