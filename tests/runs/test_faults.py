"""Whatever dies, fills up or is locked: nothing measured is lost, and the user reads why.

A worker that is killed is a failed row; it is not tried again, because the kernel kills what takes
too much memory in the same way, and would do so twice.
"""

from __future__ import annotations

import io
import os
import resource
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import graph as graphs
from core.devices.local import Child, device
from core.errors import StoreError
from core.records import LIVE, ExperimentSpec, Measurement, Recipe, Run, State, Status, Step
from core.runs import queue
from core.runs import store as stores
from core.runs.home import Home
from core.runs.store import Store
from core.workspace import Workspace
from tests.measure.subjects import net

OWNER, OTHER = "ann", "bob"
PATIENCE_S = 240.0
PRUNED = Recipe("pruned", (Step("prune_weights", {}),))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # a lock of our own, in job processes as well
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / "home"


@pytest.fixture
def workspace(home: Path) -> Iterator[Workspace]:
    opened = Workspace.open(home)
    yield opened
    for run in (*opened.runs.of(OWNER), *opened.runs.of(OTHER)):
        opened.runs.delete(run.id, run.owner)
    opened.close()


def content(width: int = 8) -> bytes:
    return graphs.serialize(net(width))


def spec(workspace: Workspace, threads: tuple[int, ...] = (1, 2), **more: Any) -> ExperimentSpec:
    model = workspace.models.add("net.onnx", content(), OWNER)
    model = workspace.models.freeze(model.digest, {"N": 1}, OWNER)
    return ExperimentSpec(
        "a run", model.digest, (PRUNED,), ("onnxruntime",), threads, latency_budget_s=0.2, **more
    )


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def _is_comparison(unit: str, original: str) -> bool:
    """Whether a unit of work times a candidate beside the original, not the original alone."""
    return unit.startswith("latency") and not unit.endswith(original)


def store_of(home: Path) -> Store:
    return Store(Home.at(home).database)


def answers(run: Run) -> dict[str, Measurement]:
    return {stores.question(row): row for row in run.measurements}


@pytest.mark.backend
def test_a_job_that_is_killed_goes_on_where_it_was(workspace: Workspace, home: Path):
    store = store_of(home)
    asked = spec(workspace)
    run_id = workspace.runs.submit(asked, OWNER)
    until(lambda: any(_is_comparison(unit, asked.model) for unit in store.finished(run_id)))
    os.kill(queue.worker(Home.at(home), run_id), signal.SIGKILL)
    until(lambda: workspace.runs.get(run_id).progress.state is State.INTERRUPTED)
    done, kept = store.finished(run_id), answers(workspace.runs.get(run_id))
    finished = [row for row in kept.values() if row.metric == "latency_ratio" and row.detail]
    first = next(row for row in finished if row.condition["threads"] == "1")

    workspace.runs.resume(run_id, OWNER)
    until(lambda: workspace.runs.get(run_id).progress.state is State.DONE)
    run = workspace.runs.get(run_id)
    assert answers(run)[stores.question(first)] == first  # a second measurement would differ
    assert done < store.finished(run_id)
    assert answers(run).keys() >= kept.keys()
    assert len(answers(run)) == len(run.measurements)
    assert {r.condition["threads"] for r in run.measurements if r.metric == "latency_ratio"} == {
        "1", "2",
    }  # fmt: skip


@pytest.mark.backend
def test_a_worker_that_is_killed_is_a_row_and_the_rest_goes_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    killed: list[int] = []
    loaded: dict[int, set[str]] = {}

    class Doomed(Child):
        def request(self, call: str, *args: Any, **more: Any) -> Any:
            models = loaded.setdefault(self.pid, set())
            if call == "Load":
                models.add(args[0]["model"]["key"])
            if call == "Time" and len(models) > 1 and not killed:  # beside a candidate
                killed.append(self.pid)
                os.kill(self.pid, signal.SIGKILL)
            return super().request(call, *args, **more)

    monkeypatch.setattr(device, "Child", Doomed)
    run = workspace.runs.measure(spec(workspace), OWNER)
    assert killed
    assert run.progress.state is State.DONE
    ratios = {r.condition["threads"]: r for r in run.measurements if r.metric == "latency_ratio"}
    assert ratios["1"].status is Status.FAILED
    assert "While running: core.worker was killed" in ratios["1"].reason
    assert ratios["2"].value
    assert all(row.value for row in run.measurements if row.metric == "load_ms")


