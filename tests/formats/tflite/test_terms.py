"""Formulas broadcast numbers and smaller tensors in the order of the first one."""

from __future__ import annotations

from core.formats.tflite import layout
from core.formats.tflite.net import Net
from core.formats.tflite.terms import Terms
from tests.builders import graph


def test_terms_keep_the_order_and_grow_by_broadcasting():
    net = Net(graph("(float[1,3,4,4] x) => (float[1,3,4,4] y) { y = Relu (x) }"))
    like = net.fresh((1, 3, 4, 4), layout.channels_last(4), "float32", "like")
    small = net.fresh((1, 3, 1, 1), like.order, "float32", "small")
    terms = Terms(net, like)
    assert terms.filled(2.0).shape == (1, 1, 1, 1)
    made = terms.op("MUL", terms.op("ADD", small, 1.0), like)
    assert (made.shape, made.order, made.placed) == ((1, 3, 4, 4), like.order, (1, 4, 4, 3))
    assert [one.code for one in net.file.operations] == ["ADD", "MUL"]
