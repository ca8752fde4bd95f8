"""Start the process that works on a run, and tell whether there is one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from core.errors import StoreError
from core.records import Run, RunLine, State
from core.runs import home as homes
from core.runs.home import Home
from core.runs.job import is_alive
from core.store import Store

ROOT = Path(__file__).resolve().parents[2]
BOOT = Path("/proc/sys/kernel/random/boot_id")
STARTED = "started"
START_S = 30.0  # importing takes a second or two; more on a machine that is busy
LIVE = (State.QUEUED, State.RUNNING)
Seen = TypeVar("Seen", Run, RunLine)


def launch(home: Home, run_id: str) -> None:
    """Start the job process; it outlives this one.

    Raises:
        StoreError: it cannot be started.
    """
    folder = home.job(run_id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STARTED).write_text(_now(), encoding="utf-8")
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "core.runs", run_id],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(ROOT), homes.VARIABLE: str(home.root)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise StoreError(f"The run cannot be started: {error.strerror}.") from error
    threading.Thread(target=process.wait, daemon=True).start()  # or it stays as a zombie


def observed(home: Home, run: Seen) -> Seen:
    """The run as it is: one whose process died is interrupted, whatever it wrote last."""
    if run.progress.state not in LIVE or is_alive(home, run.id):
        return run
    if run.progress.state is State.QUEUED and _age_s(home, run.id) < START_S:
        return run
    message = "its process ended; what it measured is kept, and it can go on"
    return replace(
        run, progress=replace(run.progress, state=State.INTERRUPTED, eta_s=None, message=message)
    )


def stop(home: Home, store: Store, run_id: str) -> None:
    """End the process of a run, if one works on it."""
    pid = store.pid(run_id)
    if pid and is_alive(home, run_id):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return


def _now() -> str:
    """This moment by a clock that nobody sets: seconds since this start of the machine."""
    return f"{_boot()} {time.monotonic()}"


def _boot() -> str:
    try:
        return BOOT.read_text(encoding="utf-8").strip()
    except OSError:
        return "-"


def _age_s(home: Home, run_id: str) -> float:
    """Seconds since the process of a run was started; endless where that cannot be told."""
    try:
        boot, started_s = (home.job(run_id) / STARTED).read_text(encoding="utf-8").split()
        age_s = time.monotonic() - float(started_s)
    except (OSError, ValueError):
        return float("inf")
    return age_s if boot == _boot() and age_s >= 0 else float("inf")
