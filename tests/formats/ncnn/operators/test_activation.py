"""Activations: ncnn answers as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.formats.ncnn.held import IMAGE, ROWS, held

pytestmark = pytest.mark.backend
CASES: dict[str, tuple] = {
    "swish": (IMAGE, "a = Sigmoid (x) y = Mul (x, a)", {}),
    "hard swish of two": (
        IMAGE,
        "a = HardSigmoid <alpha=0.16666667, beta=0.5> (x) y = Mul (a, x)",
        {},
    ),
    "gelu of five": (
        ROWS,
        ("a = Div (x, r) b = Erf (a) c = Add (b, one) d = Mul (x, c) y = Mul (d, h)"),
        {"r": np.float32(2**0.5), "one": np.float32(1), "h": np.float32(0.5)},
    ),
    "gelu, halved first": (
        ROWS,
        ("h = Mul (x, half) a = Mul (x, r) b = Erf (a) c = Add (b, one) y = Mul (h, c)"),
        {"r": np.float32(0.5**0.5), "one": np.float32(1), "half": np.float32(0.5)},
    ),
    "no gelu": (
        ROWS,
        ("a = Div (x, r) b = Erf (a) c = Add (b, one) d = Mul (a, c) y = Mul (d, h)"),
        {"r": np.float32(2**0.5), "one": np.float32(1), "h": np.float32(0.5)},
    ),
    "prelu": (IMAGE, "y = PRelu (x, s)", {"s": (4, 1, 1)}),
    "prelu, one slope": (IMAGE, "y = PRelu (x, s)", {"s": np.float32([0.3])}),
    **{
        op: (IMAGE, f"y = {op} (x)", {})
        for op in (
            "Relu",
            "Sigmoid",
            "Tanh",
            "HardSigmoid",
            "HardSwish",
            "Elu",
            "Selu",
            "Celu",
            "Softplus",
            "Softsign",
            "Erf",
            "LeakyRelu",
            "Abs",
            "Neg",
            "Floor",
            "Ceil",
            "Exp",
            "Sin",
            "Cos",
            "Sign",
            "Round",
            "Reciprocal",
            "Identity",
        )
    },
    "softmax of channels": (IMAGE, "y = Softmax <axis=1> (x)", {}),
    "softmax of columns": (IMAGE, "y = Softmax <axis=-1> (x)", {}),
    "log softmax": (ROWS, "y = LogSoftmax <axis=1> (x)", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_ncnn_computes_as_onnx_runtime(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    held(tmp_path, f"{head} {{ {body} }}", **weights)


OPSETS: dict[str, tuple] = {
    "limits as attributes": (9, IMAGE, "y = Clip <min=-0.5, max=0.25> (x)", {}),
    "Mish": (18, IMAGE, "y = Mish (x)", {}),
    "gelu": (20, IMAGE, "y = Gelu (x)", {}),
    "gelu by tanh": (20, IMAGE, 'y = Gelu <approximate="tanh"> (x)', {}),
}


@pytest.mark.parametrize("name", OPSETS)
def test_other_opsets_say_the_same_in_other_words(name: str, tmp_path: Path):
    opset, head, body, weights = OPSETS[name]
    held(tmp_path, f"{head} {{ {body} }}", opset, **weights)


@pytest.mark.parametrize("sign", ["Identity", "Neg"])
def test_softplus_of_large_numbers_is_a_number(sign: str, tmp_path: Path):
    held(tmp_path, f"{IMAGE} {{ a = {sign} (x) y = Softplus (a) }}", at_least=100.0)
