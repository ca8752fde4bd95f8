"""Recipes under names of their own: each owner's, listed, renamed, deleted; old homes take them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import StoreError
from core.records import Recipe, Step
from core.runs.names import LONGEST, given
from core.runs.store import recipes as named_recipes
from core.workspace import Workspace
from core.workspace.recipes import Recipes

CUT = Recipe("by the form", (Step("prune_channels", {"ratio": 0.3}),))
FOLD = Recipe("by the form", (Step("fold_batch_norm"),))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Recipes]:
    opened = Workspace.open(tmp_path / "home")
    yield opened.recipes
    opened.close()


def listed(room: Recipes, owner: str = "ann") -> list[str]:
    return [recipe.name for recipe in room.of(owner)]


def test_a_recipe_is_kept_for_its_owner_alone(room: Recipes):
    assert room.keep(CUT, "  edge \n board ", "ann") == Recipe("edge board", CUT.steps)
    room.keep(FOLD, "server", "ann")
    assert room.of("ann") == (Recipe("server", FOLD.steps), Recipe("edge board", CUT.steps))
    assert room.of("bob") == ()


def test_a_name_that_is_taken_is_replaced_only_when_asked(room: Recipes):
    room.keep(CUT, "edge", "ann")
    with pytest.raises(StoreError, match="There is a recipe edge already"):
        room.keep(FOLD, "edge", "ann")
    assert room.of("ann")[0].steps == CUT.steps
    room.keep(FOLD, "edge", "ann", replace=True)
    assert room.of("ann") == (Recipe("edge", FOLD.steps),)
    room.keep(CUT, "edge", "bob")  # another owner's is no hindrance


def test_a_recipe_is_renamed_and_deleted(room: Recipes):
    room.keep(CUT, "edge", "ann")
    room.keep(FOLD, "server", "ann")
    assert room.rename("edge", " phone ", "ann") == "phone"
    assert room.rename("phone", "phone", "ann") == "phone"
    with pytest.raises(StoreError, match="There is a recipe server already"):
        room.rename("phone", "server", "ann")
    with pytest.raises(StoreError, match="deleted already"):
        room.rename("edge", "new", "ann")
    assert sorted(listed(room)) == ["phone", "server"]
    room.delete("phone", "ann")
    room.delete("phone", "ann")
    assert listed(room) == ["server"]


def test_there_are_so_many_and_no_more(room: Recipes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(named_recipes, "MOST_RECIPES", 2)
    for name in ("a", "b"):
        room.keep(CUT, name, "ann")
    with pytest.raises(StoreError, match="2 recipes are kept, which is the most"):
        room.keep(CUT, "c", "ann")
    room.keep(FOLD, "b", "ann", replace=True)
    assert sorted(listed(room)) == ["a", "b"]


@pytest.mark.parametrize("name", ["", "  \n", "\x00\x1f", "x" * (LONGEST + 1)])
def test_a_name_is_one_line_that_says_something(room: Recipes, name: str):
    with pytest.raises(StoreError, match="This name"):
        room.keep(CUT, name, "ann")
    assert not room.of("ann")
    assert given("a\tb\u2028c") == "a b c"
