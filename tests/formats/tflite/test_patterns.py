"""GELU and HardSwish that are spelled out become one node; what only looks like them does not."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from core.formats.base import prepared
from core.formats.tflite import patterns
from core.graph import Graph
from tests.builders import graph
from tests.formats.tflite.answers import same

ROOT = math.sqrt(2)
NUMBERS = {
    "r": ROOT, "i": 1 / ROOT, "one": 1.0, "half": 0.5, "zero": 0.0, "three": 3.0, "six": 6.0,
}  # fmt: skip
GELUS = (
    "d = Div (x, r) e = Erf (d) a = Add (e, one) m = Mul (x, a) y = Mul (m, half)",
    "h = Mul (x, half) d = Div (x, r) e = Erf (d) a = Add (e, one) y = Mul (h, a)",
    "d = Mul (x, i) e = Erf (d) a = Add (one, e) m = Mul (half, a) y = Mul (m, x)",
)
SWISHES = (
    "h = HardSigmoid <alpha=0.16666667, beta=0.5> (x) y = Mul (x, h)",
    "a = Add (x, three) c = Clip (a, zero, six) m = Mul (x, c) y = Div (m, six)",
    "a = Add (x, three) c = Clip (a, zero, six) d = Div (c, six) y = Mul (d, x)",
)
NOT_THEM = (
    "d = Div (r, x) e = Erf (d) a = Add (e, one) m = Mul (x, a) y = Mul (m, half)",
    "a = Add (x, three) c = Clip (a, zero, six) d = Div (six, c) y = Mul (d, x)",
    "d = Div (x, three) e = Erf (d) a = Add (e, one) m = Mul (x, a) y = Mul (m, half)",
    "d = Div (x, r) e = Erf (d) a = Add (e, one) m = Mul (x, a) y = Mul (m, three)",
    "h = HardSigmoid <alpha=0.2, beta=0.5> (x) y = Mul (x, h)",
    "a = Add (x, three) c = Clip (a, zero, three) m = Mul (x, c) y = Div (m, six)",
    "a = Add (x, one) c = Clip (a, zero, six) m = Mul (x, c) y = Div (m, six)",
)


def net(body: str, outputs: str = "float[2,8] y") -> Graph:
    used = {name: value for name, value in NUMBERS.items() if re.search(rf"\b{name}\b[,)]", body)}
    return graph(
        f"(float[2,8] x) => ({outputs}) {{ {body} }}",
        **{name: np.array(value, np.float32) for name, value in used.items()},
    )


def kinds(made: Graph) -> list[str]:
    prepared.fixed(made, {})
    patterns.rewrite(made)
    return [node.op_type for node in made.graph]


@pytest.mark.parametrize(("body", "kind"), [(b, "Gelu") for b in GELUS]
                         + [(b, "HardSwish") for b in SWISHES])  # fmt: skip
def test_one_node_stands_for_them_and_answers_the_same(body: str, kind: str):
    same(net(body), 1e-6)
    assert kinds(net(body)) == [kind]


@pytest.mark.parametrize("body", NOT_THEM)
def test_other_numbers_are_another_function(body: str):
    same(net(body), 1e-6)
    assert not {"Gelu", "HardSwish"} & set(kinds(net(body)))


def test_what_is_read_in_between_stays():
    made = net(GELUS[0], "float[2,8] y, float[2,8] e")
    same(made, 1e-6)
    assert "Erf" in kinds(made)
