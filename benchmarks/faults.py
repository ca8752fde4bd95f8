"""A full disk, a home that cannot be written, a clock that is set: what a user still can do.

    .venv/bin/python -m benchmarks.faults --disk DIR [--faketime libfaketime.so.1]

DIR is the root of a file system of its own of some gigabytes, which is filled to the last byte and
then made read-only, for example of a file (as root):

    truncate -s 4G disk.img && mkfs.ext4 -q -m 0 disk.img && mount -o loop disk.img DIR

The clock is that of libfaketime (a Debian and a PyPI package): set back ten years, and forward.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from core import graph as graphs
from core.errors import CoreError
from core.records import LIVE, ExperimentSpec, Recipe, Run, State, Status, Step
from core.runs import queue
from core.workspace import Workspace
from tests.measure.subjects import net

OWNER = "me"
SIZES = (1 << 28, 1 << 22, 1 << 16, 1 << 12)
LOOK = """
import sys
from core.workspace import Workspace
run = Workspace.open().runs.get(sys.argv[1])
print(run.progress.state.value, len(run.measurements))
"""


def main() -> int:
    """Print a line for each thing that must work or must say why not; 1 if one does neither."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--disk", type=Path, required=True)
    parser.add_argument("--faketime", type=Path)
    asked = parser.parse_args()
    home, wrong = asked.disk / "home", 0
    for name, part in (
        ("full disk", lambda: full_disk(home)),
        ("read-only home", lambda: read_only(home)),
        ("clock", lambda: clock(home, asked.faketime)),
    ):
        print(f"## {name}")
        for line in part():
            print(line)
            wrong += line.startswith("WRONG")
    return int(bool(wrong))


def question(workspace: Workspace) -> ExperimentSpec:
    """A small run."""
    model = workspace.models.add("net.onnx", graphs.serialize(net(64)), OWNER)
    pruned = Recipe("pruned", (Step("prune_weights"),))
    return ExperimentSpec(
        "t", model.digest, (pruned,), ("onnxruntime",), (1,), latency_budget_s=0.3, dims={"N": 1}
    )


def works(what: str, act: Callable[[], object]) -> str:
    """That something works."""
    try:
        return f"{what}: works, {act()}"
    except Exception as error:
        return f"WRONG {what}: {type(error).__name__}: {error}"


def says(what: str, act: Callable[[], object]) -> str:
    """That something that cannot work says so, and what to do."""
    try:
        return f"WRONG {what}: {act()}"
    except CoreError as error:
        return f"{what}: says “{error.message}” “{error.remedy}”"
    except Exception as error:
        return f"WRONG {what}: {type(error).__name__}: {error}"


def full_disk(home: Path) -> Iterator[str]:
    """Old results are read and deleted; what is new is refused in words."""
    with contextlib.closing(Workspace.open(home)) as workspace:
        spec = question(workspace)
        runs = [workspace.runs.measure(spec, OWNER) for _ in range(3)]
    fill(home.parent)
    yield f"free: {free(home)} bytes"
    with contextlib.closing(Workspace.open(home)) as workspace:
        yield works("a server starts and lists runs", lambda: len(workspace.runs.lines(OWNER)))
        fill(home.parent)
        yield works(
            "a run is read", lambda: f"{len(workspace.runs.get(runs[0].id).measurements)} rows"
        )
        yield says("an upload", lambda: workspace.models.add("b.onnx", b"x" * 10_000, OWNER))
        yield says("a new run", lambda: workspace.runs.submit(spec, OWNER))
        yield works("a draft is left out", lambda: workspace.runs.keep_draft(OWNER, {"a": 1}))
        yield works("a run is cancelled", lambda: workspace.runs.cancel(runs[0].id, OWNER))
        for run in runs[:2]:
            yield works("a run is deleted", lambda run=run: workspace.runs.delete(run.id, OWNER))
            fill(home.parent)
        yield works(
            "an upload is deleted with its run",
            lambda: f"{workspace.runs.delete_upload(spec.model, OWNER, with_runs=True)} bytes",
        )
    (home.parent / "ballast").unlink()
    with contextlib.closing(Workspace.open(home)) as workspace:
        yield works("with room again, a run", lambda: ended(workspace, question(workspace)))


