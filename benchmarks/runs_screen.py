"""How long the list of runs takes, by how it is read: every row of every run, or headlines only.

    .venv/bin/python -m benchmarks.runs_screen [--runs 201]

One real run (the sample resnet, pruned, on ONNX Runtime) is measured and copied; then the same
sentences are made from all rows, as before, and from the kept headlines, as the screen does now.
Processor time of this process, the best of three.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from core.charts.summary import headline
from core.records import Answer, ExperimentSpec, Recipe, Step
from core.workspace import Workspace

OWNER = "me"
PRUNED = Recipe("pruned", (Step("fold_batch_norm"), Step("prune_channels", {"ratio": 0.25})))


def main() -> int:
    """Print the three times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=201)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with contextlib.closing(Workspace.open(home)) as workspace:
            measure(workspace)
            copy(home / "lathe.sqlite3", asked.runs)
            print(f"{asked.runs} runs")
            print(f"every row of every run: {best(lambda: whole(workspace)):.3f} s")
            print(f"headlines, worded anew: {best(lambda: worded(workspace)):.3f} s")
            keep(workspace)
            print(f"headlines, as kept:     {best(lambda: workspace.runs.lines(OWNER)):.3f} s")
    return 0


def measure(workspace: Workspace) -> None:
    """One run with what a user has."""
    _, evaluation = workspace.data.samples()
    model = workspace.models.sample("resnet")
    workspace.runs.measure(
        ExperimentSpec(
            "t", model.digest, (PRUNED,), ("onnxruntime",), (1,), evaluation=evaluation.digest,
            images=200, latency_budget_s=1.0,
        ),
        OWNER,
    )  # fmt: skip


def copy(database: Path, count: int) -> None:
    """Give the run so many copies that there are `count`."""
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        (run,) = db.execute("select id from runs").fetchone()
        for number in range(count - 1):
            made = f"copy{number}"
            db.execute(
                "insert into runs select ?, owner, created, spec, model, progress, host, cancel, "
                "pid from runs where id = ?",
                (made, run),
            )
            db.execute(
                "insert into outcomes select ?, position, body from outcomes where run = ?",
                (made, run),
            )
            db.execute(
                "insert into measurements (run, question, body) "
                "select ?, question, body from measurements where run = ?",
                (made, run),
            )


def whole(workspace: Workspace) -> list[str]:
    """The sentences from all rows."""
    return [headline(run) for run in workspace.runs.of(OWNER)]


def worded(workspace: Workspace) -> list[str]:
    """The sentences of runs that nobody looked at yet."""
    return [headline(workspace.runs.get(line.id)) for line in workspace.runs.lines(OWNER)]


def keep(workspace: Workspace) -> None:
    """What the screen keeps when it has worded them."""
    for line in workspace.runs.lines(OWNER):
        workspace.runs.keep_answer(line, Answer(headline(workspace.runs.get(line.id))))


def best(act: Callable[[], object]) -> float:
    """Seconds of processor time, the least of three."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        act()
        times.append(time.process_time() - begun)
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
