"""A run that nobody works on is told so, whatever the clock of the machine is set to."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from core.records import ExperimentSpec, ModelSummary, Run, RunProgress, State
from core.runs import queue
from core.runs.home import Home

MODEL = ModelSummary("m" * 64, "net", Path("m.onnx"), (), (), 17, 8, "", 3, 10, 20, 400, 0)
QUEUED = Run(
    "r", "ann", "2026-01-01T00:00:00", ExperimentSpec("t", "m" * 64, (), ()),
    RunProgress(State.QUEUED), MODEL,
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home.at(tmp_path)
    made.job("r").mkdir()
    return made


def started(home: Home) -> Path:
    path = home.job("r") / queue.STARTED
    path.write_text(queue._now(), encoding="utf-8")
    return path


def state(home: Home) -> State:
    return queue.observed(home, QUEUED).progress.state


def test_a_run_that_was_just_started_is_waited_for(home: Home):
    started(home)
    assert state(home) is State.QUEUED


def test_one_that_was_killed_while_it_waited_is_interrupted(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    started(home)
    later = time.monotonic() + queue.START_S + 1
    monkeypatch.setattr(queue.time, "monotonic", lambda: later)
    assert state(home) is State.INTERRUPTED


def test_a_clock_that_is_set_back_or_forward_changes_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    path = started(home)
    for now in (1e9, 3e9):
        monkeypatch.setattr(queue.time, "time", lambda now=now: now)
        os.utime(path, (4e9, 4e9))
        assert state(home) is State.QUEUED
    later = time.monotonic() + queue.START_S + 1
    monkeypatch.setattr(queue.time, "monotonic", lambda: later)
    assert state(home) is State.INTERRUPTED  # although the file seems to be of the future


def test_a_start_before_the_machine_was_started_anew_is_over(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    started(home)
    monkeypatch.setattr(queue, "_boot", lambda: "another")
    assert state(home) is State.INTERRUPTED


@pytest.mark.parametrize("text", ["", "nonsense", "a b", "1 2 3"])
def test_what_was_half_written_as_the_server_died_is_over(home: Home, text: str):
    (home.job("r") / queue.STARTED).write_text(text, encoding="utf-8")
    assert state(home) is State.INTERRUPTED
