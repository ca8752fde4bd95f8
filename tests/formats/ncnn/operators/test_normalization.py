"""Normalisation: ncnn answers as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.formats.ncnn.held import IMAGE, ROWS, held

pytestmark = pytest.mark.backend
CASES: dict[str, tuple] = {
    "norm alone": (
        IMAGE,
        "a = Relu (x) y = BatchNormalization (a, s, t, m, v)",
        {"s": (4,), "t": (4,), "m": (4,), "v": np.linspace(0.5, 2, 4, dtype=np.float32)},
    ),
    "norm of rows": (
        "(float[N,4] x) => (float[N,4] y)",
        "y = BatchNormalization (x, s, t, m, v)",
        {"s": (4,), "t": (4,), "m": (4,), "v": np.linspace(0.5, 2, 4, dtype=np.float32)},
    ),
    "layer norm": (
        ROWS,
        "y = LayerNormalization <axis=-1, epsilon=0.01> (x, s, b)",
        {"s": (6,), "b": (6,)},
    ),
    "layer norm of two axes": (ROWS, "y = LayerNormalization <axis=1> (x, s)", {"s": (5, 6)}),
    "layer norm in parts": (
        ROWS,
        (
            "m = ReduceMean <axes=[-1]> (x) c = Sub (x, m) q = Pow (c, two) v = "
            "ReduceMean <axes=[-1]> (q) e = Add (v, eps) r = Sqrt (e) n = Div (c, r) p "
            "= Mul (n, s) y = Add (p, b)"
        ),
        {"two": np.float32(2), "eps": np.float32(1e-05), "s": (6,), "b": (6,)},
    ),
    "instance norm": (IMAGE, "y = InstanceNormalization (x, s, b)", {"s": (4,), "b": (4,)}),
    "group norm in parts": (
        IMAGE,
        ("a = Reshape (x, g) b = InstanceNormalization (a, one, zero) y = Reshape (b, i)"),
        {
            "g": np.int64([0, 2, -1]),
            "one": np.float32([1, 1]),
            "zero": np.float32([0, 0]),
            "i": np.int64([-1, 4, 9, 7]),
        },
    ),
    "response": (IMAGE, "y = LRN <size=3, alpha=0.5, beta=0.7, bias=2.0> (x)", {}),
    "unit length of nothing": (
        ROWS,
        "a = Sub (x, x) y = LpNormalization <axis=1> (a)",
        {},
    ),
    "unit length": (ROWS, "y = LpNormalization <axis=1> (x)", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_ncnn_computes_as_onnx_runtime(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    held(tmp_path, f"{head} {{ {body} }}", **weights)


OPSETS: dict[str, tuple] = {
    "group norm": (
        21,
        IMAGE,
        "y = GroupNormalization <num_groups=2, epsilon=0.001> (x, s, b)",
        {"s": (4,), "b": (4,)},
    ),
}


@pytest.mark.parametrize("name", OPSETS)
def test_other_opsets_say_the_same_in_other_words(name: str, tmp_path: Path):
    opset, head, body, weights = OPSETS[name]
    held(tmp_path, f"{head} {{ {body} }}", opset, **weights)
