"""What is offered next: what may lose less where it loses, what may be faster where it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.passes.base import Pass, catalogue
from core.recipes import key
from core.records import (
    Candidate,
    Cut,
    Goal,
    LayerEffect,
    Note,
    Objective,
    Outcome,
    Recipe,
    Run,
    Sensitivity,
    Step,
    StepReport,
)
from core.runs.next_steps import next_steps
from core.wording import sentence, suggested
from tests.charts import builders as b

FOLD = Step("fold_batch_norm")
CUT = Step("prune_channels", {"ratio": 0.4})
FASTEST = Step("quantize_int8", {"goal": "fastest", "backend": "onnxruntime"})
SAFE = Step("quantize_int8", {"goal": "safe", "backend": "onnxruntime"})
STEEP = tuple(
    LayerEffect((name,), f"{share:.0%}", 0.05 * share**2, None, share)
    for name in "ab"
    for share in (0.25, 0.5, 0.75)
)
KNOWN = Sensitivity(STEEP, ((0.001, 99.9), (0.01, 98.0), (0.1, 80.0), (1.0, 30.0)))
CUTS = (Cut(("a",), 24, 64), Cut(("b",), 12, 32))


@pytest.fixture(autouse=True)
def all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in catalogue().values():
        monkeypatch.setattr(kind, "lacks", classmethod(lambda cls: ""))


def measured(
    *steps: Step,
    lost: float = 0.0,
    ratio: float = 0.5,
    verdict: str = "faster",
    backend: str = "onnxruntime",
    reports: dict[str, StepReport] | None = None,
    goal: Goal | None = None,
    calibration: str = "e" * 64,
) -> Run:
    """A run of one recipe on one backend."""
    recipe = Recipe("r", steps)
    report = tuple((reports or {}).get(s.pass_name, StepReport(s)) for s in steps)
    made = Candidate(b.PRUNED, b.summary().path, recipe, report)
    whole = b.run()
    rows = [
        *b.accuracy(b.BASE, backend, 90.0, None),
        *b.latency(b.BASE, backend, 2.0, 1.0, "same")[:1],
        *b.accuracy(b.PRUNED, backend, 90.0 - lost, -lost),
        *(b.latency(b.PRUNED, backend, 2.0 * ratio, ratio, verdict) if verdict else ()),
    ]
    spec = replace(
        whole.spec, recipes=(Recipe("original"), recipe), backends=(backend,), goal=goal,
        calibration=calibration,
    )  # fmt: skip
    outcomes = (whole.outcomes[0], Outcome(recipe, made, b.summary(b.PRUNED, 0.7)))
    return replace(whole, spec=spec, outcomes=outcomes, measurements=tuple(rows))


def offered(run: Run, known: Sensitivity | None = None) -> list[str]:
    found = next_steps(run, run.outcomes[1], run.spec.backends[0], known)
    assert found is not None
    return [suggested(step).change for step in found.steps]


def standing(run: Run) -> str:
    found = next_steps(run, run.outcomes[1], run.spec.backends[0])
    assert found is not None
    return sentence(found.standing)


def test_what_another_run_has_measured_is_not_offered_again():
    run = measured(FOLD, CUT, lost=5.0, reports={"prune_channels": StepReport(CUT, cuts=CUTS)})
    found = next_steps(run, run.outcomes[1], "onnxruntime", KNOWN)
    assert found is not None
    first = key(found.steps[0].recipe.steps)
    later = next_steps(run, run.outcomes[1], "onnxruntime", KNOWN, {first})
    assert later is not None
    assert later.steps
    assert first not in {key(step.recipe.steps) for step in later.steps}


def test_a_cut_that_loses_is_made_smaller_with_its_forecast():
    run = measured(FOLD, CUT, lost=5.0, reports={"prune_channels": StepReport(CUT, cuts=CUTS)})
    assert standing(run) == "It loses accuracy on ONNX Runtime. What may lose less:"
    found = next_steps(run, run.outcomes[1], "onnxruntime", KNOWN)
    assert found is not None
    first = found.steps[0]
    assert first.recipe.steps[1].params["ratio"] < 0.4
    assert first.forecast is not None
    assert first.forecast.agreement >= (100 + 97.2) / 2  # half of what changed comes back
    words = suggested(first)
    assert words.change.startswith("Prune channels ")
    assert words.change.endswith(" instead of 40 %")
    assert f"Forecast: about {first.forecast.agreement:.1f} % of the answers stay" in words.why
    assert offered(run, KNOWN)[1:] == [
        "int8 safe instead of Prune channels 40 %",
        "Add Fine-tune 5 min",
    ]


def test_without_sensitivities_half_the_cut_is_offered_without_a_forecast():
    run = measured(FOLD, CUT, lost=5.0, reports={"prune_channels": StepReport(CUT, cuts=CUTS)})
    found = next_steps(run, run.outcomes[1], "onnxruntime")
    assert found is not None
    assert found.steps[0].recipe.steps[1].params["ratio"] == 0.2
    assert found.steps[0].forecast is None
    assert "orecast" not in suggested(found.steps[0]).why


def test_a_cut_that_no_smaller_one_can_save_is_not_offered_smaller():
    hopeless = replace(KNOWN, effects=tuple(replace(e, error=9.0) for e in STEEP))
    run = measured(CUT, lost=30.0, reports={"prune_channels": StepReport(CUT, cuts=CUTS)})
    assert not any("Prune channels" in w.split(" instead")[0] for w in offered(run, hopeless))


def test_a_cut_with_int8_behind_it_has_no_forecast():
    reports = {"prune_channels": StepReport(CUT, cuts=CUTS)}
    run = measured(FOLD, CUT, SAFE, lost=5.0, reports=reports)
    found = next_steps(run, run.outcomes[1], "onnxruntime", KNOWN)
    assert found is not None
    assert all(step.forecast is None for step in found.steps)


def test_int8_that_loses_becomes_safe_or_leaves_its_worst_layer_alone():
    effects = tuple(LayerEffect((n,), "int8", e) for n, e in (("a", 0.1), ("conv1", 0.3)))
    run = measured(
        FASTEST, lost=2.0, reports={"quantize_int8": StepReport(FASTEST, 2, effects=effects)}
    )
    assert offered(run)[:2] == ["int8 safe instead of fastest", "Leave conv1 alone"]
    found = next_steps(run, run.outcomes[1], "onnxruntime")
    assert found is not None
    assert found.steps[1].recipe.steps[0].params["exclude"] == ("conv1",)
    assert "75 % is this one's" in suggested(found.steps[1]).why


def test_other_arithmetic_that_loses_gives_way_to_the_one_that_repairs():
    assert offered(measured(Step("quantize_static"), lost=9.0))[0] == ("int8 safe instead of stock")
    assert "Leave out fp16" in offered(measured(FOLD, Step("convert_precision"), lost=9.0))


def test_training_is_offered_once_and_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch):
    lossy = measured(SAFE, lost=9.0)
    assert offered(lossy)[-1] == "Add Fine-tune 5 min"
    found = next_steps(lossy, lossy.outcomes[1], "onnxruntime")
    assert found is not None
    tuned = found.steps[-1].recipe
    assert [s.pass_name for s in tuned.steps] == ["fine_tune", "quantize_int8"]
    assert tuned.steps[0].params["weights"] == "int8"
    assert "Add Fine-tune 5 min" not in offered(measured(*tuned.steps, lost=9.0))
    assert "Add Fine-tune 5 min" not in offered(measured(SAFE, lost=9.0, calibration=""))
    monkeypatch.setattr(catalogue()["fine_tune"], "lacks", classmethod(lambda cls: "pip install x"))
    found = next_steps(lossy, lossy.outcomes[1], "onnxruntime")
    assert found is not None
    assert found.steps[-1].lacks == "pip install x"
    assert "pip install x" in suggested(found.steps[-1]).why


def test_what_gained_nothing_is_offered_what_pays():
    run = measured(FOLD, ratio=1.0, verdict="same")
    assert standing(run) == "No gain is shown on ONNX Runtime. What may bring one:"
    assert offered(run)[0] == "Add int8 safe"
    assert len(offered(run)) == 3


def test_int8_that_is_slower_is_written_for_this_backend_or_left_out():
    run = measured(FOLD, SAFE, ratio=1.3, verdict="slower", backend="openvino")
    assert standing(run).startswith("It is slower than the original on OpenVINO.")
    assert offered(run)[:2] == [
        "int8 safe for OpenVINO instead of ONNX Runtime",
        "Leave out int8 safe",
    ]


def test_what_is_good_may_gain_more_by_what_it_lacks():
    run = measured(FOLD, SAFE)
    assert standing(run).startswith("Faster on ONNX Runtime, within what it may lose.")
    found = next_steps(run, run.outcomes[1], "onnxruntime")
    assert found is not None
    names = [s.pass_name for step in found.steps for s in step.recipe.steps]
    assert "prune_channels" in names
    cut = next(
        s for step in found.steps for s in step.recipe.steps if s.pass_name == "prune_channels"
    )
    assert cut.params["arithmetic"] == "int8"


def test_a_goal_sets_the_limit_and_what_was_tried_is_not_offered_again():
    goal = Goal(Objective.FASTEST, 3.0, "onnxruntime", 5.0)
    assert standing(measured(SAFE, lost=2.0, goal=goal)).startswith("Faster")
    run = measured(FASTEST, lost=5.0, goal=goal)
    assert standing(run).startswith("It is not shown to lose at most 3 points")
    first = offered(run)[0]
    tried = replace(run.spec, recipes=(*run.spec.recipes, Recipe("safe", (SAFE,))))
    assert offered(replace(run, spec=tried))[0] != first


def test_the_original_and_what_has_no_time_or_no_model():
    run = measured(FOLD)
    same = replace(run.outcomes[1], candidate=replace(run.outcomes[1].candidate, digest=b.BASE))
    found = next_steps(run, same, "onnxruntime")
    assert found is not None
    assert found.standing == Note.of("next.unchanged", smaller=False)
    untimed = measured(FOLD, SAFE, verdict="", backend="opencv")
    assert standing(untimed).startswith("It has no time on OpenCV DNN.")
    assert "Leave out int8 safe" in offered(untimed)
    assert next_steps(run, Outcome(Recipe("x"), None, None, "no"), "onnxruntime") is None


def test_a_step_of_another_version_leads_nowhere():
    run = measured(Step("quantize_static", {"method": "gone"}), lost=9.0)
    assert next_steps(run, run.outcomes[1], "onnxruntime") is None


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_what_a_pass_calls_gentler_is_the_same_pass_and_ever_less(name: str):
    kind: type[Pass] = catalogue()[name]
    shares = [one.share for one in kind().gentler()]
    assert all(type(one.asked) is kind and one.asked != kind() for one in kind().gentler())
    assert shares == sorted(shares, reverse=True)