@pytest.mark.backend
def test_a_new_server_finds_the_run_and_stops_it(workspace: Workspace, home: Path):
    run_id = workspace.runs.submit(spec(workspace, threads=tuple(range(1, 9))), OWNER)
    until(lambda: bool(workspace.runs.get(run_id).measurements))
    again = Workspace.open(home)
    assert again.runs.get(run_id).progress.state in LIVE
    assert [run.id for run in again.runs.of(OWNER)] == [run_id]
    before = answers(again.runs.get(run_id))
    again.runs.cancel(run_id, OWNER)
    until(lambda: workspace.runs.get(run_id).progress.state is State.CANCELLED)
    assert answers(workspace.runs.get(run_id)).keys() >= before.keys()
    again.close()


@contextmanager
def full_disk(largest_bytes: int) -> Iterator[None]:
    """No file of this process can grow beyond that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def row(number: int) -> Measurement:
    return Measurement(f"{number}", "", "size_bytes", 1.0, 1.0, 1.0, Status.OK, "x" * 500)


def run_in(store: Store, workspace: Workspace) -> str:
    model = workspace.models.add("net.onnx", content(), OWNER)
    run = workspace.runs._new_run(ExperimentSpec("t", model.digest, (), ("onnxruntime",)), OWNER)
    store.add_measurements(run.id, [row(0)])
    return run.id


def test_a_full_disk_is_said_and_nothing_is_lost(workspace: Workspace, home: Path):
    store = store_of(home)
    run_id = run_in(store, workspace)
    with full_disk(512 << 10):
        with pytest.raises(StoreError, match="Results cannot be kept") as caught:
            store.add_measurements(run_id, [row(n) for n in range(1, 4000)])
        assert "disk" in caught.value.remedy
        assert "What was measured before is kept" in caught.value.remedy
        with pytest.raises(StoreError, match="The upload cannot be kept"):
            workspace.models.add("net.onnx", bytes(1 << 20), OWNER)
    assert not list(Home.at(home).uploads.iterdir())
    assert workspace.runs.get(run_id).measurements == (row(0),)
    store.add_measurements(run_id, [row(1)])
    assert workspace.runs.get(run_id).measurements == (row(0), row(1))


def test_a_locked_database_is_said_and_nothing_is_lost(workspace: Workspace, home: Path):
    store = store_of(home)
    run_id = run_in(store, workspace)
    store = Store(store.path, busy_s=0.1)
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("begin immediate")
    with pytest.raises(StoreError, match="locked") as caught:
        store.add_measurements(run_id, [row(1)])
    assert "Another program holds the file" in caught.value.remedy
    assert workspace.runs.get(run_id).measurements == (row(0),)  # reading goes on
    holder.execute("rollback")
    holder.close()
    store.add_measurements(run_id, [row(1)])
    assert workspace.runs.get(run_id).measurements == (row(0), row(1))


def test_owners_do_not_see_each_other(workspace: Workspace):
    images = io.BytesIO()
    np.savez(images, images=np.zeros((4, 8, 8, 3), np.uint8), labels=np.arange(4))
    mine = workspace.models.add("mine.onnx", content(8), OWNER)
    theirs = workspace.models.add("theirs.onnx", content(16), OTHER)
    data = workspace.data.add("set.npz", images.getvalue(), OWNER)
    run = workspace.runs._new_run(ExperimentSpec("t", mine.digest, (), ("onnxruntime",)), OWNER)

    assert [model.digest for model in workspace.models.of(OWNER)] == [mine.digest]
    assert [model.digest for model in workspace.models.of(OTHER)] == [theirs.digest]
    assert [found.digest for found in workspace.data.of(OWNER)] == [data.digest]
    assert workspace.data.of(OTHER) == workspace.runs.of(OTHER) == ()
    with pytest.raises(StoreError, match="No model of yours"):
        workspace.models.get(mine.digest, OTHER)
    with pytest.raises(StoreError, match="No image set of yours"):
        workspace.data.get(data.digest, OTHER)
    with pytest.raises(StoreError, match="Only who started a run"):
        workspace.runs.delete(run.id, OTHER)
    assert workspace.runs.get(run.id).model == mine  # who has the permalink may look


def test_what_two_owners_uploaded_belongs_to_both(workspace: Workspace):
    one = workspace.models.add("a.onnx", content(), OWNER)
    two = workspace.models.add("b.onnx", content(), OTHER)
    assert one.digest == two.digest
    assert [model.name for model in workspace.models.of(OWNER)] == ["a.onnx"]
    assert [model.name for model in workspace.models.of(OTHER)] == ["b.onnx"]
