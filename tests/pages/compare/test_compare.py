"""The Compare screen: candidates across runs, bookmarks, side by side, cards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.charts.card_file import card_file, written
from core.records import Bookmark
from pages.compare.state import state
from pages.shared import downloads, session
from tests.charts import builders as b
from tests.pages.screen import clean, markup, page, stock, words

PRUNED, INT8 = f"sweep/{b.PRUNED}", f"sweep/{b.QUANTIZED}"


@pytest.fixture
def fake(monkeypatch, tmp_path):
    return stock(monkeypatch, tmp_path)


@pytest.fixture
def compare(fake):
    return clean(page("compare").run())


def picked(test, *keys):
    test.multiselect(key="compare.picks").set_value(list(keys))
    return clean(test.run())


def html(test) -> str:
    return "".join(element.body for element in test.get("html"))


def test_nothing_measured_says_where_to_begin(fake):
    fake.known.clear()
    test = clean(page("compare").run())
    assert "Nothing is measured yet" in words(test)
    assert "Cards" in words(test)


def test_candidates_of_all_runs_of_a_model_are_listed(compare):
    frame = compare.dataframe[0].value
    assert set(frame["name"]) == {"original", "prune 30 %", "int8", b.HOSTILE}
    assert len(frame) == 1 + 2 * 3  # one original; "unlabelled" is decided by another metric
    assert frame["latency (ms)"][1] == pytest.approx(1.491)
    assert frame["verdict"][1] == "faster"


def test_another_backend_has_its_own_numbers(compare):
    test = clean(compare.segmented_control(key="compare.backend").set_value("openvino").run())
    assert test.dataframe[0].value["latency (ms)"][1] == pytest.approx(1.098)


def test_other_conditions_are_never_mixed_in(fake):
    other = replace(b.run(), id="other", host=replace(b.HOST, cpu="another"))
    fake.known = {"sweep": fake.known["sweep"], "other": other}
    test = clean(page("compare").run())
    assert len(test.dataframe[0].value) == 3
    box = next(one for one in test.selectbox if one.label.startswith("Measured under"))
    assert len(box.options) == 2


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"compare.search": "prune 2026-01-02"}, {"original", "my best (prune 30 %)"}),
        ({"compare.search": "best"}, {"original", "my best (prune 30 %)"}),
        ({"compare.pinned": True}, {"original", "my best (prune 30 %)"}),
        ({"compare.tags": ["ship"]}, {"original", "my best (prune 30 %)"}),
        ({"compare.search": "nothing has this"}, {"original"}),
    ],
)
def test_candidates_are_searched_and_filtered(fake, filters, kept):
    fake.marks["sweep", b.PRUNED] = Bookmark("my best", "a note", ("ship",), pinned=True)
    test = page("compare")
    for key, value in filters.items():
        test.session_state[key] = value
    frame = clean(test.run()).dataframe[0].value
    assert set(frame["name"]) == kept


def test_any_number_stands_side_by_side(compare):
    test = picked(compare, PRUNED, INT8, f"sweep/{b.BASE}")
    table = html(test)
    assert table.count('<th scope="col">') == 4
    assert "1.10 ms" in table
    assert "fastest" in table
    assert "Fold batch norms + Prune channels 30 %" in table


def test_what_all_share_is_said_once(compare):
    test = picked(compare, PRUNED, INT8)
    assert ">Machine<" not in html(test)
    assert "Machine\\: AMD EPYC" in words(test)
    assert ">Machine<" in html(
        picked(compare, PRUNED)
    )  # of one alone everything stands in its table


def test_candidates_are_cards_on_a_phone(compare):
    cards = html(compare)
    assert '<details class="lathe-rows" open>' in cards
    assert "<b>prune 30\N{NO-BREAK SPACE}%</b>" in cards
    assert "<dt>latency (ms)</dt><dd>1.49</dd>" in cards


def test_different_machines_are_said(fake):
    other = replace(b.run(), id="other", host=replace(b.HOST, cpu="another"))
    fake.known["other"] = other
    test = picked(clean(page("compare").run()), PRUNED, f"other/{b.PRUNED}")
    assert "different machines" in " ".join(one.value for one in test.warning)


def test_a_candidate_is_pinned_named_noted_and_tagged(fake, compare):
    test = picked(compare, PRUNED)
    test = clean(test.toggle(key=f"compare.pin.{PRUNED}").set_value(True).run())
    assert fake.marks["sweep", b.PRUNED] == Bookmark(pinned=True)
    test.text_input(key=f"compare.name.{PRUNED}").set_value("for the phone")
    test.text_area(key=f"compare.note.{PRUNED}").set_value("quick <b>enough</b>")
    test = clean(test.run())
    assert fake.marks["sweep", b.PRUNED].name == ""  # not before it is saved
    test = clean(test.button(key=f"compare.save.{PRUNED}").click().run())
    assert fake.marks["sweep", b.PRUNED] == Bookmark(
        "for the phone", "quick <b>enough</b>", (), True
    )
    assert "for the phone (prune 30 %)" in set(test.dataframe[0].value["name"])
    assert "for the phone" in html(test)


def test_a_mark_that_cannot_be_kept_is_said(fake, compare):
    test = picked(compare, PRUNED)
    fake.refuse = "The disk is full."
    test = clean(test.toggle(key=f"compare.pin.{PRUNED}").set_value(True).run())
    assert "The disk is full" in words(test)


def test_a_candidate_goes_to_optimize_and_to_its_run(compare, monkeypatch):
    went = []
    monkeypatch.setattr(session, "open_recipe", lambda run, recipe: went.append(recipe.name))
    monkeypatch.setattr(downloads, "reopen", lambda run: went.append(run.id))
    test = picked(compare, PRUNED)
    clean(test.button(key=f"compare.load.{PRUNED}").click().run())
    clean(test.button(key=f"compare.open.{PRUNED}").click().run())
    assert went == ["prune 30 %", "sweep"]


def test_a_run_that_is_gone_takes_its_candidates_along(fake, compare):
    test = picked(compare, PRUNED, f"unlabelled/{b.PRUNED}")
    del fake.known["unlabelled"]
    test = clean(test.run())
    assert list(test.multiselect(key="compare.picks").value) == [PRUNED]


def test_hostile_names_stay_text(fake, compare):
    test = picked(compare, f"hostile/{b.PRUNED}", PRUNED)
    assert not markup(test)
    assert "&lt;img src=x" in html(test)


def test_the_link_names_the_model(fake):
    fake.known["sweep"] = replace(fake.known["sweep"], spec=replace(b.run().spec, model="9" * 64))
    test = page("compare")
    test.query_params["model"] = "9" * 64
    assert clean(test.run()).selectbox(key=state.model.key).value == "9" * 64


def dropped(test, *files):
    test.file_uploader(key="compare.cards").set_value(
        [(name, content, "application/json") for name, content in files]
    )
    return clean(test.run())


def test_a_card_is_measured_again_or_says_what_is_missing(fake, compare, monkeypatch):
    went = []
    monkeypatch.setattr(downloads, "reopen", lambda run: went.append(run.id))
    content = written(card_file(b.run(), b.PRUNED)).encode()
    fake.missing = ("The model is not here (SHA-256 aaaaaaaaaaaa …): upload it.",)
    test = dropped(compare, ("a.json", content))
    assert "cannot be measured again yet" in words(test)
    fake.missing = ()
    test = clean(test.run())
    clean(test.button(key="compare.rerun.a.json").click().run())
    assert fake.asked[0].recipes[-1] == b.RECIPES[1]
    assert went == ["run1"]


def test_two_cards_are_held_against_each_other(compare):
    first = written(card_file(b.run(), b.PRUNED)).encode()
    second = written(
        replace(card_file(b.run(), b.QUANTIZED), host=replace(b.HOST, cpu="<b>another</b>"))
    ).encode()
    test = dropped(compare, ("a.json", first), ("b.json", second))
    differing, found = test.dataframe[-2].value, test.dataframe[-1].value
    assert "Processor" in set(differing[""])
    sizes = found[(found["quantity"] == "file size") & (found["of"] == "recipe")]
    assert list(sizes["difference"]) == ["shown"]
    assert not markup(test)


@pytest.mark.parametrize("content", [b"{}", b"\xff", b"[" * 100_000, b'{"lathe_card": 1}'])
def test_a_forged_card_is_one_clear_line_and_nothing_is_lost(compare, content):
    good = written(card_file(b.run(), b.PRUNED)).encode()
    test = picked(compare, PRUNED)
    test = dropped(test, ("<img src=x>.json", content), ("good.json", good))
    assert len(test.error) == 1
    assert not markup(test)
    assert "good" in words(test)
    assert list(test.multiselect(key="compare.picks").value) == [PRUNED]


def test_ticks_stay_with_their_candidates_when_the_rows_change(compare):
    order = compare.session_state["compare.order"]
    at = max(index for index, key in enumerate(order) if key == INT8)
    compare.session_state["compare.ticked"] = [PRUNED, INT8]
    compare.session_state["compare.table"] = {
        "selection": {"rows": [order.index(PRUNED), at], "columns": [], "cells": []}
    }
    test = clean(compare.text_input(key="compare.search").set_value("int8").run())
    left = test.session_state["compare.order"]
    assert PRUNED not in left
    assert left.index(INT8) != at
    assert test.session_state["compare.ticked"] == [INT8]
    assert list(test.session_state["compare.table"]["selection"]["rows"]) == [left.index(INT8)]
