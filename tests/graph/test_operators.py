"""Operator sets: a quantized model is known by any of its integer operators."""

from __future__ import annotations

import pytest

from core.errors import PassPrecondition
from core.graph.operators import QUANTIZED, WEIGHTED, is_quantized, is_standard
from core.passes.base import Pass
from core.passes.quantize_dynamic import QuantizeDynamic
from core.passes.quantize_int8 import QuantizeInt8
from core.passes.quantize_static import QuantizeStatic
from core.passes.quantize_weights import QuantizeWeights
from tests.builders import graph

INTEGER_ONLY = """(uint8[N,1,4,4] x) => (uint8[N,1,4,4] y)
<float s = {0.1}, uint8 z = {0}, uint8[1,1,1,1] w = {3}> {
    y = QLinearConv (x, s, z, w, s, z, s, z)
}"""
IN_A_BODY = """(bool c, float[4] x) => (float[4] y) <float s = {0.1}, uint8 z = {0}> {
    y = If (c) <
        then_branch = t () => (float[4] a) {
            q = QuantizeLinear (x, s, z) a = DequantizeLinear (q, s, z)
        },
        else_branch = e () => (float[4] b) { b = Identity (x) }
    >
}"""
PASSES = (QuantizeDynamic(), QuantizeInt8(), QuantizeStatic(), QuantizeWeights())


@pytest.mark.parametrize("chosen", PASSES, ids=lambda p: type(p).__name__)
def test_what_computes_with_integers_alone_is_not_quantized_again(chosen: Pass) -> None:
    with pytest.raises(PassPrecondition, match="already quantized"):
        chosen.requires(graph(INTEGER_ONLY))


def test_a_model_is_quantized_if_any_part_of_it_is() -> None:
    assert is_quantized(graph(IN_A_BODY))
    assert not is_quantized(graph("(float[N] x) => (float[N] y) { y = Relu (x) }"))


def test_an_operator_of_another_domain_is_another_operator() -> None:
    (node,) = graph("(float[N] x) => (float[N] y) { y = Relu (x) }").graph
    assert is_standard(node, frozenset({"Relu"}))
    node.domain = "somewhere.else"
    assert not is_standard(node, frozenset({"Relu"}))
    assert not WEIGHTED & QUANTIZED
