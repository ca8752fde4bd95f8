"""Sensitivities in the background: two visitors both get theirs; a dead child is not the answer."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import DataError, WorkerCrashed
from core.records import Recipe, Sensitivity
from core.runs import sensitivity_job
from core.runs.home import Home
from core.runs.on_demand import Turns
from core.runs.sensitivity_job import Sensing, Study

WAIT_S = 10.0


class Workshop:
    """Answers when it is let; `failing` are raised first."""

    go = threading.Event()
    failing: list[Exception] = []  # noqa: RUF012 - one for all, emptied by each test
    studied: list[str] = []  # noqa: RUF012

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None: ...

    def sensitivity(
        self, model: Path, before: Recipe, calibration: Path, check: Callable[[], None], hear: Any
    ) -> Sensitivity:
        hear({"current": f"studying {model.stem}"})
        Workshop.studied.append(model.stem)
        while not Workshop.go.wait(0.005):
            check()
        if Workshop.failing:
            raise Workshop.failing.pop()
        return Sensitivity(())


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sensing:
    Workshop.go, Workshop.failing, Workshop.studied = threading.Event(), [], []
    monkeypatch.setattr(sensitivity_job, "Workshop", Workshop)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return Sensing(Home.at(tmp_path), Turns(lambda: False))


def study(model: str) -> Study:
    return Study(Path(f"{model}.onnx"), Recipe("before"), Path("set.npz"), "digest")


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_visitors_with_two_models_both_get_their_forecast(studies: Sensing):
    """Each polls for its own; it used to end the other's study every time."""
    for _ in range(20):
        assert studies.get(study("a"), "one") is None
        assert studies.get(study("b"), "two") is None
        time.sleep(0.01)
    assert Workshop.studied == ["a"]
    assert studies.told(study("a")) == "studying a"
    assert studies.told(study("b")) == "waiting for its turn, behind one other piece of work …"
    Workshop.go.set()
    until(lambda: studies.get(study("a"), "one"))
    until(lambda: studies.get(study("b"), "two"))
    assert Workshop.studied == ["a", "b"]


def test_an_error_of_the_model_is_the_answer(studies: Sensing):
    Workshop.failing.append(DataError("The images do not fit."))
    Workshop.go.set()
    studies.get(study("a"))
    with pytest.raises(DataError, match="do not fit"):
        until(lambda: studies.get(study("a")))
    assert Workshop.studied == ["a"]


def test_the_death_of_a_child_is_not_remembered_for_long(
    studies: Sensing, monkeypatch: pytest.MonkeyPatch
):
    Workshop.failing.append(WorkerCrashed("killed"))
    Workshop.go.set()
    studies.get(study("a"))
    with pytest.raises(WorkerCrashed):
        until(lambda: studies.get(study("a")))
    monkeypatch.setattr(studies._studies, "_child_died_s", 0.0)
    until(lambda: studies.get(study("a")))
    assert Workshop.studied == ["a", "a"]


def test_what_was_learnt_is_known_where_the_disk_is_full(
    studies: Sensing, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    Workshop.go.set()
    until(lambda: studies.get(study("a"), "one") is not None)
    assert Workshop.studied == ["a"]
