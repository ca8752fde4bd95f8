"""What a visitor did stays done: the recipe on a reload, the result on the way to Optimize."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.passes.base import catalogue
from core.records import ExperimentSpec, Recipe, Run, Step
from core.workspace import Workspace
from tests.browser import server
from tests.browser.test_optimize import SENTENCE, small_net

RECIPES = (
    Recipe("folded", (Step("fold_batch_norm"),)),
    Recipe("halved", (Step("convert_precision"),)),
)
VERDICT = re.compile("faster|slower|no difference|noisy|not enough", re.IGNORECASE)


@pytest.fixture(scope="module")
def sweep(home: Path) -> Run:
    """Two recipes of a small net, measured by somebody else."""
    workspace = Workspace.open(home)
    model = workspace.models.add("small.onnx", small_net(), "ann")
    spec = ExperimentSpec("A sweep", model.digest, RECIPES, ("onnxruntime",), latency_budget_s=0.5)
    run = workspace.runs.measure(spec, "ann")
    workspace.close()
    return run


def test_a_reload_keeps_the_recipe_to_the_last_switch(visitor):
    page = visitor.open()
    server.settled(page)
    before = page.locator(".lathe-tiles").get_attribute("data-recipe")
    page.get_by_text(catalogue()["simplify"].label, exact=True).click()
    page.wait_for_function(
        "before => document.querySelector('.lathe-tiles')?.dataset.recipe !== before", arg=before
    )
    page.wait_for_timeout(500)
    server.settled(page)
    moved = page.locator(".lathe-tiles").get_attribute("data-recipe")
    page.reload()
    server.settled(page)
    page.wait_for_function(
        "moved => document.querySelector('.lathe-tiles')?.dataset.recipe === moved", arg=moved
    )
    assert visitor.complaints == []


def test_a_recipe_loaded_into_optimize_keeps_what_was_measured_of_it(visitor, sweep):
    page = visitor.open(f"/explore?run={sweep.id}")
    page.get_by_role("button", name="Load into Optimize").click()
    page.wait_for_url("**/?run=*")
    expect(page.locator(SENTENCE)).to_contain_text(VERDICT, timeout=60_000)
    expect(page.locator(".lathe-tile.lathe-hollow")).to_have_count(0)
    page.reload()
    expect(page.locator(SENTENCE)).to_contain_text(VERDICT, timeout=60_000)
