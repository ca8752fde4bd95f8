"""A sweep of which some recipes failed says which, by its exit status too; fakes measure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.cli import explore, main
from core.passes.base import catalogue
from core.records import (
    ExperimentSpec,
    Json,
    Outcome,
    Recipe,
    Run,
    RunProgress,
    State,
    Step,
    StepReport,
)
from core.search.choose import select
from core.search.constraints import Limits
from tests.charts import builders as b
from tests.pages.fake_workspace import FakeWorkspace

FOLD, INT8 = Step("fold_batch_norm"), Step("quantize_int8")
WHY = "needs 5.1 GB of memory, 3.2 GB are free (its sums)."
FAILED = StepReport(INT8, reverted=WHY, failure="NotEnoughMemory")
SAID = f"Quantize to int8, repaired was not applied: {WHY}"


def made(*recipes: Recipe) -> Run:
    spec = ExperimentSpec("t", "a" * 64, (Recipe("original"), *recipes), ("onnxruntime",))
    return FakeWorkspace().make_run(spec, "me", "r")


def partly(outcome: Outcome) -> Outcome:
    called = replace(outcome.recipe, name="fold, int8 without Quantize to int8, repaired")
    return replace(outcome, recipe=called, failed=(FAILED,))


def nothing(outcome: Outcome) -> Outcome:
    return Outcome(outcome.recipe, None, None, SAID, (FAILED,))


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, tmp_path, capsys):
    np.savez(tmp_path / "data.npz", images=np.zeros((2, 4, 4, 3), np.uint8))

    def ask(run: Run) -> tuple[int, str, dict[str, Any]]:
        class Fake:
            def __init__(self) -> None:
                self.runs = self

            def close(self) -> None:
                """Nothing is open."""

            def measure(self, *_: object) -> Run:
                return run

        monkeypatch.setattr(explore.Workspace, "open", lambda **_: Fake())
        monkeypatch.setattr(explore, "_spec", lambda *_: run.spec)
        monkeypatch.setattr(explore, "resumable", lambda *_: None)
        status = main(["explore", "net.onnx", "--data", str(tmp_path / "data.npz"), "--json"])
        said = capsys.readouterr()
        return status, said.err, json.loads(said.out or "{}")

    return ask


def test_all_recipes_made_is_0(sweep) -> None:
    status, said, data = sweep(made(Recipe("fold", (FOLD,))))
    assert (status, said) == (0, "")
    assert [outcome["failed"] for outcome in data["outcomes"]] == [[], []]


def test_a_step_that_failed_is_3_and_the_rest_is_there(sweep) -> None:
    run = made(Recipe("fold, int8", (FOLD, INT8)))
    base, whole = run.outcomes
    status, said, data = sweep(replace(run, outcomes=(base, partly(whole))))
    assert status == 3
    assert said == f"lathe: fold, int8 without Quantize to int8, repaired: {SAID}\n"
    outcome = data["outcomes"][1]
    assert outcome["recipe"]["name"] == "fold, int8 without Quantize to int8, repaired"
    assert [step["failure"] for step in outcome["failed"]] == ["NotEnoughMemory"]


def test_a_recipe_that_made_nothing_is_3_where_another_did(sweep) -> None:
    run = made(Recipe("fold", (FOLD,)), Recipe("int8", (INT8,)))
    base, first, second = run.outcomes
    status, said, _ = sweep(replace(run, outcomes=(base, first, nothing(second))))
    assert status == 3
    assert said == f"lathe: int8 made no model: {SAID}\n"


def test_nothing_made_is_2(sweep) -> None:
    run = made(Recipe("int8", (INT8,)))
    status, said, data = sweep(replace(run, outcomes=(run.outcomes[0], nothing(run.outcomes[1]))))
    assert (status, data) == (2, {})
    assert said.startswith("lathe: No recipe made a model. int8 made no model: ")
    assert said.count("\n") == 1


def test_a_run_that_failed_is_2(sweep) -> None:
    run = made(Recipe("fold", (FOLD,)))
    failed = RunProgress(State.FAILED, message="StoreError: A file cannot be written.")
    status, said, _ = sweep(replace(run, progress=failed))
    assert (status, said) == (2, "lathe: StoreError: A file cannot be written.\n")


def destroyed(run: Run) -> Run:
    lost = {"agreement": (4.7, 3.0, 6.0), "top1_delta": (-89.1, -91.0, -87.0)}
    rows = tuple(
        replace(m, **dict(zip(("value", "low", "high"), lost[m.metric], strict=True)))
        if m.metric in lost
        else m
        for m in run.measurements
    )
    return replace(run, measurements=rows)


def answers(run: Run, limits: Limits, backends: tuple[str, ...] = b.BACKENDS[:2]) -> list[Json]:
    return [explore._selection(run, select(run, backend, limits)) for backend in backends]


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (b.without_labels(), "95.30 % changed: agreement decides, without annotations"),
        (b.run(), "89.10 points lost"),
    ],
)
def test_where_no_recipe_meets_the_limit_that_is_said(run: Run, said: str) -> None:
    found = select(destroyed(run), "onnxruntime", Limits(max_drop=0.5))
    text = explore.text_of(destroyed(run), [found]).splitlines()[-1]
    assert text.startswith("onnxruntime: no recipe meets the limits; closest: ")
    assert f"{said}; to try next: Prune channels 15 % instead of 30 %, " in text
    (answer,) = answers(destroyed(run), Limits(max_drop=0.5), ("onnxruntime",))
    assert (answer["best"], answer["reason"]) == (None, "no recipe meets the limits")
    assert answer["closest"]["lost_points"] > 80
    assert answer["next"][0]["change"] == "Prune channels 15 % instead of 30 %"
    assert answer["next"][0]["recipe"]["steps"][1]["params"]["ratio"] == 0.15


@pytest.mark.parametrize("max_drop", [0.5, None])
def test_without_labels_a_destroyed_net_is_not_chosen(max_drop: float | None) -> None:
    rows = tuple(
        replace(m, value=4.7, low=3.0, high=6.0)
        if (m.metric, m.candidate) == ("agreement", b.PRUNED)
        else replace(m, value=99.8, low=99.5, high=99.9)
        if m.metric == "agreement"
        else m
        for m in b.without_labels().measurements
    )
    first, second = answers(b.run(measurements=rows), Limits(max_drop))
    assert first["best"] is None  # int8 is slower there
    assert first["closest"]["digest"] == b.QUANTIZED
    assert "shown to be faster" in first["reason"]
    assert second["best"]["digest"] == b.QUANTIZED
    assert second["best"]["lost_points"] == pytest.approx(0.2)
    assert second["best"]["decided_by"] == "agreement"


def test_a_loss_that_is_not_known_is_not_0() -> None:
    rows = tuple(
        m
        for m in b.measurements()
        if m.candidate == b.BASE or m.metric not in ("top1_delta", "agreement")
    )
    for answer in answers(b.run(measurements=rows), Limits(max_drop=99.0)):
        assert answer["best"] is None
        assert answer["closest"]["lost_points"] is None


def test_with_labels_top1_decides() -> None:
    _, openvino = answers(b.run(), Limits(max_drop=5.0))
    assert openvino["best"]["digest"] == b.QUANTIZED
    assert (openvino["best"]["decided_by"], openvino["best"]["lost_points"]) == ("top1", 0.4)
    assert [answer["best"] for answer in answers(b.run(), Limits(max_drop=0.0))] == [None, None]


def test_a_sweep_goes_on_whatever_its_recipes_were_called() -> None:
    whole = catalogue()["prune_channels"]().step()
    was = made(Recipe("prune_channels", (Step("prune_channels"),))).spec
    now = made(Recipe("Prune channels 25 %", (whole,))).spec
    assert was != now
    assert explore._unnamed(was) == explore._unnamed(now)
    assert explore._unnamed(was) != explore._unnamed(made(Recipe("int8", (INT8,))).spec)
