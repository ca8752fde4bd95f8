"""The Explore screen: the grid, what it costs, the trade-off, and the way into Optimize."""

from __future__ import annotations

import pytest

from core.passes.base import catalogue
from core.records import State
from core.search.space import axes_of
from pages.explore import sweep_form, tradeoff
from pages.shared import session
from tests.charts import builders
from tests.pages.screen import clean, files, markup, page, stock, words


@pytest.fixture
def fake(monkeypatch, tmp_path):
    return stock(monkeypatch, tmp_path)


@pytest.fixture
def sweep(fake):
    test = page("explore")
    test.query_params["run"] = "sweep"
    return clean(test.run())


def test_first_visit_says_what_a_sweep_will_take(fake):
    test = clean(page("explore").run())
    said = words(test)
    assert "recipes on 3 backends" in said
    assert "at most" in said
    assert not test.button(key="explore.start").disabled


def test_starting_asks_for_every_recipe_and_the_original(fake):
    test = clean(page("explore").run())
    clean(test.button(key="explore.start").click().run())
    asked = fake.asked[0]
    assert not asked.recipes[0].steps
    assert len(asked.recipes) > 2
    assert len({recipe.name for recipe in asked.recipes}) == len(asked.recipes)
    assert asked.backends == ("onnxruntime", "openvino", "opencv")


def test_an_empty_grid_cannot_start(fake):
    test = clean(page("explore").run())
    for axis in axes_of(catalogue()):
        test.session_state[f"explore.axis.{axis.name}"] = []
    test = clean(test.run())
    assert test.button(key="explore.start").disabled
    assert "No recipe is chosen yet" in words(test)


def test_a_huge_grid_is_refused(fake):
    test = clean(page("explore").run())
    for axis in axes_of(catalogue()):
        test.session_state[f"explore.axis.{axis.name}"] = [v.name for v in axis.variants]
    test = clean(test.run())
    assert test.button(key="explore.start").disabled
    assert "too many" in words(test)


def test_a_list_takes_the_switches_one_recipe_at_a_time(fake):
    test = clean(page("explore").run())
    test.session_state["explore.mode"] = sweep_form.LIST_MODE
    test = clean(test.run())
    assert test.button(key="explore.start").disabled
    test = clean(test.button(key="explore.add").click().run())
    assert len(test.multiselect(key="explore.kept").value) == 1
    clean(test.button(key="explore.start").click().run())
    assert len(fake.asked[0].recipes) == 2


def test_a_sweep_shows_chart_table_and_files(sweep):
    assert "Best of 2 recipes" in words(sweep)
    table = sweep.dataframe[-1].value
    assert len(table) == 9
    assert set(table["on the front"]) == {"★", ""}
    assert "cannot load" in table["status"][8]
    names = ["Table (CSV)", "Model (7 B)", "Recipe", "Report", "Rows (CSV)", "Card (JSON)"]
    assert files(sweep) == names


def test_a_click_chooses_the_recipe_of_the_point():
    points = [{"x": 1.0}, {"customdata": ["abc", "openvino"]}]
    assert tradeoff.clicked(points) == ("abc", "openvino")
    assert tradeoff.clicked([{"customdata": {"0": "abc", "1": "opencv"}}]) == ("abc", "opencv")
    assert tradeoff.clicked([]) is None


def test_the_chosen_recipe_goes_to_optimize(sweep, monkeypatch):
    sent = []
    monkeypatch.setattr(session, "open_recipe", lambda run, recipe: sent.append((run.id, recipe)))
    test = clean(sweep.selectbox(key="download.sweep").select(builders.PRUNED).run())
    clean(test.button(key="explore.load").click().run())
    assert sent == [("sweep", builders.RECIPES[1])]


def test_a_live_sweep_can_be_stopped_and_a_stopped_one_goes_on(fake):
    test = page("explore")
    test.query_params["run"] = "live"
    test = clean(test.run())
    assert "latency on OpenVINO" in str(test.get("progress")[0].proto)
    clean(test.button(key="cancel").click().run())
    assert ("cancel", "live") in fake.verbs
    assert fake.known["live"].progress.state is State.CANCELLED
    again = page("explore")
    again.query_params["run"] = "live"
    clean(clean(again.run()).button(key="resume").click().run())
    assert ("resume", "live") in fake.verbs


def test_an_unknown_run_is_said_and_the_form_stays(fake):
    test = page("explore")
    test.query_params["run"] = "nonsense"
    test = clean(test.run())
    assert "There is no run" in words(test)
    assert test.button(key="explore.start")


def test_hostile_names_stay_text(fake):
    test = page("explore")
    test.query_params["run"] = "hostile"
    assert not markup(clean(test.run()))


def test_what_few_need_is_in_a_list_beside_the_row_and_is_tried_too(fake):
    test = clean(page("explore").run())
    few = test.multiselect(key="explore.axis.Precision.other")
    assert not few.value
    before = words(test).partition(" recipes on")[0].split()[-1]
    clean(few.select(few.options[0]).run())
    assert int(words(test).partition(" recipes on")[0].split()[-1]) > int(before)
