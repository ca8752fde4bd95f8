"""Arithmetic with broadcast: ncnn answers as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from core.errors import ConversionFailed
from tests.formats.ncnn.held import IMAGE, held, written

ROW = "(float[N,4] x) => (float[N,4] y)"
pytestmark = pytest.mark.backend
CASES: dict[str, tuple] = {
    "broadcast of channels": (
        IMAGE,
        "a = Mul (x, s) y = Add (t, a)",
        {"s": (4, 1, 1), "t": (1, 4, 1, 1)},
    ),
    "a column subtracted from": (IMAGE, "y = Sub (c, x)", {"c": (9, 1)}),
    "a row": (IMAGE, "y = Div (x, r)", {"r": np.linspace(1, 2, 7, dtype=np.float32)}),
    "a plane": (IMAGE, "y = Max (x, p)", {"p": (9, 7)}),
    "a number on the left": (
        IMAGE,
        "a = Sub (one, x) b = Exp (a) y = Div (one, b)",
        {"one": np.float32(1)},
    ),
    "as many channels as columns": (
        "(float[N,4,4,4] x) => (float[N,?,?,?] y)",
        "a = GlobalAveragePool (x) y = Mul (x, a)",
        {},
    ),
    "both sides broadcast": (
        "(float[N,4,1,7] x, float[N,1,9,1] z) => (float[N,?,?,?] y)",
        "y = Add (x, z)",
        {},
    ),
    "of different rank": (
        "(float[N,4,9,7] x, float[7] z) => (float[N,?,?,?] y)",
        "y = Sub (x, z)",
        {},
    ),
    "five axes": (
        "(float[N,2,3,4,5,2] x) => (float[N,?,?,?,?,?] y)",
        "y = Mul (x, s)",
        {"s": (1, 2, 1, 1, 5, 2)},
    ),
    "of three": (IMAGE, "a = Neg (x) b = Exp (x) c = Sum (x, a, b) y = Min (c, b, x)", {}),
    "mean of two": (IMAGE, "a = Neg (x) b = Exp (x) y = Mean (a, b)", {}),
    "squared": (IMAGE, "y = Pow (x, e)", {"e": np.float32(2)}),
    "cubed": (IMAGE, "y = Pow (x, e)", {"e": np.float32(3)}),
    "bytes go in": (
        "(uint8[N,4,9,7] x) => (float[N,?,?,?] y)",
        "a = Cast <to=1> (x) y = Div (a, c)",
        {"c": np.float32(255)},
    ),
    "numbers are cut": (IMAGE, "a = Cast <to=7> (x) y = Cast <to=1> (a)", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_ncnn_computes_as_onnx_runtime(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    held(tmp_path, f"{head} {{ {body} }}", **weights)


POSITIVE = {
    "root": "y = Sqrt (x)",
    "logarithm": "y = Log (x)",
    "one by the root": "y = Pow (x, e)",
    "a broken power": "y = Pow (x, f)",
}


@pytest.mark.parametrize("name", POSITIVE)
def test_what_is_for_positive_numbers(name: str, tmp_path: Path):
    constants = {"e": np.float32(-0.5), "f": np.float32(1.7)}
    used = {key: value for key, value in constants.items() if f", {key})" in POSITIVE[name]}
    held(tmp_path, f"{IMAGE} {{ {POSITIVE[name]} }}", at_least=0.1, **used)


@pytest.mark.parametrize("kind", [ir.DataType.UINT8, ir.DataType.BOOL, ir.DataType.FLOAT8E4M3FN])
def test_a_cast_to_what_float32_does_not_hold_is_refused(kind: ir.DataType, tmp_path: Path):
    with pytest.raises(ConversionFailed, match=f"no {kind.name.lower()} numbers"):
        written(tmp_path, f"{ROW} {{ a = Cast <to={int(kind)}> (x) y = Cast <to=1> (a) }}", 19)


def test_training_is_refused(tmp_path: Path):
    with pytest.raises(ConversionFailed, match="at random"):
        written(
            tmp_path, f"{IMAGE} {{ y = Dropout (x, r, t) }}", r=np.float32(0.5), t=np.bool_(True)
        )
