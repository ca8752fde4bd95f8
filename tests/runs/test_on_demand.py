"""Work on demand: asked, polled, waited for, stopped; failures are answers, told once at least."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import DataError, StoreError, WorkerCrashed
from core.records import Recipe
from core.runs.on_demand import OnDemand, Shelf, Step, Turns, key_of

WAIT_S = 10.0


@pytest.fixture
def turns() -> Iterator[Turns]:
    made = Turns(lambda: False)
    yield made
    made.close()


def answering(turns: Turns, folder: Path | None = None, **rules: float) -> OnDemand[Recipe]:
    shelf: Shelf[Recipe] = Shelf(Recipe, folder)
    return OnDemand(turns, shelf, **rules)


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def failing(error: Exception, asked: list[str]) -> Callable[[Step], Recipe]:
    def work(_: Step) -> Recipe:
        asked.append("once more")
        raise error

    return work


def test_an_answer_is_found_once_for_all_who_poll_and_by_the_next_server(turns, tmp_path: Path):
    begun: list[int] = []
    go = threading.Event()

    def work(step: Step) -> Recipe:
        begun.append(1)
        go.wait(WAIT_S)
        return Recipe("found")

    asked = answering(turns, tmp_path)
    assert [asked.ask("k", work, visitor) for visitor in ("one", "two", "one")] == [None] * 3
    go.set()
    assert until(lambda: asked.ask("k", work)) == Recipe("found")
    assert answering(turns, tmp_path).known("k") == Recipe("found")
    assert len(begun) == 1


def test_who_waits_gets_it_and_who_waits_a_moment_gets_nothing(turns):
    go = threading.Event()

    def work(step: Step) -> Recipe:
        go.wait(WAIT_S)
        return Recipe("found")

    asked = answering(turns)
    assert asked.wait("k", work, wait_s=0.01) is None
    go.set()
    assert asked.wait("k", work) == Recipe("found")


def test_who_waits_is_let_go_when_the_server_ends(turns):
    turns.close()
    assert answering(turns).wait("k", lambda step: Recipe("never")) is None


def test_what_is_wrong_with_the_question_stands(turns):
    tried: list[str] = []
    asked = answering(turns)
    for _ in range(3):
        with pytest.raises(DataError, match="no images"):
            asked.wait("k", failing(DataError("no images"), tried))
    assert len(tried) == 1


def test_the_death_of_a_child_is_told_and_then_tried_again(turns):
    tried: list[str] = []
    asked = answering(turns)
    with pytest.raises(WorkerCrashed):
        asked.wait("k", failing(WorkerCrashed("killed"), tried))
    assert asked.wait("k", lambda step: Recipe("found")) == Recipe("found")
    assert len(tried) == 1


def test_a_failure_that_nobody_polled_for_in_time_is_told_all_the_same(turns):
    asked = answering(turns, stands_s=0.0)
    asked.ask("k", failing(DataError("no images"), []))
    until(lambda: turns.before("k") is None)
    with pytest.raises(DataError):
        asked.ask("k", lambda step: Recipe("found"))


def test_a_bug_surfaces_where_it_was_asked_for_and_the_queue_goes_on(turns):
    asked = answering(turns)
    with pytest.raises(ZeroDivisionError):
        asked.wait("k", failing(ZeroDivisionError(), []))
    assert asked.wait("other", lambda step: Recipe("found")) == Recipe("found")


def test_a_full_disk_has_a_reason(turns):
    asked = answering(turns)
    with pytest.raises(StoreError, match="cannot be written"):
        asked.wait("k", failing(OSError(errno.ENOSPC, "No space left on device"), []))


def test_what_is_stopped_ends_and_begins_anew(turns):
    begun: list[int] = []

    def work(step: Step) -> Recipe:
        begun.append(1)
        step.count(len(begun), 2)
        step.lacks("part", "a reason")
        while len(begun) < 2:
            step.check()
            time.sleep(0.005)
        return Recipe("found")

    asked = answering(turns)
    asked.ask("k", work)
    until(lambda: asked.standing("k").done)
    assert asked.standing("k").is_running
    asked.stop("k")
    until(lambda: asked.standing("k").ahead is None)
    assert asked.standing("k").reasons == {"part": "a reason"}
    assert asked.wait("k", work) == Recipe("found")
    assert asked.standing("k").done == 2


def test_who_needs_it_now_shares_it_with_who_works_on_it(turns):
    begun: list[int] = []
    go = threading.Event()

    def work(step: Step) -> Recipe:
        begun.append(1)
        go.wait(WAIT_S)
        return Recipe("found")

    asked = answering(turns)
    asked.ask("k", work)
    until(lambda: begun)
    threading.Timer(0.05, go.set).start()
    assert asked.now("k", work) == Recipe("found")
    assert len(begun) == 1


def test_work_without_a_shelf_is_done_whenever_it_is_asked_for(turns):
    done: list[int] = []
    asked: OnDemand[None] = OnDemand(turns)
    for count in (1, 2):
        asked.ask("k", lambda step: done.append(1))
        until(lambda count=count: len(done) == count and turns.before("k") is None)


def test_a_shelf_forgets_the_oldest_and_reads_what_is_on_disk(tmp_path: Path):
    shelf: Shelf[Recipe] = Shelf(Recipe, tmp_path / "kept", most=1)
    for name in ("a", "b"):
        shelf.put(name, Recipe(name))
    (tmp_path / "kept" / "b.json").unlink()
    assert [shelf.get(name) for name in ("b", "a", "b")] == [Recipe("b"), Recipe("a"), None]


def test_the_same_question_has_the_same_name():
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1})
