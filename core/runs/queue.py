"""Queue of runs with leases: who works on a run holds its lease, and only one process can.

A lease is a file lock. The kernel drops it with the process that holds it, however that ends, so
that it neither runs out under who works for long nor outlives who was killed: a run that says that
it is being worked on, and whose lease nobody holds, was interrupted and can go on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, TypeVar

from core.errors import StoreError
from core.records import LIVE, Run, RunLine, RunProgress, State
from core.runs import home as homes
from core.runs.home import Home

ROOT = Path(__file__).resolve().parents[2]
BOOT = Path("/proc/sys/kernel/random/boot_id")
LEASE, STARTED = "lock", "started"
GENTLY = "--gently"
TRIES, LOOK_S = 10, 0.02
START_S = 30.0  # importing takes a second or two; more on a machine that is busy
Seen = TypeVar("Seen", Run, RunLine)


@contextlib.contextmanager
def leased(home: Home, run_id: str, pid: int = 0) -> Iterator[bool]:
    """Hold the lease of a run while working on it; False where another process holds it.

    Args:
        home: where the runs lie.
        run_id: of the run.
        pid: of a process that works on nothing else, and may be ended with the run.
    """
    with (home.job(run_id) / LEASE).open("ab", buffering=0) as file:
        if not _taken(file):
            yield False
            return
        with contextlib.suppress(OSError):  # a full disk: then it is not ended, but told to stop
            file.truncate(0)
            file.write(f"{pid}".encode())
        yield True


def _taken(file: IO[bytes]) -> bool:
    """Whether the lease could be taken; who only looks holds it for an instant, too."""
    for _ in range(TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOOK_S)
        else:
            return True
    return False


def is_leased(home: Home, run_id: str) -> bool:
    """Whether a process works on the run."""
    try:
        with (home.job(run_id) / LEASE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def worker(home: Home, run_id: str) -> int:
    """The process that works on this run alone; 0 where there is none."""
    try:
        found = (home.job(run_id) / LEASE).read_text(encoding="ascii")
    except OSError:
        return 0
    return int(found) if found.isdecimal() and is_leased(home, run_id) else 0


def launch(home: Home, run_id: str, gently: bool = False) -> None:
    """Start the job process; it outlives this one.

    Args:
        home: where the runs lie.
        run_id: of the run.
        gently: with the least priority.

    Raises:
        StoreError: it cannot be started.
    """
    folder = home.job(run_id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STARTED).write_text(_now(), encoding="utf-8")
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "core.runs", run_id, *[GENTLY] * gently],
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


def is_alive(home: Home, run_id: str, progress: RunProgress) -> bool:
    """Whether a run that says that it is worked on is."""
    if is_leased(home, run_id):
        return True
    return progress.state is State.QUEUED and _age_s(home, run_id) < START_S


def observed(home: Home, run: Seen) -> Seen:
    """The run as it is: one whose process died is interrupted, whatever it wrote last."""
    if run.progress.state not in LIVE or is_alive(home, run.id, run.progress):
        return run
    message = "its process ended; what it measured is kept, and it can go on"
    return replace(
        run, progress=replace(run.progress, state=State.INTERRUPTED, eta_s=None, message=message)
    )


def stop(home: Home, run_id: str) -> None:
    """End the process of a run, if one works on it."""
    if pid := worker(home, run_id):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


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
