"""Results across runs, bookmarks and live runs, in the store that they are kept in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import StoreError
from core.records import Bookmark, RunProgress, State
from core.runs import queue
from core.runs.store import Store
from core.workspace import Workspace
from core.workspace import results as room
from core.workspace.results import tidy
from tests.charts import builders as b

OWNER = "me"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = Workspace.open(tmp_path / "home")
    yield opened
    opened.close()


@pytest.fixture
def store(workspace: Workspace, tmp_path: Path) -> Store:
    return Store(tmp_path / "home" / "lathe.sqlite3")


def put(store: Store, run_id: str, owner: str = OWNER, state: State = State.DONE) -> None:
    run = b.run(id=run_id, owner=owner, progress=RunProgress(state, 10, 10))
    store.add_run(run)
    store.set_host(run_id, b.HOST)
    for at, outcome in enumerate(run.outcomes):
        store.add_outcome(run_id, at, outcome)
    store.add_measurements(run_id, run.measurements)


def test_rows_are_read_once(workspace, store, monkeypatch):
    put(store, "a")
    put(store, "b")
    first = workspace.results.of(OWNER, b.BASE)
    assert [r.run for r in first] == ["b"] * 9 + ["a"] * 9  # the newest run first

    def never(run: object) -> None:
        raise AssertionError("rows were read again")

    monkeypatch.setattr(room, "results_of", never)
    assert workspace.results.of(OWNER, b.BASE) == first
    assert workspace.results.of("another", b.BASE) == ()
    assert workspace.results.of(OWNER, "f" * 64) == ()


def test_a_run_that_goes_on_is_read_anew(workspace, store):
    put(store, "a")
    before = workspace.results.of(OWNER, b.BASE)
    store.set_progress("a", RunProgress(State.DONE, 10, 10))
    faster = [
        replace(m, value=0.5, low=0.5, high=0.5)
        for m in b.measurements()
        if (m.candidate, m.metric, m.backend) == (b.PRUNED, "latency_ratio", "openvino")
    ]
    store.add_measurements("a", faster)
    assert workspace.results.of(OWNER, b.BASE) != before


def test_what_is_still_measured_is_not_kept(workspace, store, monkeypatch):
    put(store, "a", state=State.RUNNING)
    monkeypatch.setattr(queue, "is_leased", lambda home, run_id: True)
    before = workspace.results.of(OWNER, b.BASE)
    store.add_measurements("a", [replace(m, value=1.0) for m in b.measurements() if m.value])
    assert workspace.results.of(OWNER, b.BASE) != before


def test_bookmarks_are_each_owners_and_go_with_their_run(workspace, store):
    put(store, "a")
    key, mark = ("a", b.PRUNED), Bookmark("mine", "note", ("x",), True)
    workspace.results.bookmark(key, mark, OWNER)
    workspace.results.bookmark(key, Bookmark(pinned=True), "another")
    assert workspace.results.bookmarks(OWNER) == {key: mark}
    workspace.results.bookmark(key, Bookmark(), OWNER)
    assert workspace.results.bookmarks(OWNER) == {}
    assert workspace.results.bookmarks("another") == {key: Bookmark(pinned=True)}
    workspace.runs.delete("a", OWNER)
    assert workspace.results.bookmarks("another") == {}


def test_a_run_that_is_not_there_takes_no_bookmark(workspace):
    with pytest.raises(StoreError):
        workspace.results.bookmark(("gone", b.PRUNED), Bookmark("x"), OWNER)


def test_a_bookmark_is_no_longer_than_a_page_can_show():
    kept = tidy(
        Bookmark("  a \n b " * 200, "n" * 9999, ("t", " t ", "", "u" * 99, *map(str, range(50))))
    )
    assert kept.name.startswith("a b a b")
    assert (len(kept.name), len(kept.note), len(kept.tags)) == (120, 2000, 12)
    assert kept.tags[:2] == ("t", "u" * 40)


def test_live_runs_say_how_many_are_ahead(workspace, store, monkeypatch):
    put(store, "done")
    put(store, "theirs", "another", State.RUNNING)
    put(store, "dead", "another", State.RUNNING)
    put(store, "mine", OWNER, State.QUEUED)
    put(store, "later", OWNER, State.QUEUED)
    monkeypatch.setattr(queue, "is_leased", lambda home, run_id: run_id != "dead")
    found = workspace.results.live(OWNER)
    assert [(one.id, one.ahead) for one in found] == [("mine", 1), ("later", 2)]
    assert (found[0].model, found[0].title) == ("resnet", "resnet: prune and int8")
    assert [one.id for one in workspace.results.live("another")] == ["theirs"]
