"""Kills processes at random moments of small runs; nothing may be lost, and nothing may be stuck.

    .venv/bin/python -m benchmarks.kills [--kills 200] [--minutes 60] [--lanes 3] [--seed 0]

The victims, by SIGKILL: a server that takes a model in and starts a run; the job that works on the
run; the child that reads and rewrites models; the child that times them. Then the user does what
the page offers, go on, and this must hold:

- what was acknowledged is there: the model, the run, every row that was ever seen of it;
- every run comes to an end, with its numbers, or a reason where a number is missing;
- the database is whole, no process and no folder of a dead one is left.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core import graph as graphs
from core.devices.local import scratch
from core.errors import CoreError
from core.records import LIVE, Measurement, State, Status
from core.runs import queue
from core.runs.store import Store, question
from core.workspace import Workspace
from tests.measure.subjects import net

OWNER = "me"
KINDS = ("server", "job", "candidates", "worker")
MODULES = {"job": "core.runs", "candidates": "core.pipeline", "worker": "core.worker"}
END_S = 240.0
SERVER = """
import sys, time
from pathlib import Path
from core.workspace import Workspace
from core.records import ExperimentSpec, Recipe, Step
workspace = Workspace.open()
model = workspace.models.add("net.onnx", Path(sys.argv[1]).read_bytes(), "me")
print("model", model.digest, flush=True)
spec = ExperimentSpec("t", model.digest, (Recipe("pruned", (Step("prune_weights"),)),),
                      ("onnxruntime",), (1, 2), latency_budget_s=0.3, dims={"N": 1})
