"""Functions of single numbers on LiteRT, against ONNX."""

from __future__ import annotations

import numpy as np
import pytest

from core.formats.tflite.operators.activation import OPERATORS
from tests.builders import graph
from tests.formats.tflite.answers import marked, operators, same

ATTRIBUTES = {
    "LeakyRelu": ["", "alpha=0.3"],
    "Elu": ["", "alpha=0.5"],
    "Selu": ["", "alpha=1.2, gamma=0.7"],
    "HardSigmoid": ["", "alpha=0.1666667, beta=0.5", "alpha=0.3, beta=0.4"],
    "Gelu": ["", 'approximate="tanh"'],
    "Swish": ["", "alpha=1.7"],
}
OPSETS = {"Gelu": 20, "Mish": 18, "HardSwish": 14, "Swish": 24}
POSITIVE = ("Sqrt", "Log")
ODD = ("Clip", "PRelu")
SIMPLE = [name for name in OPERATORS if name not in ODD]
VALUES = np.concatenate([np.linspace(-6, 6, 41), [-30, -0.5, 0, 0.5, 1.5, 2.5, 30]])


@pytest.mark.parametrize("name", SIMPLE)
def test_a_function(name: str):
    x = np.abs(VALUES) + 0.1 if name in POSITIVE else VALUES
    x = x[x != 0] if name == "Reciprocal" else x
    for attributes in ATTRIBUTES.get(name, [""]):
        made = graph(
            f"(float[{len(x)}] x) => (float[{len(x)}] y) {{ y = {name} {marked(attributes)} (x) }}",
            opset=OPSETS.get(name, 17),
        )
        same(made, given={"x": x.astype(np.float32)})


@pytest.mark.parametrize(
    ("low", "high"), [(0, 6), (-1, 1), (0, 1), (-2, 3), (0, None), (None, 1.5), (None, None)]
)
def test_bounds(low: float | None, high: float | None):
    weights = {k: np.float32(v) for k, v in (("low", low), ("high", high)) if v is not None}
    inputs = f"x, {'low' if low is not None else ''}, {'high' if high is not None else ''}"
    inputs = inputs.rstrip(", ")
    same(graph(f"(float[2,5] x) => (float[2,5] y) {{ y = Clip ({inputs}) }}", **weights))


def test_bounds_of_an_older_opset():
    same(graph("(float[2,5] x) => (float[2,5] y) { y = Clip <min=-0.5, max=0.5> (x) }", opset=6))


@pytest.mark.parametrize("slope", [(4, 1, 1), (1,), (4, 5, 6)])
def test_slopes_by_channel(slope: tuple[int, ...]):
    same(
        graph(
            """(float[2,3,5,6] x) => (float[2,4,5,6] y) { a = Conv (x, k) y = PRelu (a, s) }""",
            k=(4, 3, 1, 1), s=slope,
        )
    )  # fmt: skip


def test_gelu_that_is_spelled_out_is_one_operator():
    made = same(
        graph(
            """(float[3,8] x) => (float[3,8] y) { a = Div (x, root) b = Erf (a) c = Add (b, one)
            d = Mul (x, c) y = Mul (d, half) }""",
            root=np.float32(np.sqrt(2)), one=np.float32(1), half=np.float32(0.5),
        )
    )  # fmt: skip
    assert operators(made) == {"GELU": 1}


@pytest.mark.parametrize(
    "body",
    [
        "a = HardSigmoid <alpha=0.16666667, beta=0.5> (x) y = Mul (x, a)",
        "a = Add (x, three) b = Clip (a, zero, six) c = Mul (x, b) y = Div (c, six)",
        "a = Add (x, three) b = Clip (a, zero, six) c = Div (b, six) y = Mul (x, c)",
    ],
)
def test_hard_swish_that_is_spelled_out_is_one_operator(body: str):
    made = same(
        graph(
            f"(float[3,8] x) => (float[3,8] y) {{ {body} }}",
            three=np.float32(3), zero=np.float32(0), six=np.float32(6),
        )
    )  # fmt: skip
    assert operators(made) == {"HARD_SWISH": 1}
