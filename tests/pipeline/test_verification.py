"""Verification: what an exact step may not change, before and behind what decides."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from core.calibration.services import NoServices
from core.errors import PassPostcondition
from core.graph import Graph
from core.pipeline import decisions
from core.pipeline.verification import Verifier
from tests.builders import graph

ROW = "(float[N,6] x) => (float[N,6] y)"
DETECTOR = """(float[N,6] x) => (float[N,2] v, int64[N,2] i) {{
    c = Clip (x, low, {high}) v, i = TopK (c, two)
}}"""
LIMITS = {
    "low": np.float32(-50), "high": np.float32(50), "higher": np.float32(500), "two": np.array([2])
}  # fmt: skip


def refused(before: Graph, after: Graph) -> str:
    with pytest.raises(PassPostcondition) as caught:
        Verifier(before, NoServices()).accept(after, exact=True)
    return caught.value.message


def test_a_limit_that_only_large_values_meet_is_seen_before_a_decision():
    message = refused(
        graph(DETECTOR.format(high="high"), **LIMITS),
        graph(DETECTOR.format(high="higher"), **LIMITS),
    )
    assert "'c' changed" in message


def test_an_integer_output_is_compared():
    text = "(int32[N,6] x) => (int32[N,6] y) {{ y = Mul (x, {k}) }}"
    two = {"p": np.int32(2), "q": np.int32(3)}
    assert "changed" in refused(graph(text.format(k="p"), **two), graph(text.format(k="q"), **two))


@pytest.mark.parametrize("kind", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_narrow_floats_are_compared(kind: type):
    number = 16 if kind is ml_dtypes.bfloat16 else 17
    name = "bfloat16" if number == 16 else "float8e4m3fn"
    text = f"(float[N,6] x) => ({name}[N,6] y) {{{{ {{op}} y = Cast <to={number}> (a) }}}}"
    right = graph(text.format(op="a = Relu (x)"), 19)
    wrong = graph(text.format(op="a = Abs (x)"), 19)
    assert "changed" in refused(right, wrong)
    assert Verifier(right, NoServices()).accept(right.clone(), exact=True) == ()


def test_an_output_beside_a_decision_is_compared():
    text = """(float[N,6] x) => (int64[N,2] i, float[N,6] y) {{
        v, i = TopK (x, two) y = {op} (x)
    }}"""
    assert "'y' changed" in refused(
        graph(text.format(op="Relu"), two=np.array([2])),
        graph(text.format(op="Neg"), two=np.array([2])),
    )


def test_levels_that_flip_are_rounding():
    text = f"{ROW} {{{{ a = Mul (x, k) b = Mul (a, {{m}}) y = Round (b) }}}}"
    weights = {"k": np.float32(3.7), "m": np.float32(1), "near": np.float32(1 + 1e-6)}
    Verifier(graph(text.format(m="m"), **weights), NoServices()).accept(
        graph(text.format(m="near"), **weights), exact=True
    )


def test_what_a_body_reads_is_before_its_decision():
    net = graph(
        """(float[N,6] x, bool flag) => (int64[N,1] y) { z = Relu (x) y = If (flag) <
          then_branch = a () => (int64[N,1] p) { p = ArgMax <axis=1> (z) },
          else_branch = b () => (int64[N,1] q) { q = ArgMin <axis=1> (z) }
        > }"""
    )
    assert decisions.before(net) == ("z",)
    assert decisions.behind(net, decisions.SELECTS) == {"y"}


def test_an_exact_step_behind_a_free_one_is_held_to_what_that_left_at_every_scale():
    """The scales of the graph between are run when they are asked for, not those of the first."""
    free, bent = {"low": np.float32(-50), "high": np.float32(50)}, {"high": np.float32(500)}
    text = f"{ROW} {{{{ a = {{op}} (x) y = Clip (a, low, high) }}}}"
    first, between = (graph(text.format(op=op), **free) for op in ("Neg", "Abs"))
    verifier = Verifier(first, NoServices())
    verifier.accept(between)
    with pytest.raises(PassPostcondition, match="'y' changed"):
        verifier.accept(graph(text.format(op="Abs"), **free | bent), exact=True)
    assert verifier.accept(between.clone(), exact=True) == ()
    with pytest.raises(PassPostcondition, match="'y' changed"):
        verifier.accept(first, exact=True)