print("run", workspace.runs.submit(spec, "me"), flush=True)
time.sleep(600)
"""


@dataclass
class Tally:
    """What was killed, and what went wrong."""

    killed: collections.Counter[str] = field(default_factory=collections.Counter)
    ends: collections.Counter[str] = field(default_factory=collections.Counter)
    missed: int = 0
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    guard: threading.Lock = field(default_factory=threading.Lock)


def main() -> int:
    """Print the table; 1 if anything was lost or stuck."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60, help="begin no more after that")
    parser.add_argument("--lanes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"TMPDIR": folder, "LATHE_HOME": f"{folder}/home"}
        tempfile.tempdir = folder
        until = time.monotonic() + 60 * asked.minutes
        tally = all_of(asked.kills, until, asked.lanes, asked.seed, Path(folder))
        after(Path(folder), tally)
    print("killed: " + ", ".join(f"{kind} {tally.killed[kind]}" for kind in KINDS))
    print(f"ended before the kill: {tally.missed}")
    print("ends: " + ", ".join(f"{end} {count}" for end, count in tally.ends.items()))
    print(f"longest from a kill to the end of its run: {tally.slowest_s:.0f} s")
    for wrong in tally.wrong:
        print(f"WRONG {wrong}")
    print(f"lost or stuck: {len(tally.wrong)}")
    return int(bool(tally.wrong))


def all_of(kills: int, until: float, lanes: int, seed: int, folder: Path) -> Tally:
    """Kill so often, in several lanes that share one home."""
    workspace, tally = Workspace.open(), Tally()

    def lane(number: int) -> None:
        choose = random.Random(f"{seed} {number}")
        while sum(tally.killed.values()) < kills and time.monotonic() < until:
            kind = choose.choice(KINDS)
            try:
                one(workspace, kind, choose, tally, folder)
            except Exception as error:  # nothing may get here
                tally.wrong.append(f"{kind}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=lane, args=(number,)) for number in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    workspace.close()
    return tally


def one(workspace: Workspace, kind: str, choose: random.Random, tally: Tally, folder: Path) -> None:
    """One model, one run, one kill."""
    source = folder / f"{choose.getrandbits(64)}.onnx"
    graphs.save(net(choose.randrange(2, 200)), source)
    with server(source) as process:
        if kind == "server":
            time.sleep(choose.uniform(0.5, 8.0))
            died_s = strike(process.pid, kind, tally)
            said = process.stdout.read() if process.stdout else ""
        else:
            said = first_words(process)
    told = dict(line.split() for line in said.splitlines() if line.count(" ") == 1)
    held = {model.digest for model in workspace.models.of(OWNER)}
    if told.get("model", next(iter(held), "")) not in held and held:
        tally.wrong.append(f"{kind}: a model that was taken in is gone")
    if run_id := told.get("run"):
        if kind != "server":
            died_s = hunt(workspace, run_id, kind, choose, tally)
        if died_s:
            watch(workspace, run_id, kind, tally, died_s)
    source.unlink()


@contextlib.contextmanager
def server(source: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that takes a model in and starts a run; it is killed in the end."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(source)],
        cwd=queue.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_words(process: subprocess.Popen[str]) -> str:
    """What a server said until its run was started."""
    said = ""
    while process.stdout and "run " not in said:
        line = process.stdout.readline()
        if not line:
            break
        said += line
    return said


def hunt(
    workspace: Workspace, run_id: str, kind: str, choose: random.Random, tally: Tally
) -> float:
    """Wait a random while, then kill what works on the run; 0 where that has ended by then."""
    time.sleep(choose.uniform(0.0, 5.0))
    while workspace.runs.get(run_id).progress.state in LIVE:
        if victims := list(working(run_id, MODULES[kind])):
            return strike(choose.choice(victims), kind, tally)
        time.sleep(0.02)
    with tally.guard:
        tally.missed += 1
    return 0.0


def working(run_id: str, module: str) -> Iterator[int]:
    """Processes of a module that belong to a run: the job itself, or what it started."""
    parents, modules = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError, ValueError):
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            parents[int(entry.name)] = int(fields[1])
            modules[int(entry.name)] = words
    for pid, words in modules.items():
        above: int | None = pid
        while above and run_id not in modules.get(above, []):
            above = parents.get(above)
        if above and module in words:
            yield pid


def strike(pid: int, kind: str, tally: Tally) -> float:
    """Kill; when that was."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        with tally.guard:
            tally.killed[kind] += 1
    return time.monotonic()


def watch(workspace: Workspace, run_id: str, kind: str, tally: Tally, died_s: float) -> None:
    """See a run to its end, going on where the page would offer it; no row may vanish."""
    seen: dict[str, Measurement] = {}
    while True:
        run = workspace.runs.get(run_id)
        rows = {question(row): row for row in run.measurements}
        if lost := seen.keys() - rows.keys():
            tally.wrong.append(f"{kind}: {len(lost)} rows are gone")
        seen = rows
        state = run.progress.state
        if state is State.INTERRUPTED:
            with contextlib.suppress(CoreError):
                workspace.runs.resume(run_id, OWNER)
        elif state not in LIVE:
            break
        if time.monotonic() - died_s > END_S:
            tally.wrong.append(f"{kind}: stuck {state.value}: {run.progress.current}")
            return
        time.sleep(0.2)
    silent = [row for row in seen.values() if row.value is None and not row.reason]
    if silent or not (seen or run.progress.message):
        tally.wrong.append(f"{kind}: ended {state.value} without numbers and without a reason")
    with tally.guard:
        failed = any(row.status is Status.FAILED for row in seen.values())
        tally.ends[f"{state.value}{' with failed rows' if failed else ''}"] += 1
        tally.slowest_s = max(tally.slowest_s, time.monotonic() - died_s)


def after(folder: Path, tally: Tally) -> None:
    """Look at what is left when all is over."""
    deadline = time.monotonic() + 20
    while (left := mine()) and time.monotonic() < deadline:
        time.sleep(0.2)
    if left:
        tally.wrong.append(f"{len(left)} processes are left: {list(left.values())[:3]}")
    scratch.sweep()
    if folders := list(folder.glob("lathe-*/")):
        tally.wrong.append(f"{len(folders)} folders of dead processes are left")
    store = Store(folder / "home" / "lathe.sqlite3")
    with contextlib.closing(sqlite3.connect(store.path)) as db:
        if db.execute("pragma integrity_check").fetchone() != ("ok",):
            tally.wrong.append("the database is damaged")
    if store.is_any_live():
        stuck = [line for line in store.lines(OWNER) if line.progress.state in LIVE]
        told = [line for line in stuck if not line_is_over(folder, line.id)]
        if told:
            tally.wrong.append(f"{len(told)} runs still say that they are live")


def line_is_over(folder: Path, run_id: str) -> bool:
    """Whether the page would offer to go on with a run that was left as it was."""
    with contextlib.closing(Workspace.open(folder / "home")) as workspace:
        return workspace.runs.get(run_id).progress.state not in LIVE


def mine() -> Mapping[int, str]:
    """Processes other than this one that work in our home."""
    found, home = {}, f"LATHE_HOME={os.environ['LATHE_HOME']}".encode()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if int(entry.name) != os.getpid() and home in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    return found


if __name__ == "__main__":
    sys.exit(main())
