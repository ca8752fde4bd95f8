"""Profiles on demand: measured once, kept on disk, never holding the caller longer than asked."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import InferenceFailed
from core.records import LayerProfile, Profile, StepReport
from core.runs import profiles
from core.runs.profiles import Profiles, passes_of, profile_key
from tests.charts import builders as b

LAYER = LayerProfile("n", "conv", "Conv", "conv 3x3", 0.1, 1.0, "f32")
BEFORE = Profile("a" * 64, "onnxruntime", 1, (LAYER,), 0.2)
AFTER = replace(BEFORE, candidate="b" * 64)
KEY = profile_key("a" * 64, "b" * 64, "onnxruntime", 1)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    jobs: list[object] = []

    def profile(job: object) -> tuple[Profile, Profile]:
        jobs.append(job)
        return BEFORE, AFTER

    monkeypatch.setattr(profiles, "profile", profile)
    return jobs


def job() -> str:
    return "the job"


def test_it_is_measured_once_and_kept_on_disk(tmp_path: Path, measured: list[object]):
    first = Profiles(tmp_path).get(KEY, job)
    again = Profiles(tmp_path).get(KEY, job)
    assert measured == ["the job"]
    assert first == again
    assert first.pairs[0].before == LAYER
    assert first.causes
    assert Profiles(tmp_path).known(KEY)


def test_passes_belong_to_the_question_and_not_to_the_file(tmp_path: Path, measured: list[object]):
    asked = Profiles(tmp_path)
    for passes in (("simplify",), ("quantize_static",)):
        assert asked.get(KEY, job, passes=passes).after.passes == passes
    assert len(measured) == 1


def test_what_is_damaged_is_measured_again(tmp_path: Path, measured: list[object]):
    (tmp_path / f"{KEY}.json").write_text("{")
    assert Profiles(tmp_path).get(KEY, job)
    assert len(measured) == 1


def test_the_caller_waits_no_longer_than_it_said(tmp_path: Path, monkeypatch):
    free = threading.Event()

    def slow(job: object) -> tuple[Profile, Profile]:
        free.wait(30)
        return BEFORE, AFTER

    monkeypatch.setattr(profiles, "profile", slow)
    asked = Profiles(tmp_path)
    assert asked.get(KEY, job, 0.01) is None
    assert asked.get(KEY, job, 0.0) is None
    free.set()
    assert asked.get(KEY, job, 30) is not None


def test_a_failure_is_told_and_tried_again(tmp_path: Path, monkeypatch, measured: list[object]):
    works = profiles.profile

    def fails(job: object) -> tuple[Profile, Profile]:
        raise InferenceFailed("it broke")

    asked = Profiles(tmp_path)
    monkeypatch.setattr(profiles, "profile", fails)
    with pytest.raises(InferenceFailed, match="it broke"):
        asked.get(KEY, job)
    monkeypatch.setattr(profiles, "profile", works)
    assert asked.get(KEY, job)


def test_another_question_has_another_name():
    asked = [("b", "onnxruntime", 1), ("c", "onnxruntime", 1), ("b", "openvino", 1)]
    asked.append(("b", "onnxruntime", 2))
    names = {profile_key("a" * 64, after * 64, name, threads) for after, name, threads in asked}
    assert len(names) == 4


def test_passes_that_were_undone_made_nothing():
    run = b.run()
    (made,) = [
        o.candidate for o in run.outcomes if o.candidate and o.candidate.digest == b.QUANTIZED
    ]
    assert passes_of(run, b.QUANTIZED) == ("fold_batch_norm", "quantize_static")
    report: tuple[StepReport, ...] = (replace(made.report[0], reverted="why"), made.report[1])
    changed = replace(run.outcomes[2], candidate=replace(made, report=report))
    undone = replace(run, outcomes=(*run.outcomes[:2], changed))
    assert passes_of(undone, b.QUANTIZED) == ("quantize_static",)