def read_only(home: Path) -> Iterator[str]:
    """Nothing can be kept, and the reason names the folder."""
    with mounted_read_only(home.parent):
        yield says("a start", lambda: Workspace.open(home))
        yield says("a start in a new folder", lambda: Workspace.open(home / "inner"))
    with contextlib.closing(Workspace.open(home)) as workspace:
        yield works("writable again, a run", lambda: ended(workspace, question(workspace)))


def clock(home: Path, faketime: Path | None) -> Iterator[str]:
    """A run whose process was killed is told so whatever the clock says; others go on."""
    if faketime is None:
        yield "left out: no --faketime"
        return
    stamp = home.parent / "clock"
    os.environ["LATHE_HOME"] = str(home)
    set_to = {
        "LD_PRELOAD": str(faketime),
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    for shift in ("-3650d", "+3650d"):
        stamp.write_text("+0d")
        with contextlib.closing(Workspace.open(home)) as workspace:
            spec = question(workspace)
            os.environ |= set_to
            try:
                run_id = workspace.runs.submit(spec, OWNER)
                time.sleep(2.0)
                stamp.write_text(shift)
                went_on = functools.partial(until_over, workspace, run_id)
                yield works(f"{shift} while a run goes on", went_on)
                killed = workspace.runs.submit(spec, OWNER)
            finally:
                for name in set_to:
                    os.environ.pop(name)
            time.sleep(0.3)
            kill_job(killed)
        yield works(
            f"{shift}, and a run that was killed as it began",
            functools.partial(look, killed, set_to, queue.START_S),
        )


def look(run_id: str, set_to: dict[str, str], wait_s: float) -> str:
    """What a server under the clock that was set says of a run, once it may know."""
    time.sleep(wait_s)
    done = subprocess.run(
        [sys.executable, "-c", LOOK, run_id],
        cwd=queue.ROOT,
        env=os.environ | set_to,
        capture_output=True,
        text=True,
        check=True,
    )
    state = done.stdout.split()[0]
    if state != State.INTERRUPTED.value:
        raise RuntimeError(f"it is {state}")
    return state


def kill_job(run_id: str) -> None:
    """Kill the process of a run."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if run_id in (entry / "cmdline").read_text().split("\0"):
                os.kill(int(entry.name), signal.SIGKILL)


def until_over(workspace: Workspace, run_id: str) -> str:
    """Wait for the end of a run."""
    deadline = time.monotonic() + 120
    while (run := workspace.runs.get(run_id)).progress.state in LIVE:
        if time.monotonic() > deadline:
            raise RuntimeError(f"stuck: {run.progress.current}")
        time.sleep(0.2)
    return whole(run)


def ended(workspace: Workspace, spec: ExperimentSpec) -> str:
    """Do a run."""
    return whole(workspace.runs.measure(spec, OWNER))


def whole(run: Run) -> str:
    """How a run ended, which must be well."""
    missing = [row for row in run.measurements if row.status is Status.FAILED]
    if run.progress.state is not State.DONE or missing:
        why = sorted({f"{row.metric}: {row.reason}" for row in missing})
        raise RuntimeError(f"{run.progress.state.value} {run.progress.message} {why}")
    return f"done, {len(run.measurements)} rows"


def fill(disk: Path) -> None:
    """Leave not a block."""
    descriptor = os.open(disk / "ballast", os.O_RDWR | os.O_CREAT)
    at = os.fstat(descriptor).st_size
    for size in SIZES:
        with contextlib.suppress(OSError):
            while True:
                os.posix_fallocate(descriptor, at, size)
                at += size
    os.close(descriptor)


def free(disk: Path) -> int:
    """Bytes."""
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


@contextlib.contextmanager
def mounted_read_only(disk: Path) -> Iterator[None]:
    """The file system without the right to write."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


if __name__ == "__main__":
    sys.exit(main())
