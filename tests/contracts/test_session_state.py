"""Session state has one typed door per screen: its keys are named in the state modules alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from pages.compare.state import state as compare
from pages.explore.state import state as explore
from pages.model.state import state as model
from pages.optimize.state import state as optimize
from pages.runs.state import state as runs
from pages.shared.field import Field
from pages.shared.state import book, forms, panels, uploads, visit

PAGES = Path(__file__).parents[2] / "pages"
DOOR = PAGES / "shared" / "field.py"
MODULES = sorted(PAGES.rglob("*.py"))
STATES = (visit, forms, uploads, panels, book, optimize, explore, model, compare, runs)
HOLDING = {  # widgets whose value the session holds; a button is true for one run of the script
    "checkbox",
    "file_uploader",
    "multiselect",
    "number_input",
    "pills",
    "popover",
    "radio",
    "segmented_control",
    "select_slider",
    "selectbox",
    "slider",
    "text_area",
    "text_input",
    "toggle",
}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node


def spelled_keys(source: str) -> list[str]:
    """The keys of value-holding widgets that are spelled where the widget is made."""
    found = []
    for name, call in calls(ast.parse(source)):
        given = {word.arg: word.value for word in call.keywords}
        if name in HOLDING or "on_select" in given:
            key = given.get("key")
            if isinstance(key, ast.Constant | ast.JoinedStr):
                found.append(f"{name}, line {call.lineno}")
    return found


def touches(source: str) -> list[str]:
    """Where Streamlit's session, or the query parameters of the page, are touched."""
    return [
        f"{node.attr}, line {node.lineno}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("st", "session_state"), ("st", "query_params")}
    ]


def test_the_questions_can_be_answered_with_yes():
    assert spelled_keys('st.toggle("on", key=f"switch.{name}")')
    assert spelled_keys('st.plotly_chart(figure, key="chart", on_select=take)')
    assert not spelled_keys('st.toggle("on", key=forms.switch(name).key)')
    assert touches("import streamlit as st\nst.session_state['run'] = 1")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PAGES)))
def test_the_session_is_touched_behind_its_door_only(module: Path):
    source = module.read_text()
    assert module == DOOR or not touches(source)
    assert "import session_state" not in source


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PAGES)))
def test_widgets_take_their_keys_from_fields(module: Path):
    assert not spelled_keys(module.read_text())


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PAGES)))
def test_fields_are_made_in_state_modules_only(module: Path):
    made = [name for name, _ in calls(ast.parse(module.read_text())) if name in ("Field", "Linked")]
    assert module.name == "state.py" or not made


def test_no_two_fields_share_a_key():
    keys = [
        field.key
        for state in STATES
        for one in fields(state)
        if isinstance(field := getattr(state, one.name), Field)
    ]
    assert sorted(set(keys)) == sorted(keys)


def test_the_keys_that_links_drafts_and_tests_know_stay():
    assert (visit.run.key, visit.run.parameter, explore.run.parameter) == ("run", "run", "run")
    assert [forms.model.key, forms.data("calibration").key] == ["model", "data.calibration"]
    assert forms.switch("prune_channels").key == "recipe.prune_channels"
    assert forms.parameter("prune_channels", "ratio").key == "recipe.prune_channels.ratio"
    assert forms.size("abc", "height").key == "measure.at.abc.height"
