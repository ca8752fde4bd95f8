"""The sample's own run: begun once, for nobody, and out of the way of whoever asks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core import graph as graphs
from core.records import ExperimentSpec, RunProgress, State
from core.runs import queue, sample_run
from core.workspace import Workspace
from tests.measure.subjects import net

OWNER = "ann"


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Runs that would have been started, and whether gently."""
    found: list[tuple[str, bool]] = []

    def launch(home: object, run_id: str, gently: bool = False) -> None:
        found.append((run_id, gently))

    monkeypatch.setattr(queue, "launch", launch)
    monkeypatch.setattr(queue, "observed", lambda home, run: run)
    monkeypatch.setattr(queue, "is_alive", lambda home, run_id, progress: True)
    monkeypatch.delenv(sample_run.VARIABLE, raising=False)
    return found


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened = Workspace.open(tmp_path / "home")
    yield opened
    opened.close()


def begun(workspace: Workspace, launched: list[tuple[str, bool]], count: int) -> None:
    """Ask for it until it was started so often."""
    until = time.monotonic() + 60
    while len(launched) < count and time.monotonic() < until:
        workspace.runs.measure_sample()
        time.sleep(0.05)
    assert len(launched) == count


def end(workspace: Workspace, state: State) -> None:
    run = workspace.runs.sample()
    assert run is not None
    workspace.runs._at.store.set_progress(run.id, RunProgress(state))


def test_it_is_begun_once_gently_and_shown_to_nobody_as_theirs(workspace, launched):
    assert workspace.runs.sample() is None
    begun(workspace, launched, 1)
    run = workspace.runs.sample()
    assert run is not None
    assert launched == [(run.id, True)]
    assert run.owner == ""  # nobody's
    assert run.spec.recipes[-1].steps == sample_run.RECIPE.steps
    assert workspace.runs.of(OWNER) == ()
    assert workspace.runs.measure_sample()  # it goes on
    end(workspace, State.DONE)
    assert not workspace.runs.measure_sample()
    assert len(launched) == 1


def test_whoever_asks_for_a_run_goes_first_and_it_goes_on_later(workspace, launched):
    begun(workspace, launched, 1)
    model = workspace.models.add("small.onnx", graphs.serialize(net(8)), OWNER)
    asked = workspace.runs.submit(ExperimentSpec("t", model.digest, (), ("null",)), OWNER)
    run = workspace.runs.sample()
    assert run is not None
    assert run.progress.state is State.CANCELLED
    assert workspace.runs._at.store.cancelled(run.id)
    workspace.runs.measure_sample()
    time.sleep(0.3)
    assert launched == [(run.id, True), (asked, False)]
    workspace.runs._at.store.set_progress(asked, RunProgress(State.DONE))
    begun(workspace, launched, 3)
    assert launched[-1] == (run.id, True)
    assert not workspace.runs._at.store.cancelled(run.id)


def test_it_goes_on_beside_a_run_whose_process_died(workspace, launched, monkeypatch):
    begun(workspace, launched, 1)
    run = workspace.runs.sample()
    dead = replace(run, progress=RunProgress(State.INTERRUPTED))
    monkeypatch.setattr(queue, "observed", lambda home, run: dead)
    monkeypatch.setattr(queue, "is_alive", lambda home, run_id, progress: False)
    assert run.progress.state is State.QUEUED  # as it is written, since nobody was left to say
    begun(workspace, launched, 2)
    assert launched[-1] == (run.id, True)


def test_an_installation_can_do_without(workspace, launched, monkeypatch):
    monkeypatch.setenv(sample_run.VARIABLE, "off")
    assert not workspace.runs.measure_sample()
    time.sleep(0.2)
    assert launched == []
