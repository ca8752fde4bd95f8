"""Job: the process of one run (`python -m core.runs RUN_ID`), and which work it is."""

from __future__ import annotations

import os

from core.devices.local.launch import ChildBug
from core.records import Run, RunProgress, State
from core.runs import queue
from core.runs.executor import Job, Watch
from core.runs.home import Home
from core.runs.search_job import SearchJob
from core.runs.store import PATIENT_S, Store


def job_of(home: Home, store: Store, run: Run, watch: Watch | None = None) -> Job:
    """The work on a run: towards its goal where it has one, else on its recipes."""
    return (Job if run.spec.goal is None else SearchJob)(home, store, run, watch)


def main(run_id: str) -> None:
    """The body of the job process."""
    home = Home.default()
    store = Store(home.database, PATIENT_S)
    with queue.leased(home, run_id, os.getpid()) as free:
        run = store.run(run_id)
        if not free or run is None:
            return
        try:
            job_of(home, store, run).execute()
        except ChildBug as bug:
            store.set_progress(run_id, RunProgress(State.FAILED, message=_last_line(bug)))
            raise


def _last_line(bug: ChildBug) -> str:
    lines = str(bug).strip().splitlines()
    return f"A bug in Lathe: {lines[-1] if lines else 'unknown'}"
