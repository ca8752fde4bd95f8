"""Attempts: a wrong answer is found by its name, and an output that never changes is an alarm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.formats.base.artifacts import Artifacts
from core.measure import Source
from core.measure.attempt import FEEDS, Attempts, constant_outputs, judged
from core.records import Fate, ModelSummary
from tests.measure.subjects import admitted, net

RANDOM = np.random.default_rng(0)
WANTED = {"a": tuple(RANDOM.normal(size=(3, 2, 5))), "b": tuple(RANDOM.normal(size=(3, 4)))}


def test_equal_answers_run():
    assert judged(WANTED, WANTED, 0.01).fate is Fate.RUNS


def test_a_wrong_output_is_named_and_no_other_one():
    off = {**WANTED, "b": tuple(value * 1.5 for value in WANTED["b"])}
    found = judged(WANTED, off, 0.01)
    assert found.fate is Fate.WRONG
    assert [d.output for d in found.deviations] == ["b"]
    assert found.deviations[0].relative == pytest.approx(0.5)
    assert found.reason == "Output 'b' differs by 50.0% (relative RMS)."


def test_below_the_floor_nothing_is_wrong():
    tiny = {"a": tuple(value * 1e-8 for value in WANTED["a"])}
    assert judged(tiny, {"a": tuple(-value for value in tiny["a"])}, 0.01).fate is Fate.RUNS


def test_an_output_that_never_changes_is_an_alarm():
    stuck = {**WANTED, "a": (WANTED["a"][0],) * 3}
    found = judged(WANTED, stuck, 10.0)  # whatever is allowed
    assert found.deviations[0].constant
    assert found.reason == "Output 'a' is the same for every input."
    assert constant_outputs(stuck) == ("a",)
    assert judged(stuck, stuck, 0.01).fate is Fate.RUNS  # the reference's is so as well


def test_another_shape_and_what_is_not_finite():
    spoiled = {**WANTED, "a": (WANTED["a"][0] * np.nan, *WANTED["a"][1:])}
    cut = {**WANTED, "b": tuple(value[:-1] for value in WANTED["b"])}
    for given, name in ((spoiled, "a"), (cut, "b"), ({"b": WANTED["b"]}, "a")):
        found = judged(WANTED, given, 0.01)
        assert [d.output for d in found.deviations] == [name]
        assert "another shape, or is not finite" in found.reason


@pytest.mark.parametrize(("wanted", "given"), [(np.inf, -np.inf), (np.nan, np.inf)])
def test_what_is_not_finite_is_so_in_the_same_way(wanted: float, given: float):
    def spoiled(value: float) -> dict[str, tuple[np.ndarray, ...]]:
        return {"b": tuple(np.append(row, value) for row in WANTED["b"])}

    assert judged(spoiled(wanted), spoiled(wanted), 0.01).fate is Fate.RUNS
    found = judged(spoiled(wanted), spoiled(given), 0.01)
    assert [d.output for d in found.deviations] == ["b"]
    assert "not finite" in found.reason


def test_empty_outputs_are_no_answers():
    empty = {"a": (np.zeros((0, 4)),) * 2, "b": (np.zeros(0),) * 2}
    found = judged(empty, empty, 0.01)
    assert found.fate is Fate.UNCHECKED
    assert "the outputs are empty on these inputs" in found.reason
    some = {**empty, "a": (np.zeros((0, 4)), np.ones((1, 4)))}
    assert judged(some, some, 0.01).fate is Fate.RUNS
    assert judged(empty, some, 0.01).fate is Fate.WRONG


def test_answers_are_kept_of_the_original_and_of_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    def answers(self: Attempts, model: ModelSummary, setting: object) -> dict[str, tuple]:
        asked.append(model.digest)
        return {}

    monkeypatch.setattr(Attempts, "_answers", answers)
    model = admitted(net(), tmp_path)
    with Attempts(Source(), Artifacts(tmp_path / "artifacts")) as attempts:
        for digest in ("original", "a", "a", "b", "original", "b", "a"):
            attempts.reference(replace(model, digest=digest))
        assert len(attempts._known) == 2
    assert asked == ["original", "a", "b", "a"]


def test_a_model_on_two_runtimes(tmp_path: Path):
    model = admitted(net(), tmp_path)
    with Attempts(Source(), Artifacts(tmp_path / "artifacts")) as attempts:
        assert attempts.of(model, "onnxruntime").fate is Fate.RUNS
        assert attempts.of(model, "openvino").fate is Fate.RUNS
        assert attempts.of(model, "opencv").fate is Fate.RUNS
        known = attempts.reference(model)
    assert not isinstance(known, str)
    assert {len(values) for values in known.values()} == {FEEDS}


def test_a_target_that_there_is_not(tmp_path: Path):
    with Attempts(Source(), Artifacts(tmp_path / "artifacts")) as attempts:
        found = attempts.of(admitted(net(), tmp_path), "nonsense")
    assert found.fate is Fate.ABSENT
    assert not found.runs
