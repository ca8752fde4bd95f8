"""Goal search: the order of what is tried, what is left out, and where it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.passes.base import catalogue
from core.records import Goal, Objective, Recipe
from core.search import goal
from core.search.choose import Lack, answer, best
from core.wording import sentences
from tests.search.made_up_search import FASTEST, Fate, begun, measured, names, searched

SMALLEST = replace(FASTEST, objective=Objective.SMALLEST)
CAREFUL = replace(FASTEST, objective=Objective.MOST_ACCURATE)


def steps(recipe: Recipe) -> dict[str, dict[str, object]]:
    return {step.pass_name: dict(step.params) for step in recipe.steps}


def net(recipe: Recipe) -> Fate:
    """Integers pay, a gentle cut costs little, a bold one too much; together they add up."""
    lost, ratio = 0.0, 1.0
    for name, params in steps(recipe).items():
        if name == "quantize_int8":
            lost += {"safe": 0.1, "fastest": 0.4}[str(params["goal"])]
            ratio *= {"safe": 0.6, "fastest": 0.5}[str(params["goal"])]
        if name == "prune_channels":
            lost += {0.85: 0.3, 0.7: 1.4, 0.5: 8.0}[float(str(params["target"]))]
            ratio *= float(str(params["target"]))
        if name == "replace_convolutions":
            lost += {1.25: 1.2, 1.5: 4.0, 2.0: 9.0}[float(str(params["speedup"]))]
            ratio /= float(str(params["speedup"]))
    return Fate(lost, ratio)


def test_integers_come_first_then_cuts_until_they_cost_too_much_each_with_integers():
    run = searched(begun(), net)
    kinds = [tuple(steps(recipe)) for recipe in run.spec.recipes[1:]]
    fold, replaced, pruned, int8 = (
        "fold_batch_norm", "replace_convolutions", "prune_channels", "quantize_int8",
    )  # fmt: skip
    assert kinds == [
        (fold, int8), (fold, int8),
        (fold, replaced),
        (fold, pruned), (fold, pruned, int8), (fold, pruned),
        ("simplify", fold),
    ]  # fmt: skip
    asked = [steps(recipe) for recipe in run.spec.recipes[1:]]
    assert [one[int8]["goal"] for one in asked[:2]] == ["safe", "fastest"]
    assert [one[pruned]["target"] for one in asked[3:6]] == [0.85, 0.85, 0.7]
    assert asked[2][replaced]["speedup"] == 1.25


def test_the_best_is_the_combination_and_its_cut_is_timed_in_integers():
    run = searched(begun(), net)
    found = answer(run)
    together = steps(found.best.outcome.recipe)
    assert together["quantize_int8"]["goal"] == "fastest"
    assert together["prune_channels"]["arithmetic"] == "int8"
    assert "arithmetic" not in steps(run.spec.recipes[4])["prune_channels"]
    assert best(run) is found.best.outcome


def test_every_step_aims_at_the_backend_of_the_goal():
    run = searched(begun(replace(FASTEST, backend="openvino")), net)
    aimed = {p.get("backend") for r in run.spec.recipes[1:] for p in steps(r).values()}
    assert aimed == {"openvino", None}


def test_a_pass_that_makes_no_model_is_not_tried_any_bolder():
    def refusing(recipe: Recipe) -> Fate:
        refused = "quantize_int8" in steps(recipe)
        return Fate(reason="already quantized") if refused else net(recipe)

    run = searched(begun(), refusing)
    assert sum("quantize_int8" in steps(recipe) for recipe in run.spec.recipes) == 1
    assert answer(run).best.outcome.recipe.steps[-1].pass_name == "prune_channels"


def test_structures_that_hold_are_tried_together():
    def cheap(recipe: Recipe) -> Fate:
        return replace(net(recipe), lost=0.1)

    run = searched(begun(), cheap)
    both = [s for s in map(steps, run.spec.recipes) if {"prune_channels"} < set(s) and
            "replace_convolutions" in s]  # fmt: skip
    assert both
    assert both[0]["prune_channels"]["target"] == 0.5
    assert both[0]["replace_convolutions"]["speedup"] == 2.0


def test_nothing_gains_and_it_ends_and_says_what_lacks():
    run = searched(begun(), lambda recipe: Fate(0.0, 1.0))
    assert answer(run).lack is Lack.FASTER
    lossy = searched(begun(), lambda recipe: Fate(5.0, 0.5))
    assert answer(lossy).lack is Lack.WITHIN
    assert len(names(lossy)) == 4  # one of each pass: a bolder one loses more


def test_what_is_next_follows_from_the_run_alone():
    run = begun()
    first = goal.following(run)
    assert goal.following(run) == first
    assert goal.following(measured(run, first.recipe, net(first.recipe))) != first


def test_a_search_without_calibration_images_says_what_it_leaves_out():
    run = searched(begun(calibrated=False), net)
    assert not any("prune_channels" in steps(recipe) for recipe in run.spec.recipes)
    said = sentences(goal.left_out(run.model, FASTEST, calibrated=False))
    assert "Prune channels is not tried: it needs calibration images." in said
    assert not goal.left_out(run.model, FASTEST, calibrated=True)


def test_a_pass_that_lacks_its_extra_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch):
    kind = catalogue()["prune_channels"]
    monkeypatch.setattr(kind, "lacks", classmethod(lambda cls: "pip install it"))
    run = searched(begun(), net)
    assert not any("prune_channels" in steps(recipe) for recipe in run.spec.recipes)
    assert any(
        "pip install it" in line for line in sentences(goal.left_out(run.model, FASTEST, True))
    )


def test_a_backend_for_which_a_pass_is_not_made_is_said():
    opencv = replace(FASTEST, backend="opencv")
    offered = dict(catalogue()["quantize_int8"].__dataclass_fields__)["backend"]
    made_for = offered.metadata["parameter"].choices
    said = sentences(goal.left_out(begun().model, replace(opencv, backend="elsewhere"), True))
    assert "onnxruntime" in made_for
    assert "Quantize to int8, repaired is not tried: it is not made for elsewhere." in said


def test_a_net_that_is_quantized_already_is_said():
    said = sentences(goal.left_out(begun(quantized=True).model, FASTEST, True))
    assert said == ("The model is quantized already: what needs float weights leaves it alone.",)


def test_the_smallest_is_found_by_bytes_and_needs_no_speed():
    def small(recipe: Recipe) -> Fate:
        sizes = {"quantize_int8": 0.3, "quantize_weights": 0.2, "convert_precision": 0.5}
        size = min((sizes.get(name, 1.0) for name in steps(recipe)), default=1.0)
        return Fate(0.1, 1.2, size)

    run = searched(begun(SMALLEST), small)
    assert answer(run).best.outcome.summary.size_bytes == 200_000
    nothing = searched(begun(SMALLEST, size_bytes=100_000), small)
    assert answer(nothing).lack is Lack.SMALLER


def test_the_most_accurate_tries_the_gentlest_of_each_and_nothing_together():
    run = searched(begun(CAREFUL), net)
    assert [tuple(steps(r))[-1] for r in run.spec.recipes[1:]] == [
        "fold_batch_norm", "quantize_int8", "replace_convolutions", "prune_channels",
    ]  # fmt: skip
    assert answer(run).best.outcome.recipe.steps[-1].pass_name == "quantize_int8"


def test_last_the_best_is_timed_on_all_cores_once():
    run = begun(cores=8)
    done = searched(run, net)
    rows = [row for row in done.measurements if row.condition.get("threads") == "0"]
    assert {row.candidate for row in rows} == {answer(done).best.candidate.digest}
    assert len(rows) == 2
    assert goal.following(done) is None


def test_a_run_without_a_goal_has_nothing_to_follow_and_no_answer():
    run = replace(begun(), spec=replace(begun().spec, goal=None))
    assert goal.following(run) is None
    assert answer(run) is None


@pytest.mark.parametrize(("minutes", "seconds"), [(0.5, 2.0), (2, 4.0), (5, 10.0), (60, 12.0)])
def test_a_comparison_takes_its_share_of_the_minutes(minutes: float, seconds: float):
    asked = goal.question(replace(FASTEST, minutes=minutes), begun().model, "", "d")
    assert asked.latency_budget_s == seconds
    assert asked.backends == (FASTEST.backend,)


def test_a_goal_in_words():
    assert goal.words(FASTEST) == "fastest within 1 point on ONNX Runtime"
    assert goal.words(Goal(Objective.SMALLEST, 0.5, "openvino", 1)).startswith(
        "smallest within 0.5 points"
    )
