"""Leases: two processes never work on one run, and the run of a dead one can go on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.records import ExperimentSpec, Recipe, Run, RunProgress, State
from core.runs import queue
from core.runs.home import VARIABLE, Home
from core.runs.job import main
from core.runs.store import Store
from tests.pages.fake_workspace import model

RUN = "run1"
HOLD = """
import os, sys, time
from pathlib import Path
from core.runs import queue
from core.runs.home import Home
with queue.leased(Home(Path(sys.argv[1])), sys.argv[2], os.getpid()) as free:
    print(free, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home.at(tmp_path)
    made.job(RUN).mkdir()
    return made


@contextlib.contextmanager
def holder(home: Home) -> Iterator[subprocess.Popen[str]]:
    """Another process that works on the run."""
    arguments = [sys.executable, "-c", HOLD, str(home.root), RUN]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        try:
            yield process
        finally:
            process.kill()


def run(state: State) -> Run:
    summary = model()
    spec = ExperimentSpec("t", summary.digest, (Recipe("original"),), ("null",))
    return Run(RUN, "me", "2026-01-02T03:04:05", spec, RunProgress(state), summary)


def test_a_lease_that_nobody_took_is_nobodys(home: Home):
    assert not queue.is_leased(home, RUN)
    assert not queue.is_leased(home, "no such run")
    assert queue.worker(home, RUN) == 0


def test_a_second_process_does_not_get_the_run(home: Home):
    with holder(home) as process:
        assert queue.is_leased(home, RUN)
        assert queue.worker(home, RUN) == process.pid
        with queue.leased(home, RUN) as free:
            assert not free
        assert queue.worker(home, RUN) == process.pid


def test_an_executor_that_comes_second_touches_nothing(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, str(home.root))
    store = Store(home.database)
    store.add_run(run(State.QUEUED))
    with holder(home):
        main(RUN)
    assert store.run(RUN) == run(State.QUEUED)


def test_a_run_whose_process_was_killed_is_interrupted_and_free(home: Home):
    with holder(home) as process:
        assert queue.observed(home, run(State.RUNNING)).progress.state is State.RUNNING
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        found = queue.observed(home, run(State.RUNNING)).progress
    assert found.state is State.INTERRUPTED
    assert "can go on" in found.message
    assert queue.worker(home, RUN) == 0
    with queue.leased(home, RUN) as free:
        assert free
        assert queue.observed(home, run(State.RUNNING)).progress.state is State.RUNNING


def test_who_works_on_it_beside_other_work_is_not_ended_with_it(home: Home):
    with queue.leased(home, RUN) as free:
        assert free
        assert queue.is_leased(home, RUN)
        queue.stop(home, RUN)  # this process lives on


def test_who_only_looks_keeps_nobody_from_working(home: Home):
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            queue.is_leased(home, RUN)
            over.wait(0.001)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(50):
            with queue.leased(home, RUN) as free:
                assert free
    finally:
        over.set()
        looker.join()
