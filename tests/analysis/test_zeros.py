"""The share of zeros counts matrices and filters of floats, each once."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis.zeros import zero_share
from tests.builders import graph

CONV = "(float[1,2,4,4] x) => (float[1,2,2,2] y) { y = Conv (x, w, b) }"


def weights(zeros: int) -> np.ndarray:
    made = np.ones(36, np.float32)
    made[:zeros] = 0
    return made.reshape(2, 2, 3, 3)


@pytest.mark.parametrize("place", ["initializer", "constant", "identity"])
@pytest.mark.parametrize("zeros", [0, 9, 36])
def test_zeros_are_counted_wherever_weights_lie(zeros: int, place: str):
    made = graph(CONV, place=place, w=weights(zeros), b=np.zeros(2, np.float32))
    assert zero_share(made) == pytest.approx(zeros / 36)


def test_a_shared_weight_counts_once():
    text = """(float[1,2,4,4] x) => (float[1,2,2,2] y) {
        a = Conv <pads=[1,1,1,1]> (x, w) c = Conv (a, w) y = Mul (c, one) }"""
    assert zero_share(graph(text, w=weights(18), one=np.ones(1, np.float32))) == 0.5


def test_a_model_without_weights_has_none():
    assert zero_share(graph("(float[1] x) => (float[1] y) { y = Relu (x) }")) == 0
