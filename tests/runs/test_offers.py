"""What is offered where a cut costs too much; nothing where it does not."""

from __future__ import annotations

from core.records import AccuracyForecast, Cut, LayerEffect, Sensitivity
from core.runs import offers
from core.runs.forecast import forecast

TOLERANCE = ((0.001, 99.9), (0.01, 98.0), (0.1, 80.0), (1.0, 30.0))
KNOWN = Sensitivity(
    tuple(
        LayerEffect((name,), f"{share:.0%}", 0.08 * share**2, None, share)
        for name in "ab"
        for share in (0.25, 0.5, 0.75)
    ),
    TOLERANCE,
)


def test_a_cut_that_costs_little_is_no_reason_for_offers():
    cuts = (Cut(("a",), 1, 64),)
    expected = forecast(cuts, KNOWN)
    assert expected.agreement > 97
    assert offers.before(expected, cuts, KNOWN) == ""


def test_the_smaller_cut_that_is_offered_is_the_largest_that_is_bearable():
    cuts = (Cut(("a",), 48, 64), Cut(("b",), 24, 32))
    expected = forecast(cuts, KNOWN)
    assert expected.agreement < 97
    part, found = offers.smaller(cuts, KNOWN)
    assert found.agreement >= 97
    assert 0 < sum(c.removed for c in part) < 72
    more = tuple(Cut(c.layers, c.removed + 4, c.channels) for c in part)
    assert forecast(more, KNOWN).agreement < 97
    said = offers.before(expected, cuts, KNOWN)
    assert "an estimate" in said
    assert f"{found.agreement:.0f} %" in said
    for word in ("int8", "images", "fine-tuning"):
        assert word in said


def test_where_nothing_smaller_is_bearable_no_smaller_cut_is_offered():
    steep = Sensitivity((LayerEffect(("a",), "1%", 5.0, None, 0.01),), TOLERANCE)
    cuts = (Cut(("a",), 32, 64),)
    assert offers.smaller(cuts, steep) is None
    expected = AccuracyForecast(20.0, 10.0, 40.0)
    assert "instead of" not in offers.before(expected, cuts, steep)
