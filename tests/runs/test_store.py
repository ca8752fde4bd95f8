"""The store: nothing acknowledged is ever lost, newer rows supersede, and trouble has words."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import StoreError
from core.records import (
    Answer,
    Candidate,
    DataSummary,
    ExperimentSpec,
    Host,
    Measurement,
    ModelSummary,
    Outcome,
    Recipe,
    Run,
    RunProgress,
    State,
    Status,
    Step,
    Target,
)
from core.runs import store as stores
from core.runs.store import Store, question

ROOT = Path(__file__).parents[2]
MODEL = ModelSummary("m" * 64, "net", Path("m.onnx"), (), (), 17, 8, "", 3, 10, 20, 400, 0)
HOST = Host("cpu", ("AVX2",), 2, "Linux", {"python": "3"})


def run(name: str = "r1", owner: str = "ann", **spec: str) -> Run:
    asked = ExperimentSpec("t", MODEL.digest, (Recipe("original"),), ("onnxruntime",), **spec)
    return Run(name, owner, "2026-01-01T00:00:00", asked, RunProgress(State.QUEUED), MODEL)


def row(value: float, metric: str = "latency_ms", **condition: str) -> Measurement:
    low, high = value - 1, value + 1
    return Measurement("d", "openvino", metric, value, low, high, Status.OK, condition=condition)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "lathe.sqlite3")
    made.add_run(run())
    return made


def test_a_run_comes_back_as_it_was(store: Store):
    recipe = Recipe("fold", (Step("fold_batch_norm"),))
    outcome = Outcome(recipe, Candidate("c" * 64, Path("c.onnx"), recipe), MODEL)
    store.add_outcome("r1", 0, outcome)
    store.add_measurements("r1", [row(2.0, threads="1"), row(3.0, threads="2")])
    store.set_host("r1", HOST)
    store.set_progress("r1", RunProgress(State.DONE, 3, 3))
    found = store.run("r1")
    assert found == replace(
        run(),
        outcomes=(outcome,),
        measurements=(row(2.0, threads="1"), row(3.0, threads="2")),
        host=HOST,
        progress=RunProgress(State.DONE, 3, 3),
    )


def test_what_is_not_there_is_none(store: Store):
    assert store.run("nothing") is None
    assert store.cancelled("nothing")
    assert store.runs("bob") == ()


def test_a_newer_answer_supersedes_the_older_one(store: Store):
    store.add_measurements("r1", [row(1.0, threads="1"), row(5.0, threads="2"), row(7.0, "top1")])
    store.add_measurements("r1", [row(2.0, threads="1")])
    values = {question(m): m.value for m in store.run("r1").measurements}
    assert values == {
        question(row(0, threads="1")): 2.0,
        question(row(0, threads="2")): 5.0,
        question(row(0, "top1")): 7.0,
    }


def test_a_question_ignores_the_order_of_its_condition():
    one, other = row(1.0, a="1", b="2"), row(1.0, b="2", a="1")
    assert question(one) == question(other)
    assert question(one) != question(row(1.0, a="2", b="1"))


def test_the_same_question_of_two_runs_has_two_answers(store: Store):
    store.add_run(run("r2"))
    store.add_measurements("r1", [row(1.0)])
    store.add_measurements("r2", [row(2.0)])
    assert [store.run(r).measurements[0].value for r in ("r1", "r2")] == [1.0, 2.0]


def test_units_are_done_once(store: Store):
    store.finish("r1", "a")
    store.finish("r1", "a")
    store.finish("r1", "b")
    assert store.finished("r1") == {"a", "b"}


def test_a_deleted_run_takes_everything_along_and_stops(store: Store):
    store.add_measurements("r1", [row(1.0)])
    store.finish("r1", "a")
    assert not store.cancelled("r1")
    store.delete_run("r1")
    assert store.run("r1") is None
    assert store.cancelled("r1")
    with sqlite3.connect(store.path) as db:
        for table in ("measurements", "outcomes", "units", "answers"):
            assert db.execute(f"select count(*) from {table}").fetchone() == (0,)
    db.close()


def test_rows_for_a_run_that_was_deleted_meanwhile_are_a_store_error(store: Store):
    store.delete_run("r1")
    with pytest.raises(StoreError):
        store.add_measurements("r1", [row(1.0)])


def test_cancelling_can_be_taken_back(store: Store):
    store.set_cancelled("r1", True)
    assert store.cancelled("r1")
    store.set_cancelled("r1", False)
    assert not store.cancelled("r1")


def test_owners_see_their_own_newest_first(store: Store):
    store.add_run(replace(run("r2"), created="2026-01-02T00:00:00"))
    store.add_run(run("r3", owner="bob"))
    assert [r.id for r in store.runs("ann")] == ["r2", "r1"]
    assert [r.id for r in store.runs("bob")] == ["r3"]
    store.add_model("ann", MODEL)
    store.add_model("ann", replace(MODEL, digest="n" * 64))
    store.add_model("ann", replace(MODEL, name="renamed"))
    assert [m.name for m in store.models("ann")] == ["renamed", "net"]
    assert store.models("bob") == ()


def test_a_list_of_runs_reads_no_row_and_knows_the_answer_until_a_run_goes_on(store: Store):
    done = RunProgress(State.DONE, 3, 3)
    store.set_progress("r1", done)
    (line,) = store.lines("ann", "one")
    assert (line.spec, line.progress, line.model) == (run().spec, done, "net")
    assert line.answer is None
    store.keep_answer(line, "one", Answer("2× faster.", 2, 1))
    assert store.lines("ann", "one")[0].answer == Answer("2× faster.", 2, 1)
    assert store.lines("ann", "two")[0].answer is None  # other words by now
    store.set_progress("r1", RunProgress(State.QUEUED))
    assert store.lines("ann", "one")[0].answer is None
    store.keep_answer(line, "one", Answer("2× faster."))  # worded before it went on
    assert store.lines("ann", "one")[0].answer is None
    assert store.lines("bob", "one") == ()


def test_a_list_names_what_somebody_brought_and_the_runs_that_need_it(store: Store, tmp_path: Path):
    store.add_model("ann", MODEL)
    store.add_model("bob", MODEL)
    store.add_data("ann", DataSummary("d" * 64, "set", tmp_path, "images", 4, True))
    store.add_run(run("r2", evaluation="d" * 64))
    found = {(one.owner, one.kind): one for one in store.listed()}
    assert set(found) == {("ann", "model"), ("bob", "model"), ("ann", "images")}
    assert set(found["ann", "model"].runs) == {"r1", "r2"}
    assert found["ann", "images"].runs == ("r2",)
    assert found["bob", "model"].runs == ()
    assert found["ann", "images"].name == "set"
    assert {one.owner for one in store.listed("bob")} == {"bob"}
    store.unlist("ann", MODEL.digest)
    assert [one.kind for one in store.listed("ann")] == ["images"]
    assert len(store.listed("bob")) == 1


def test_what_some_run_or_list_needs_is_referenced(store: Store, tmp_path: Path):
    recipe = Recipe("fold", (Step("fold_batch_norm"),))
    store.add_run(run("r2", calibration="k" * 64, evaluation="e" * 64))
    store.add_outcome("r2", 1, Outcome(recipe, Candidate("c" * 64, Path("c"), recipe)))
    store.add_outcome("r2", 2, Outcome(recipe, None, reason="refused"))
    store.add_model("ann", replace(MODEL, digest="n" * 64))
    store.add_data("bob", DataSummary("d" * 64, "set", tmp_path, "images", 4, True))
    assert store.referenced() == {letter * 64 for letter in "mkecnd"}
    store.delete_run("r2")
    assert store.referenced() == {letter * 64 for letter in "mnd"}


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "lathe.sqlite3"
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"pragma user_version = {stores.VERSION + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer Lathe") as raised:
        Store(path)
    assert raised.value.remedy
    assert path.read_bytes() == before


def test_opening_again_keeps_what_is_there(store: Store):
    store.add_measurements("r1", [row(1.0)])
    assert Store(store.path).run("r1") == store.run("r1")


@pytest.mark.parametrize("content", [b"not a database" * 100, b""])
def test_a_file_that_is_something_else(tmp_path: Path, content: bytes):
    path = tmp_path / "lathe.sqlite3"
    path.write_bytes(content)
    if not content:
        Store(path).add_run(run())
        return
    with pytest.raises(StoreError, match="not a database"):
        Store(path)
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(StoreError) as raised:
        Store(tmp_path / "missing" / "lathe.sqlite3")
    assert "LATHE_HOME" in raised.value.remedy


def test_a_locked_file_says_so_and_loses_nothing(store: Store):
    store.add_measurements("r1", [row(1.0)])
    store = Store(store.path, busy_s=0.2)
    other = sqlite3.connect(store.path)
    other.execute("begin immediate")
    with pytest.raises(StoreError, match="locked") as raised:
        store.add_measurements("r1", [row(2.0)])
    assert "Another program" in raised.value.remedy
    assert store.run("r1").measurements == (row(1.0),)  # reading goes on meanwhile
    other.rollback()
    other.close()
    store.add_measurements("r1", [row(2.0)])
    assert store.run("r1").measurements == (row(2.0),)


def test_a_short_lock_is_waited_for(store: Store):
    other = sqlite3.connect(store.path, check_same_thread=False)
    other.execute("begin immediate")

    def release() -> None:
        other.rollback()
        other.close()

    timer = threading.Timer(0.5, release)
    timer.start()
    store.add_measurements("r1", [row(2.0)])
    timer.join()
    assert store.run("r1").measurements == (row(2.0),)


def test_several_threads_write_at_once(store: Store):
    def write(thread: int) -> None:
        for i in range(20):
            store.add_measurements("r1", [row(float(i), thread=str(thread), turn=str(i))])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.run("r1").measurements) == 80


# Other processes

WRITER = """
import resource, signal, sys
from pathlib import Path
from core.errors import StoreError
from core.records import Measurement, Status
from core.runs.store import Store
path, name, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
store = Store(path)
number = 0
try:
    while number < int(sys.argv[4]):
        condition = {"writer": name, "number": str(number)}
        store.add_measurements("r1", [Measurement(
            "d", "b", "top1", float(number), 0.0, 0.0, Status.OK, condition=condition,
            detail={"ballast": "x" * 2000})])
        store.finish("r1", f"{name} {number}")
        print(number, flush=True)  # acknowledged
        number += 1
