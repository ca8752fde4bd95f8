"""Attributes, and the inputs that took the place of some in later opsets."""

from __future__ import annotations

import pytest

from core.formats.tflite.attributes import given, integer, integers, listed, real, scalar, text
from core.formats.tflite.net import Net
from core.formats.tflite.refusal import Refused
from tests.builders import graph

CLIP = "(float[4] x, float m) => (float[4] y) { y = Clip (x, low, m) }"


def test_what_is_left_out_has_its_default():
    made = graph('(float[1,2,4,4] x) => (float[1,2,2,2] y) { y = MaxPool <kernel_shape=[3,3], '
                 'ceil_mode=0, auto_pad="VALID"> (x) }')  # fmt: skip
    pool = made.graph[0]
    assert integers(pool, "kernel_shape") == [3, 3]
    assert integers(pool, "pads") is None
    assert integer(pool, "ceil_mode", 1) == 0
    assert integer(pool, "storage_order", 7) == 7
    assert text(pool, "auto_pad", "NOTSET") == "VALID"
    assert real(pool, "alpha", 0.5) == 0.5
    assert given(pool, 1) is None


def test_a_number_comes_from_the_input_that_took_the_place_of_the_attribute():
    made = graph(CLIP, low=[-2.5])
    with pytest.raises(Refused, match="its max is computed while the model runs"):
        scalar(Net(made), made.graph[0], 2, "max", 0.0)


def test_a_list_is_read_from_either_place():
    old = graph("(float[2,3] x) => (float[2] y) { y = ReduceMean <axes=[1], keepdims=0> (x) }",
                opset=13)  # fmt: skip
    assert listed(Net(old), old.graph[0], 1, "axes") == [1]
    new = graph("(float[2,3] x, int64[1] a) => (float[M,K] y) { y = ReduceMean (x, a) }", opset=18)
    with pytest.raises(Refused, match="its axes is computed"):
        listed(Net(new), new.graph[0], 1, "axes")
