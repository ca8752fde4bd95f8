"""The result image: what the page hands to the browser, and what is taken along."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.charts.card import card
from core.charts.card_file import card_file, read_card, written
from pages.shared import component, result_card
from tests.charts import builders as b
from tests.pages.screen import clean, files, page, stock


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """What the component was given, by screen run."""
    stock(monkeypatch, tmp_path)
    given: list[dict[str, Any]] = []
    kept = {"result_card": given, "running": []}
    monkeypatch.setattr(
        component, "of_files", lambda name, html: lambda **words: kept[name].append(words["data"])
    )
    return given


def opened():
    test = page("explore")
    test.query_params["run"] = "sweep"
    return clean(test.run())


def test_the_image_takes_the_form_and_the_look_that_were_chosen(drawn):
    test = opened()
    assert (drawn[-1]["width"], drawn[-1]["height"]) == (1200, 630)
    assert drawn[-1]["file"] == "resnet_int8_wide"
    assert "#ffffff" in drawn[-1]["svg"][:900]
    test.segmented_control(key="card.form").select("tall").run()
    test = clean(test.segmented_control(key="card.look").select("dark").run())
    assert (drawn[-1]["width"], drawn[-1]["height"]) == (1080, 1350)
    assert drawn[-1]["file"] == "resnet_int8_tall_dark"
    assert "#0e1320" in drawn[-1]["svg"][:900]


def test_it_is_read_out_and_embedded(drawn):
    test = opened()
    assert drawn[-1]["alt"].startswith("Result image. resnet: Fold batch norms + quantize_static")
    assert "Card (JSON)" in files(test)
    codes = [code.value for code in test.code]
    assert any(
        code.startswith("[![resnet: ") and "(resnet_int8_wide.svg)](" in code for code in codes
    )
    assert any('<img src="resnet_int8_wide.svg" width="1200"' in code for code in codes)


def test_the_card_as_a_file_is_read_again():
    made = card_file(b.run(), b.PRUNED, "http://localhost/?run=run-1")
    assert read_card(written(made).encode(), "c") == made
    assert json.loads(written(made))["lathe_card"] == 1


def test_names_from_outside_stay_text_where_they_are_embedded():
    shown = card(b.hostile(), b.PRUNED, "https://x.example/?run=a")
    assert "<img src=x" not in result_card.markdown(shown, "f.svg").replace("\\<img", "")
    assert "](javascript" not in result_card.markdown(shown, "f.svg").replace("\\](", "")
    html = result_card.html(shown, "f.svg", 1200)
    assert html.count("<img") == 1
