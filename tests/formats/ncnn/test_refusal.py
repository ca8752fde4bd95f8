"""What is said of all operators in the way: once for each reason, with every name."""

from __future__ import annotations

import onnx_ir as ir

from core.formats.ncnn.refusal import MOST, Obstacle, failure


def obstacle(name: str, op: str = "Det", follows: bool = False, domain: str = "") -> Obstacle:
    return Obstacle(ir.Node(domain, op, [], name=name), f"no {op}", follows)


def test_nodes_with_one_reason_are_named_together():
    said = failure([obstacle("a"), obstacle("b", "Hardmax", domain="my"), obstacle("c")]).message
    assert said == (
        "3 operators cannot be written for ncnn: Det 'a', 'c': no Det; my.Hardmax 'b': no Hardmax."
    )


def test_what_follows_is_named_only_where_nothing_else_is():
    assert "'b'" not in failure([obstacle("a"), obstacle("b", follows=True)]).message
    assert "1 operator cannot" in failure([obstacle("b", follows=True)]).message


def test_of_very_many_with_one_reason_the_first_ones_are_named():
    said = failure([obstacle(str(i)) for i in range(MOST + 3)]).message
    assert "'5' and 3 more: no Det." in said


def test_of_a_long_name_the_end_is_said():
    said = failure([obstacle("block/" * 40 + "conv")]).message
    assert "…" in said
    assert "block/conv'" in said
    assert len(said) < 140
