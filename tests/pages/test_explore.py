"""The Explore screen: the grid, what it costs, the trade-off, and the way into Optimize."""

from __future__ import annotations

from typing import ClassVar

import pytest

from core.passes.base import Pass, catalogue, parameter
from core.records import State
from pages.widgets import session, sweep_form, tradeoff
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


class Half(Pass):
    label: ClassVar[str] = "Half"
    help: ClassVar[str] = "Halves."

    def apply(self, graph, report, statistics):
        """Nothing."""


def test_first_visit_says_what_a_sweep_will_take(fake):
    test = clean(page("explore").run())
    said = words(test)
    assert "recipes on 3 backends" in said
    assert "at most" in said
    assert not test.button(key="explore.start").disabled


def test_the_opening_grid_varies_a_cut_and_the_arithmetic():
    started = {label for axis in sweep_form.axes_of(catalogue()) for label in axis.start}
    assert "prune_channels.30 %" in started
    assert "quantize_int8.int8 safe" in started


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
    for axis in sweep_form.axes_of(catalogue()):
        test.session_state[f"explore.axis.{axis.name}"] = []
    test = clean(test.run())
    assert test.button(key="explore.start").disabled
    assert "No recipe is chosen yet" in words(test)


def test_a_huge_grid_is_refused(fake):
    test = clean(page("explore").run())
    for axis in sweep_form.axes_of(catalogue()):
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
    assert files(sweep) == ["Table (CSV)", "Model (7 B)", "Recipe", "Report", "Rows (CSV)"]


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


def test_the_grid_is_the_product_of_its_axes():
    step = [variant for axis in sweep_form.axes_of(catalogue()) for variant in axis.variants]
    some = [variant for variant in step if variant.step is not None]
    first, second = some[0], some[-1]
    off = sweep_form.Variant("off", "off", None)
    recipes = sweep_form.combine([[off, first], [off, second]])
    assert [len(recipe.steps) for recipe in recipes] == [1, 1, 2]


def test_every_pass_can_be_varied():
    for axis in sweep_form.axes_of(catalogue()):
        assert len(axis.variants) > 1, axis.name


def test_a_number_with_a_unit_is_varied_around_its_default():
    (axis,) = [a for a in sweep_form.axes_of(catalogue()) if a.name == "replace_convolutions"]
    assert [v.label for v in axis.variants] == ["off", "2×", "3×", "4×"]


def test_what_few_need_is_in_a_list_beside_the_row_and_is_tried_too(fake):
    test = clean(page("explore").run())
    few = test.multiselect(key="explore.axis.Precision.other")
    assert not few.value
    before = words(test).partition(" recipes on")[0].split()[-1]
    clean(few.select(few.options[0]).run())
    assert int(words(test).partition(" recipes on")[0].split()[-1]) > int(before)


def test_a_pass_without_parameters_is_off_or_on():
    assert [v.label for v in sweep_form.axes_of({"half": Half})[0].variants] == ["off", "on"]


def test_a_family_is_one_axis_with_the_presets_of_its_passes():
    class Whole(Half):
        family: ClassVar[str] = "Kind"
        presets: ClassVar[dict] = {"all": {}}

    class Quarter(Half):
        family: ClassVar[str] = "Kind"
        presets: ClassVar[dict] = {"one": {}, "three": {}}

    (axis,) = sweep_form.axes_of({"whole": Whole, "quarter": Quarter})
    assert axis.name == "Kind"
    assert [v.label for v in axis.variants] == ["as it is", "all", "one", "three"]
    assert [v.step and v.step.pass_name for v in axis.variants[1:]] == ["whole", *["quarter"] * 2]


def test_parameter_builds_a_share_axis():
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Cut(Half):
        ratio: float = parameter(0.25, "Ratio", "How much.", low=0.0, high=0.5)

    (axis,) = sweep_form.axes_of({"cut": Cut})
    assert [v.label for v in axis.variants] == ["off", "10 %", "20 %", "30 %", "40 %", "50 %"]
    assert axis.variants[3].step.params["ratio"] == pytest.approx(0.3)
