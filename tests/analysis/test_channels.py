"""Channels of a weight that a body reads as well stay: what the body computes is not followed."""

from __future__ import annotations

from core.analysis.channels import channel_map
from core.wording import sentence
from tests.builders import graph


def test_a_weight_that_a_body_shares_is_frozen_wherever_it_stands():
    net = graph(
        """(float[1,8,6,6] x, bool flag) => (float[1,4,6,6] y) {
            z = Relu (x)
            c = If (flag) <
              then_branch = a () => (float[1,8,6,6] p) { p = Conv <pads=[1,1,1,1]> (z, w) },
              else_branch = b () => (float[1,8,6,6] q) { q = Neg (z) }
            >
            [shared] d = Conv <pads=[1,1,1,1]> (c, w)
            [own] e = Conv <pads=[1,1,1,1]> (d, v)
            y = Conv (e, u)
        }""",
        w=(8, 8, 3, 3), v=(8, 8, 3, 3), u=(4, 8, 1, 1),
    )  # fmt: skip
    reasons = {g.layers[0]: g.frozen for g in channel_map(net).groups}
    assert sentence(reasons["shared"]).startswith("read in a body of If")
    assert not reasons["own"]
