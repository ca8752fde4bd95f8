"""Rows as cards: every cell that says something, escaped, and no more cards than can be read."""

from __future__ import annotations

from pages.shared import row_cards
from tests.pages.fake_workspace import HOSTILE


def test_a_card_has_its_title_and_the_cells_that_are_not_empty():
    row = {"quantity": "Latency", "backend": "OpenVINO", "value": "1.2 ms", "reason": ""}
    made = row_cards.markup([row], ("quantity", "backend"), ("value", "reason"))
    assert "<b>Latency · OpenVINO</b>" in made
    assert "<dt>value</dt><dd>1.2\N{NO-BREAK SPACE}ms</dd>" in made
    assert "reason" not in made


def test_text_from_outside_stays_text():
    made = row_cards.markup([{"recipe": HOSTILE, HOSTILE: HOSTILE}], ("recipe",), (HOSTILE,))
    assert "<img" not in made
    assert made.count("&lt;img") == 3


def test_what_is_left_out_is_counted():
    rows = [{"recipe": str(place)} for place in range(row_cards.MOST_CARDS + 3)]
    made = row_cards.markup(rows, ("recipe",), (), "Look elsewhere.")
    assert made.count("<li>") == row_cards.MOST_CARDS
    assert f"The first {row_cards.MOST_CARDS} of 63. Look elsewhere." in made
