"""A pass that is for size and makes the weights larger is undone, with the numbers."""

from __future__ import annotations

import pytest

from core.passes.base import Pass
from core.passes.convert_precision import ConvertPrecision
from core.passes.quantize_weights import QuantizeWeights
from core.passes.simplify import Simplify
from core.pipeline.growth import constant_bytes
from tests.builders import graph, refused

TWICE = """(float[N,64] x) => (float[N,64] y, float[64,64] v) {
    t = Transpose <perm=[1,0]> (w) a = MatMul (x, t) y = MatMul (a, w) v = Identity (w)
}"""


@pytest.mark.parametrize("chosen", [ConvertPrecision(), QuantizeWeights()], ids=["fp16", "int4"])
def test_a_weight_in_two_forms_is_not_stored_twice(chosen: Pass):
    before = graph(TWICE, w=(64, 64))
    assert constant_bytes(before) == 4 * 64 * 64
    assert "more bytes than before" in refused(before, chosen)


def test_other_passes_are_not_for_size():
    assert not Simplify.for_size