except StoreError as error:
    print("error", error.message, "|", error.remedy, flush=True)
"""


def writer(path: Path, name: str, limit: int = 0, count: int = 10**9) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(limit), str(count)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, cwd=path.parent
    )


def written(store: Store, name: str) -> set[int]:
    found = store.run("r1").measurements
    return {int(m.condition["number"]) for m in found if m.condition["writer"] == name}


def intact(store: Store) -> bool:
    db = sqlite3.connect(store.path)
    try:
        return db.execute("pragma integrity_check").fetchone() == ("ok",)
    finally:
        db.close()


def test_nothing_acknowledged_is_lost_when_a_writer_is_killed(store: Store):
    for turn in range(8):
        process = writer(store.path, str(turn))
        process.stdout.readline()
        time.sleep(0.01 + 0.013 * turn)
        process.send_signal(signal.SIGKILL)
        said = [-1, *(int(line) for line in process.stdout.read().split("\n") if line.isdigit())]
        process.wait()
        process.stdout.close()
        acknowledged = set(range(max(0, *said) + 1))
        assert acknowledged <= written(store, str(turn))
        assert {f"{turn} {n}" for n in acknowledged} <= store.finished("r1")
    assert intact(store)


def test_two_processes_write_at_once(store: Store):
    both = [writer(store.path, name, count=40) for name in "ab"]
    for process in both:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert written(store, "a") == written(store, "b") == set(range(40))
    assert intact(store)


def test_a_file_that_may_not_grow_says_so_and_loses_nothing(store: Store):
    process = writer(store.path, "full", limit=200_000)
    said, _ = process.communicate(timeout=60)
    *numbers, last = said.strip().split("\n")
    assert last.startswith("error Results cannot be kept")
    assert "Check that the disk has room" in last
    assert len(numbers) > 10
    assert set(map(int, numbers)) <= written(store, "full")
    assert intact(store)
    store.add_measurements("r1", [row(3.0, writer="me", number="0")])  # with room again, it goes on
    assert written(store, "me") == {0}


def test_a_full_disk_says_so_and_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch):
    """SQLite's own limit on pages gives the error of a full disk."""
    connect = sqlite3.connect

    def small(*args: Any, **options: Any) -> sqlite3.Connection:
        db = connect(*args, **options)
        db.execute("pragma max_page_count = 40")
        return db

    monkeypatch.setattr(sqlite3, "connect", small)
    kept = 0
    with pytest.raises(StoreError, match="full") as raised:  # noqa: PT012 - counts what went well
        while True:
            store.add_measurements("r1", [row(float(kept), number=str(kept), ballast="x" * 2000)])
            kept += 1
    assert "free some space" in raised.value.remedy
    assert [m.value for m in store.run("r1").measurements] == [float(i) for i in range(kept)]
    assert kept > 5


