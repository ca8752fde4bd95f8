"""Two cards: what differs is told, and a difference is shown only where intervals do not meet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.charts import quantities
from core.charts.card_diff import facts, numbers
from core.charts.card_file import card_file
from core.records import CardFile, Measurement
from tests.charts import builders as b


def card(**changes: object) -> CardFile:
    return replace(card_file(b.run(), b.PRUNED), **changes)


def of(first: CardFile, second: CardFile, quantity: str, backend: str = "OpenVINO"):
    return next(
        n for n in numbers(first, second)
        if (n.of, n.quantity, n.backend) == ("recipe", quantity, backend)
    )  # fmt: skip


def with_rows(change) -> CardFile:
    first = card()
    return replace(first, rows=tuple(map(change, first.rows)))


def scaled(row: Measurement, factor: float) -> Measurement:
    if row.metric != "latency_ms" or row.value is None:
        return row
    return replace(row, value=row.value * factor, low=row.low * factor, high=row.high * factor)


def test_a_card_beside_itself_differs_in_nothing():
    differing, same = facts(card(), card())
    assert not differing
    assert "Recipe" in same
    assert {row.shown for row in numbers(card(), card())} == {"equal"}


def test_another_recipe_machine_and_version_are_told():
    host = replace(b.HOST, cpu="another", versions={**b.HOST.versions, "openvino": "2027.1"})
    other = replace(card_file(b.run(), b.QUANTIZED), host=host)
    differing = {name: (first, second) for name, first, second in facts(card(), other)[0]}
    assert differing["Recipe"][0] == "Fold batch norms + Prune channels 30 %"
    assert "another" in differing["Processor"][1]
    assert differing["Version of openvino"] == ("2026.4.0", "2027.1")
    assert "Model SHA-256" not in differing


@pytest.mark.parametrize(("factor", "shown"), [(2.0, "shown"), (1.01, "not shown"), (1.0, "equal")])
def test_a_difference_is_shown_where_the_intervals_do_not_meet(factor, shown):
    found = of(card(), with_rows(lambda row: scaled(row, factor)), "median latency")
    assert found.shown == shown
    assert found.change == {2.0: "+100 %", 1.01: "+1 %", 1.0: ""}[factor]


def test_numbers_that_do_not_share_their_conditions_say_so():
    machine = with_rows(lambda row: replace(row, target=b.HOST.target(row.backend or "x")))
    moved = replace(b.HOST, cpu="another")
    elsewhere = with_rows(lambda row: replace(row, target=moved.target(row.backend or "x")))
    newer = replace(b.HOST, versions={**b.HOST.versions, "openvino": "9"})
    later = with_rows(lambda row: replace(row, target=newer.target(row.backend or "x")))
    assert of(machine, elsewhere, "median latency").apart == "other machine"
    assert of(machine, later, "median latency").apart == "other version"
    assert of(machine, elsewhere, "file size", "").apart == ""


def test_other_inputs_and_images_are_not_compared():
    larger = with_rows(lambda row: replace(row, condition={**row.condition, "input": "8x3x64x64"}))
    found = of(card(), larger, "median latency")
    assert (found.shown, found.change, found.apart) == ("not comparable", "", "other input")
    fewer = with_rows(lambda row: replace(row, condition={**row.condition, "images": "10"}))
    assert of(card(), fewer, quantities.name("top1")).apart == "other images"


def test_what_only_one_card_has_is_told():
    some = replace(card(), rows=tuple(r for r in card().rows if r.backend != "openvino"))
    assert of(card(), some, "median latency").shown == "only in A"
    assert of(some, card(), "median latency").shown == "only in B"
    failed = with_rows(
        lambda row: b.row(row.candidate, row.metric, None, row.backend, condition=row.condition)
    )
    found = of(card(), failed, "median latency")
    assert (found.shown, found.second) == ("none in B", "failed: it failed")
