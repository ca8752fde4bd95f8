"""The Optimize screen, driven without a browser."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import StoreError
from core.passes.base import catalogue, parameters
from core.records import (
    ExperimentSpec,
    LayerEffect,
    Note,
    Recipe,
    Sensitivity,
    State,
    Step,
    StepReport,
    TensorSpec,
)
from core.search.space import AS_IT_IS, families, is_range, neighbours
from pages.shared import data_picker, precision_control, session
from pages.shared.state import forms
from tests.pages.fake_workspace import model
from tests.pages.screen import picker


def page_text(page: AppTest) -> str:
    kinds = (page.markdown, page.caption, page.error, page.warning, page.info)
    bodies = [element.body for element in page.get("html")]
    said = "\n".join([*bodies, *(e.value for kind in kinds for e in kind)])
    return said.replace("\N{NO-BREAK SPACE}", " ")


def clean(page: AppTest) -> AppTest:
    assert not page.exception, [e.value for e in page.exception]
    return page


def switch(page: AppTest, name: str):
    return page.toggle(key=forms.switch(name).key)


def sliders() -> list[tuple[str, str]]:
    """Passes that have a visible slider with stops that can be asked for ahead, and its name."""
    return [
        (name, parameter)
        for name, kind in catalogue().items()
        for parameter, (default, about) in parameters(kind).items()
        if not about.expert
        and is_range(default, about)
        and any(neighbours(Recipe("r", (kind().step(),))))
    ]


def spec(**changes: object) -> ExperimentSpec:
    recipe = Recipe("fold", (Step("fold_batch_norm"),))
    made = ExperimentSpec(
        "a run", "a" * 64, (Recipe("original"), recipe), ("openvino",), evaluation="e" * 64
    )
    return replace(made, **changes)


def test_first_visit_opens_with_the_resnet_sample_and_its_preview(optimize):
    page = clean(optimize.run())
    assert page.selectbox(key="model").value == "a" * 64
    assert "resnet" in page_text(page)
    assert "(counted in the file)" in page_text(page)
    assert page.button(key="measure").label == "Measure"
    assert any("Size before and after" in str(chart.proto) for chart in page.get("plotly_chart"))


def test_every_pass_has_a_switch_with_its_help(optimize):
    page = clean(optimize.run())
    for name, kind in catalogue().items():
        if not kind.family:
            assert switch(page, name).label == kind.label
            assert switch(page, name).help == kind.help


def precision(page: AppTest, family: str):
    return page.button_group(key=f"recipe.family.{family}")


def choose(page: AppTest, family: str, label: str) -> AppTest:
    """As a visitor does: in the row, or in the list behind "other …"."""
    known = [choice.label for choice in precision_control.choices(family)]
    row = precision_control.plain(known, precision_control.stored_as(model()))
    if label in (AS_IT_IS, *row):
        precision(page, family).set_value(label)
        return clean(page.run())
    precision(page, family).set_value(precision_control.OTHER)
    clean(page.run())
    page.selectbox(key=f"recipe.family.{family}.other").set_value(label)
    return clean(page.run())


@pytest.mark.parametrize("family", families(catalogue()))
def test_a_family_is_one_control_and_each_choice_is_one_pass_with_its_preset(optimize, family):
    page = clean(optimize.run())
    assert precision(page, family).value == AS_IT_IS
    for choice in precision_control.choices(family):
        page = choose(page, family, choice.label)
        tiles = page_text(page)
        assert choice.pass_name in catalogue()
        members = families(catalogue())[family]
        on = [name for name in members if page.session_state[forms.switch(name).key]]
        assert on == [choice.pass_name], tiles
        for name, value in choice.params.items():
            assert page.session_state[forms.parameter(choice.pass_name, name).key] == value
    page = choose(page, family, AS_IT_IS)
    assert not any(page.session_state[forms.switch(name).key] for name in members)


def test_every_pass_shows_its_parameters_when_it_is_on(optimize, monkeypatch):
    for kind in catalogue().values():
        monkeypatch.setattr(kind, "lacks", classmethod(lambda cls: ""))  # all installed
    page = clean(optimize.run())
    switches = {name: kind for name, kind in catalogue().items() if not kind.family}
    for name in switches:
        switch(page, name).set_value(True)
    page = clean(page.run())
    for name, kind in switches.items():
        for parameter in parameters(kind):
            assert forms.parameter(name, parameter).key in page.session_state


def test_a_moved_slider_changes_the_exact_numbers(optimize, workspace):
    name, parameter = next(iter(sliders()), (None, None))
    if name is None:
        pytest.skip("no pass here has a slider")
    page = clean(optimize.run())
    switch(page, name).set_value(True)
    before = page_text(clean(page.run()))
    slider = page.slider(key=forms.parameter(name, parameter).key)
    slider.set_value(slider.max)
    after = page_text(clean(page.run()))
    assert before != after
    assert "counted in the file" in after
    stops = [int(count) for verb, count in workspace.verbs if verb == "previews"]
    assert max(stops) >= 2, "the other stops were not asked for ahead"


def pruning(page: AppTest) -> AppTest:
    switch(page, "prune_channels").set_value(True)
    return clean(page.run())


def test_a_cut_is_forecast_from_measured_sensitivities_and_says_so(optimize, workspace):
    effects = (LayerEffect(("conv1",), "50 %", 0.02, 99.0, 0.5),)
    workspace.known_sensitivity = Sensitivity(effects, ((0.001, 99.5), (0.1, 80.0)))
    said = page_text(pruning(clean(optimize.run())))
    assert "Same answers as the original" in said
    assert "forecast from calibration images; not measured" in said


def test_a_forecast_says_that_the_net_knows_the_images(optimize, workspace):
    effects = (LayerEffect(("conv1",), "50 %", 0.02, 99.0, 0.5),)
    workspace.known_sensitivity = Sensitivity(effects, ((0.001, 99.5), (0.1, 80.0)), True)
    said = page_text(pruning(clean(optimize.run())))
    assert "enlarged images, as it knows them; not measured" in said


def test_a_forecast_in_the_making_is_said(optimize, workspace):
    assert "a forecast is being made" in page_text(pruning(clean(optimize.run())))


def test_measure_submits_what_the_forms_say_and_names_the_run_in_the_address(optimize, workspace):
    page = clean(optimize.run())
    page.button(key="measure").click()
    page = clean(page.run())
    (asked,) = workspace.asked
    assert asked.model == "a" * 64
    assert [step.pass_name for step in asked.recipes[-1].steps] == ["fold_batch_norm"]
    assert asked.recipes[0].steps == ()
    assert asked.backends == ("onnxruntime", "openvino", "opencv")
    assert (asked.calibration, asked.evaluation) == ("d" * 64, "e" * 64)
    assert page.query_params["run"] == "run1"
    assert "1.61× faster on " in page_text(page)


def test_no_backend_is_said_and_nothing_is_submitted(optimize, workspace):
    page = clean(optimize.run())
    page.button_group(key=forms.backends.key).set_value([])
    page.button(key="measure").click()
    page = clean(page.run())
    assert not workspace.asked
    assert "at least one backend" in page_text(page)


def test_unavailable_backends_are_named_with_reason_and_remedy(optimize):
    page = clean(optimize.run())
    assert "not installed" in page_text(page)
    assert "pip install ncnn" in [code.value for code in page.code]
    options = page.button_group(key=forms.backends.key).options
    assert "OpenVINO bf16" in options
    assert "ncnn" not in options


def test_a_permalink_shows_the_run_of_somebody_else_and_loads_its_recipe(optimize, workspace):
    asked = spec(threads=(2,), images=300)
    workspace.known["r"] = workspace.make_run(asked, "somebody else", "r")
    optimize.query_params["run"] = "r"
    page = clean(optimize.run())
    assert "1.89× faster on " in page_text(page)
    assert switch(page, "fold_batch_norm").value
    assert page.button_group(key=forms.backends.key).value == ["openvino"]
    assert page.session_state[forms.images.key] == 300
    assert page.session_state[forms.threads.key] == [2]


def test_an_unknown_run_is_said_and_the_page_lives(optimize):
    optimize.query_params["run"] = "nonsense"
    page = clean(optimize.run())
    assert "There is no run" in page_text(page)
    assert page.button(key="measure")


def test_a_live_run_has_progress_and_a_cancel_that_works(optimize, workspace):
    workspace.state = State.RUNNING
    workspace.known["r"] = workspace.make_run(spec(), "me", "r")
    optimize.query_params["run"] = "r"
    page = clean(optimize.run())
    assert page.button(key="measure").disabled
    bar = page.get("progress")[0].proto
    assert bar.value == 30
    assert "about 12 s left" in bar.text
    page.button(key="cancel").click()
    page = clean(page.run())
    assert ("cancel", "r") in workspace.verbs
    assert "Nothing was measured before that." in page_text(page)


def test_who_has_the_link_of_a_live_run_can_look_and_measure_but_not_stop_it(optimize, workspace):
    workspace.state = State.RUNNING
    workspace.known["r"] = workspace.make_run(spec(), "somebody else", "r")
    optimize.query_params["run"] = "r"
    page = clean(optimize.run())
    assert page.get("progress")
    assert "Started by another visitor" in page_text(page)
    assert not [button for button in page.button if button.key == "cancel"]
    assert not page.button(key="measure").disabled


def test_a_cancelled_run_says_one_thing(optimize, workspace):
    workspace.state = State.CANCELLED
    made = workspace.make_run(spec(), "me", "r")
    message = "stopped; what was measured is kept"
    workspace.known["r"] = replace(made, progress=replace(made.progress, message=message))
    optimize.query_params["run"] = "r"
    said = page_text(clean(optimize.run()))
    assert said.count("measured is kept") == 1
    assert "Nothing was measured" not in said


def test_a_pass_that_cannot_run_here_says_how_to_get_what_it_lacks(optimize, monkeypatch):
    kind = catalogue()["simplify"]
    monkeypatch.setattr(kind, "lacks", classmethod(lambda cls: "pip install magic"))
    page = clean(optimize.run())
    assert switch(page, "simplify").disabled
    assert "pip install magic" in [code.value for code in page.code]
    optimize.session_state[forms.switch("simplify").key] = True  # from a run made elsewhere
    page = clean(optimize.run())
    assert not switch(page, "simplify").disabled


def test_fine_tuning_lacks_pytorch_or_nothing(monkeypatch):
    kind = catalogue()["fine_tune"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "torch" in kind.lacks()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert kind.lacks() == ""


def test_an_interrupted_run_can_go_on(optimize, workspace):
    workspace.state = State.INTERRUPTED
    workspace.known["r"] = workspace.make_run(spec(), "me", "r")
    optimize.query_params["run"] = "r"
    page = clean(optimize.run())
    page.button(key="resume").click()
    clean(page.run())
    assert ("resume", "r") in workspace.verbs


def test_another_recipe_of_a_run_can_be_shown(optimize, workspace):
    recipes = (Recipe("original"), Recipe("fold", (Step("fold_batch_norm"),)))
    recipes += (Recipe("clean", (Step("simplify"),)),)
    workspace.known["r"] = workspace.make_run(spec(recipes=recipes), "me", "r")
    optimize.query_params["run"] = "r"
    page = clean(optimize.run())
    page.selectbox(key="recipe_of.r").set_value("clean")
    page = clean(page.run())
    assert switch(page, "simplify").value
    assert not switch(page, "fold_batch_norm").value


def test_another_model_leaves_the_run(optimize, workspace):
    workspace.known["r"] = workspace.make_run(spec(), "me", "r")
    optimize.query_params["run"] = "r"
    page = clean(optimize.run())
    page.selectbox(key="model").set_value("b" * 64)
    page = clean(page.run())
    assert "run" not in page.query_params
    assert "(counted in the file)" in page_text(page)


def test_a_store_that_cannot_be_read_is_a_line_and_not_a_crash(optimize, workspace, monkeypatch):
    def locked(owner: str) -> None:
        raise StoreError("The results are locked by another program.", "Close it and reload.")

    monkeypatch.setattr(workspace.models, "of", locked)
    page = clean(optimize.run())
    assert "locked by another program" in page_text(page)


def test_a_failed_row_stands_in_the_table_with_its_reason(optimize, workspace):
    workspace.known["r"] = workspace.make_run(spec(), "me", "r")
    optimize.query_params["run"] = "r"
    page = clean(optimize.run())
    table = next(d.value for d in page.dataframe if "reason" in d.value)
    failed = table[table["status"] == "✕ failed"]
    assert list(failed["reason"]) == ["opencv_classic cannot load QuantizeLinear"]


def test_a_refused_upload_says_why_and_the_next_one_works(optimize, workspace):
    page = clean(optimize.run())
    workspace.refuse = "node 3 has no operator named *Foo*"
    page.file_uploader(key="upload.model").set_value(("bad_<b>.onnx", b"x", "application/octet"))
    page = clean(page.run())
    assert r"node 3 has no operator named \*Foo\*" in page_text(page)
    assert page.selectbox(key="model").value == "a" * 64
    workspace.refuse = ""
    page.file_uploader(key="upload.model").set_value(("good.onnx", b"y", "application/octet"))
    page = clean(page.run())
    assert page.selectbox(key="model").value == "9" * 64
    assert "refused" not in page_text(page)


def test_a_hostile_file_name_stays_text(optimize, workspace):
    page = clean(optimize.run())
    name = "<img src=x onerror=alert(1)>.onnx"
    page.file_uploader(key="upload.model").set_value((name, b"y", "application/octet"))
    page = clean(page.run())
    assert all("<img" not in element.body for element in page.get("html"))


def test_open_dimensions_are_frozen_by_a_form(optimize, workspace):
    page = clean(optimize.run())
    page.file_uploader(key="upload.model").set_value(("d.onnx", b"dynamic", "application/octet"))
    page = clean(page.run())
    page.number_input(key="freeze.N").set_value(4)
    next(b for b in page.button if b.label == "Freeze shapes").click()
    page = clean(page.run())
    assert page.selectbox(key="model").value == "8" * 64
    assert "frozen {&#x27;N&#x27;: 4}" in page_text(page)


def test_preprocessing_is_saved_with_the_model(optimize, workspace):
    page = clean(optimize.run())
    page.selectbox(key=f"preprocess.{'a' * 64}").set_value("raw 0 … 255, BGR")
    page = clean(page.run())
    page.button(key="preprocess.save").click()
    page = clean(page.run())
    saved = workspace.brought["7" * 64].preprocess
    assert (saved.color, saved.scale, saved.resize) == ("bgr", 1.0, (64, 64))
    assert page.selectbox(key="model").value == "7" * 64


def test_one_set_for_both_roles_is_said(optimize):
    page = clean(optimize.run())
    picker(page, "calibration").set_value("e" * 64)
    page = clean(page.run())
    assert "half of it calibrates" in page_text(page)


def test_sets_that_share_images_are_warned_of(optimize, monkeypatch):
    data_picker._shared.clear()
    monkeypatch.setattr(data_picker, "shared_images", lambda first, second: 7)
    page = clean(optimize.run())
    assert "7 images are in both sets" in page_text(page)
    data_picker._shared.clear()


def test_without_images_accuracy_is_announced_as_unknown(optimize):
    page = clean(optimize.run())
    picker(page, "evaluation").set_value("")
    page = clean(page.run())
    assert "accuracy is not" in page_text(page)


def test_a_recipe_sent_from_another_screen_is_loaded(optimize, workspace):
    asked = workspace.make_run(spec(model="b" * 64), "me", "r")
    workspace.known["r"] = asked
    optimize.query_params["run"] = "r"
    optimize.session_state["pending_recipe"] = (asked, Recipe("original"))
    page = clean(optimize.run())
    assert page.selectbox(key="model").value == "b" * 64
    assert not switch(page, "fold_batch_norm").value


def test_a_recipe_sent_with_its_run_stands_beside_what_was_measured_of_it(optimize, workspace):
    recipes = (Recipe("original"), Recipe("fold", (Step("fold_batch_norm"),)))
    recipes += (Recipe("clean", (Step("simplify"),)),)
    asked = workspace.make_run(spec(recipes=recipes), "me", "r")
    workspace.known["r"] = asked
    optimize.query_params["run"] = "r"
    optimize.session_state["pending_recipe"] = (asked, recipes[2])
    page = clean(optimize.run())
    assert switch(page, "simplify").value
    assert page.button_group(key=forms.backends.key).value == ["openvino"]
    assert "1.89× faster on " in page_text(page)


def another_tab(optimize: AppTest) -> AppTest:
    """The same visitor in a session of their own."""
    return AppTest.from_file(optimize._script_path, default_timeout=20)


@pytest.fixture
def known_visitor(monkeypatch) -> None:
    monkeypatch.setattr(session, "cookie", lambda: "x" * 43)


def test_the_forms_stand_as_they_were_left_in_a_new_tab(optimize, workspace, known_visitor):
    page = clean(optimize.run())
    page.selectbox(key="model").set_value("b" * 64)
    switch(page, "simplify").set_value(True)
    page.button_group(key=forms.backends.key).set_value(["openvino"])
    page = clean(page.run())
    picker(page, "evaluation").set_value("")
    pruning(page)
    page.slider(key=forms.parameter("prune_channels", "ratio").key).set_value(0.5)
    clean(page.run())
    other = clean(another_tab(optimize).run())
    assert other.selectbox(key="model").value == "b" * 64
    assert switch(other, "simplify").value
    assert other.slider(key=forms.parameter("prune_channels", "ratio").key).value == 0.5
    assert other.button_group(key=forms.backends.key).value == ["openvino"]
    assert picker(other, "evaluation").value == ""


def test_a_new_tab_shows_the_run_that_goes_on(optimize, workspace, known_visitor):
    workspace.state = State.RUNNING
    page = clean(optimize.run())
    page.button(key="measure").click()
    clean(page.run())
    other = clean(another_tab(optimize).run())
    assert other.button(key="measure").disabled
    assert other.button(key="cancel")


def test_a_link_goes_before_what_was_left(optimize, workspace, known_visitor):
    page = clean(optimize.run())
    switch(page, "simplify").set_value(True)
    clean(page.run())
    workspace.known["r"] = workspace.make_run(spec(), "somebody", "r")
    other = another_tab(optimize)
    other.query_params["run"] = "r"
    assert not switch(clean(other.run()), "simplify").value


@pytest.mark.parametrize("left", [
    {"recipe": {"name": "x", "steps": [{"pass_name": "no such pass", "params": {}}]}},
    {"recipe": {"name": "x", "steps": [{"pass_name": "prune_channels", "params": {"ratio": 9}}]}},
    {"recipe": 7, "measure.backends": {"a": 1}, "measure.images": "many", "measure.budget": 7},
    {"model": "gone", "data.model": "gone", "data.evaluation": "gone", "run": "gone"},
])  # fmt: skip
def test_a_draft_that_no_longer_fits_costs_itself_only(optimize, workspace, known_visitor, left):
    optimize.session_state["visitor"] = "x" * 43
    workspace.runs.draft = lambda owner: left
    page = clean(optimize.run())
    assert page.button(key="measure")
    assert not page.error


def test_back_from_the_address_of_a_run_leaves_the_run(optimize, workspace):
    page = clean(optimize.run())
    page.button(key="measure").click()
    page = clean(page.run())
    del page.query_params["run"]
    page = clean(page.run())
    assert "1.89× faster on " not in page_text(page)
    assert "run" not in page.query_params


def test_a_run_that_is_remembered_writes_no_address(optimize, workspace):
    workspace.known["r"] = workspace.make_run(spec(), "me", "r")
    optimize.session_state["run"] = "r"
    page = clean(optimize.run())
    assert "1.89× faster on " in page_text(page)
    assert "run" not in page.query_params


@pytest.mark.parametrize(("sent", "believed"), [("x" * 43, True), ("'; drop", False), ("", False)])
def test_only_a_token_is_believed_from_the_cookie(optimize, monkeypatch, sent, believed):
    monkeypatch.setattr(session, "cookie", lambda: sent)
    page = clean(optimize.run())
    assert (page.session_state["visitor"] == sent) == believed
    assert len(page.session_state["visitor"]) >= 32


@pytest.mark.parametrize("dims", [("N",), ("N", "H")])
def test_a_model_with_open_dimensions_has_one_field_each(optimize, workspace, dims):
    workspace.brought["9" * 64] = model("open", "9" * 64, dynamic_dims=dims)
    optimize.session_state["model"] = "9" * 64
    page = clean(optimize.run())
    assert [n.key for n in page.number_input if n.key.startswith("freeze.")] == [
        f"freeze.{name}" for name in dims
    ]


OPEN = (TensorSpec("x", "float32", ("N", 3, "H", "W")),)


def opened(optimize, workspace) -> AppTest:
    """The page at a model of any input size."""
    dims = {"inputs": OPEN, "dynamic_dims": ("N", "H", "W"), "preprocess": None, "macs": None}
    workspace.brought["9" * 64] = model("open", "9" * 64, **dims)
    optimize.session_state["model"] = "9" * 64
    return clean(optimize.run())


def field(page: AppTest, name: str):
    return page.number_input(key=f"measure.at.{'9' * 64}.{name}")


def test_the_size_of_an_open_model_is_asked_for_and_proposed(optimize, workspace):
    page = opened(optimize, workspace)
    assert [field(page, name).label for name in "HW"] == ["Height", "Width"]
    assert [field(page, name).value for name in "HW"] == [None, None]
    assert "224 × 224" in page_text(page)
    assert "unknown: open shape" in page_text(page)
    page.button(key="measure.at.use").click()
    page = clean(page.run())
    assert [field(page, name).value for name in "HW"] == [224, 224]
    field(page, "W").set_value(320)
    page.button(key="measure").click()
    clean(page.run())
    (asked,) = workspace.asked
    assert asked.dims == {"H": 224, "W": 320}


def test_a_run_is_reopened_at_its_size(optimize, workspace):
    opened(optimize, workspace)
    asked = spec(model="9" * 64, dims={"H": 96, "W": 128}, evaluation="")
    run = workspace.make_run(asked, "me", "r9")
    workspace.known["r9"] = replace(run, model=workspace.brought["9" * 64])
    optimize.query_params["run"] = "r9"
    page = clean(optimize.run())
    assert [field(page, name).value for name in "HW"] == [96, 128]


def test_a_model_of_one_size_is_not_asked_for(optimize):
    page = clean(optimize.run())
    assert not [n.key for n in page.number_input if n.key.startswith("measure.at.")]


def test_the_row_holds_the_plain_choices_and_no_more(optimize):
    page = clean(optimize.run())
    shown = list(precision(page, "Precision").options)
    assert shown == ["fp32", "fp16", "int8 safe", "int8 fastest", "int4 weights", "other …"]


def test_every_plain_choice_is_one_that_a_pass_offers():
    offered = {c.label for family in families(catalogue())
               for c in precision_control.choices(family)}  # fmt: skip
    assert set(precision_control.PLAIN) <= offered


def test_a_model_that_is_not_float32_is_left_as_it_is(optimize, workspace, monkeypatch):
    monkeypatch.setattr(workspace.models, "sample", lambda name: model(quantized=True))
    page = clean(optimize.run())
    shown = list(precision(page, "Precision").options)
    assert shown[:2] == [AS_IT_IS, "fp32"]


def test_other_alone_switches_nothing_on(optimize):
    page = clean(optimize.run())
    precision(page, "Precision").set_value(precision_control.OTHER)
    page = clean(page.run())
    members = families(catalogue())["Precision"]
    assert not any(page.session_state[forms.switch(name).key] for name in members)
    assert page.selectbox(key="recipe.family.Precision.other").value is None


@pytest.mark.parametrize("choice", [*precision_control.choices("Precision")], ids=lambda c: c.label)
def test_a_recipe_from_elsewhere_shows_its_choice(optimize, workspace, choice):
    step = Step(choice.pass_name, dict(choice.params))
    asked = replace(workspace.make_run(spec(), "me", "r"), id="s")
    optimize.session_state["pending_recipe"] = (asked, Recipe("sent", (step,)))
    page = clean(optimize.run())
    shown = precision(page, "Precision").value
    if shown == precision_control.OTHER:
        shown = page.selectbox(key="recipe.family.Precision.other").value
    assert shown == choice.label
    assert page.session_state[forms.switch(choice.pass_name).key]


def test_two_models_of_one_name_can_be_told_apart(optimize, workspace):
    twins = (model("net.onnx", "1" * 64), model("net.onnx", "2" * 64))
    workspace.brought |= {twin.digest: twin for twin in twins}
    page = clean(optimize.run())
    options = page.selectbox(key="model").options
    assert len(set(options)) == len(options)
    assert sum(option.startswith("net.onnx") for option in options) == 2


def test_a_pinned_layer_is_named_and_its_chart_stays(optimize, workspace):
    step = Step("quantize_int8", {"goal": "safe"})
    run = workspace.make_run(spec(recipes=(Recipe("original"), Recipe("int8", (step,)))), "me", "r")
    effects = tuple(LayerEffect((name,), "int8", 0.01) for name in ("conv1", "conv2"))
    first, last = run.outcomes
    report = (StepReport(step, changed=2, effects=effects),)
    last = replace(last, candidate=replace(last.candidate, report=report))
    workspace.known["r"] = replace(run, outcomes=(first, last))
    optimize.query_params["run"] = "r"
    page = clean(optimize.run())
    assert "Left alone from now on" not in page_text(page)
    page.session_state[forms.parameter("quantize_int8", "exclude").key] = ["conv2"]
    page = clean(page.run())
    assert "Left alone from now on: conv2" in page_text(page)
    assert r"Leave alone\: conv2" in page_text(page)
    assert any("Error of the outputs" in str(c.proto) for c in page.get("plotly_chart"))


def test_what_to_know_before_using_a_file_stands_at_its_download(optimize, workspace):
    step = Step("quantize_int8", {"goal": "safe"})
    run = workspace.make_run(spec(recipes=(Recipe("original"), Recipe("int8", (step,)))), "me", "r")
    first, last = run.outcomes
    report = (StepReport(step, changed=2, warnings=(Note.text("OpenVINO misreads this file."),)),)
    last = replace(last, candidate=replace(last.candidate, report=report))
    workspace.known["r"] = replace(run, outcomes=(first, last))
    optimize.query_params["run"] = "r"
    page = clean(optimize.run())
    assert any("OpenVINO misreads this file" in warning.value for warning in page.warning)


SHORT = "needs 5.1 GB, 3.2 GB are free (its sums). Use fewer calibration images."


def without_int8(fake, made: bool) -> None:
    """A run of which int8 found no room: with the fold alone, or with nothing at all."""
    recipe = Recipe("fold, int8", (Step("fold_batch_norm"), Step("quantize_int8")))
    run = fake.make_run(spec(recipes=(Recipe("original"), recipe)), "me", "short")
    base, whole = run.outcomes
    failed = StepReport(Step("quantize_int8"), 0, (), (), SHORT, failure="NotEnoughMemory")
    report = (StepReport(Step("fold_batch_norm"), 19), failed)
    called = replace(recipe, name="fold, int8 without Quantize to int8, repaired")
    candidate = replace(whole.candidate, recipe=called, report=report)
    outcome = replace(whole, recipe=called, candidate=candidate, failed=(failed,))
    if not made:
        reason = f"Quantize to int8, repaired was not applied: {SHORT}"
        outcome = replace(outcome, candidate=None, summary=None, reason=reason)
    fake.known["short"] = replace(run, outcomes=(base, outcome))


@pytest.mark.parametrize("made", [True, False])
def test_the_headline_says_first_what_was_not_applied_and_why(optimize, workspace, made: bool):
    without_int8(workspace, made)
    optimize.query_params["run"] = "short"
    page = clean(optimize.run())
    sentence = re.search(r'<p class="lathe-sentence">(.*?)</p>', page_text(page))
    assert sentence is not None
    said = "Quantize to int8, repaired was not applied: needs 5.1 GB, 3.2 GB are free"
    assert sentence[1].startswith(said)
    assert ("What the other steps made: " in sentence[1]) == made
    assert "**Quantize to int8, repaired was not applied**" in page_text(page)
    labels = [button.proto.label for button in page.get("download_button")]
    assert any("onnx" in label.lower() or "model" in label.lower() for label in labels) == made