def test_rows_are_plain_json(store: Store):
    store.add_measurements("r1", [row(1.0)])
    db = sqlite3.connect(store.path)
    (body,) = db.execute("select body from measurements").fetchone()
    db.close()
    assert json.loads(body)["value"] == 1.0


def kept_by_0_1_0(store: Store, host: Host, digest: str = "") -> Measurement:
    """A row as version 0.1.0 wrote it, read back."""
    store.set_host("r1", host)
    store.add_measurements("r1", [row(2.0, threads="2")])
    with store._open() as db:
        (body,) = db.execute("select body from measurements").fetchone()
        old = json.loads(body) | {"host": digest or host.digest}
        del old["target"]
        db.execute("update measurements set body = ?", (json.dumps(old),))
    return store.run("r1").measurements[0]


def test_a_row_of_0_1_0_is_read_with_the_target_of_its_host(store: Store):
    host = replace(HOST, versions={"python": "3", "openvino": "2026.4", "opencv": "5"})
    found = kept_by_0_1_0(store, host).target
    assert found == Target(host.device.id, "openvino", "2026.4", "f32", 2)
    more = replace(host, versions={**host.versions, "ncnn": "1"})
    assert found.compares(more.target("openvino", 1))
    assert not found.compares(replace(host, cpu="another").target("openvino", 2))
    newer = replace(host, versions={**host.versions, "openvino": "2027.0"})
    assert not found.compares(newer.target("openvino", 2))


def test_a_row_of_another_host_of_0_1_0_compares_with_nothing(store: Store):
    found = kept_by_0_1_0(store, HOST, "0123456789abcdef").target
    assert (found.device, found.version) == ("0123456789abcdef", "")
    assert not found.compares(HOST.target("openvino", 2))


def test_the_digest_of_a_host_is_that_of_0_1_0():
    assert HOST.digest == "d948d0dea1ff8544"


def test_a_damaged_run_says_so_and_leaves_the_others(store: Store) -> None:
    store.add_run(run("r2"))
    with sqlite3.connect(store.path) as db:
        db.execute("update runs set model = '{\"digest\": 3}' where id = 'r1'")
    with pytest.raises(StoreError, match="cannot be read"):
        store.run("r1")
    assert store.run("r2") is not None
