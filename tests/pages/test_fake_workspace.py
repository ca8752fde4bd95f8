"""The workspace of the page tests is held to the real one: they cannot drift apart."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from core.workspace import data, insights, models, recipes, results, runs
from tests.pages import fake_workspace as fake

PAGES = Path(__file__).parents[2] / "pages"
ROOMS = {
    "models": (models.Models, fake.FakeModels),
    "data": (data.Data, fake.FakeData),
    "recipes": (recipes.Recipes, fake.FakeRecipes),
    "runs": (runs.Runs, fake.FakeRuns),
    "results": (results.Results, fake.FakeResults),
    "insights": (insights.Insights, fake.FakeInsights),
}
CALL = re.compile(rf"workspace(?:\(\))?\.({'|'.join(ROOMS)})\.([a-z_]+)")


def public(room: type) -> dict[str, inspect.Signature]:
    """Its methods: parameters, defaults, annotations, as they are written."""
    found = inspect.getmembers(room, callable)
    return {name: inspect.signature(one) for name, one in found if not name.startswith("_")}


def named() -> set[tuple[str, str]]:
    """Every method of a room that some page calls."""
    return {call for file in PAGES.rglob("*.py") for call in CALL.findall(file.read_text("utf-8"))}


@pytest.mark.parametrize("room", ROOMS)
def test_what_the_fake_answers_the_real_one_answers_alike(room: str):
    real, made_up = (public(kind) for kind in ROOMS[room])
    assert {name: str(real.get(name)) for name in made_up} == {
        name: str(signature) for name, signature in made_up.items()
    }


def test_what_pages_call_is_there_in_both():
    asked = named()
    assert {room for room, _ in asked} == set(ROOMS)
    missing = [
        (room, name, kind.__name__)
        for room, name in sorted(asked)
        for kind in ROOMS[room]
        if name not in public(kind)
    ]
    assert not missing


def test_pages_ask_rooms_only():
    """`workspace.anything_else` would be a call that no fake is held to."""
    others = {
        (file.name, name)
        for file in PAGES.rglob("*.py")
        for name in re.findall(r"\bworkspace\.([a-z_]+)\b(?=[(.,)])", file.read_text("utf-8"))
        if name not in (*ROOMS, "close")
    }
    assert not others
