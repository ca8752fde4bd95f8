"""Turns: fair between visitors, nothing thrown away, room for a measurement that waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from core.runs.on_demand.turns import PATIENCE_S, STEP_BACK_S, Check, Turns

WAIT_S = 10.0


class Bench:
    """Work that goes on until it is let go, under a clock that the test moves."""

    def __init__(self) -> None:
        self.now, self.wanted = 0.0, False
        self.turns = Turns(lambda: self.wanted, lambda: self.now)
        self.begun: list[str] = []
        self.done: list[str] = []
        self._go = {key: threading.Event() for key in "abcdef"}
        self._seen = threading.Condition()

    def ask(self, key: str, visitor: str) -> None:
        self.turns.ask(key, visitor, self._work(key))

    def _work(self, key: str) -> Callable[[Check], None]:
        def work(check: Check) -> None:
            self._say(self.begun, key)
            while not self._go[key].wait(0.005):
                check()
            self._say(self.done, key)

        return work

    def _say(self, where: list[str], key: str) -> None:
        with self._seen:
            where.append(key)
            self._seen.notify_all()

    def finish(self, key: str) -> None:
        self._go[key].set()

    def until(self, where: list[str], count: int) -> None:
        with self._seen:
            assert self._seen.wait_for(lambda: len(where) >= count, WAIT_S), (self.begun, self.done)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.turns.close()
    for key in "abcdef":
        made.finish(key)


def test_two_visitors_both_get_their_answers(bench: Bench) -> None:
    """Each polls its own question; neither ends the other's work."""
    for _ in range(50):
        bench.ask("a", "one")
        bench.ask("b", "two")
    bench.until(bench.begun, 1)
    bench.finish("a")
    bench.until(bench.begun, 2)
    bench.finish("b")
    bench.until(bench.done, 2)
    assert bench.begun == ["a", "b"]


def test_who_was_served_longest_ago_comes_next(bench: Bench) -> None:
    for key, visitor in [("a", "one"), ("b", "one"), ("c", "one"), ("d", "two")]:
        bench.now += 0.1
        bench.ask(key, visitor)
    bench.until(bench.begun, 1)
    assert [bench.turns.before(key) for key in "abcd"] == [0, 2, 3, 1]
    for count, key in enumerate("adbc", 1):
        bench.now += 0.1
        bench.finish(key)
        bench.until(bench.done, count)
    assert bench.done == ["a", "d", "b", "c"]


def test_what_nobody_looks_at_makes_room_for_what_somebody_does(bench: Bench) -> None:
    bench.ask("a", "one")
    bench.until(bench.begun, 1)
    bench.now += PATIENCE_S + 1
    bench.ask("b", "two")
    bench.until(bench.begun, 2)
    bench.finish("b")
    bench.until(bench.done, 1)
    assert bench.done == ["b"]


def test_what_nobody_looks_at_goes_on_while_nobody_waits(bench: Bench) -> None:
    bench.ask("a", "one")
    bench.until(bench.begun, 1)
    bench.now += PATIENCE_S + 1
    bench.finish("a")
    bench.until(bench.done, 1)


def test_a_measurement_that_waits_gets_the_machine_and_the_work_comes_again(bench: Bench) -> None:
    bench.ask("a", "one")
    bench.until(bench.begun, 1)
    bench.wanted = True
    while len(bench.begun) < 2:
        bench.now += STEP_BACK_S
        bench.until(bench.begun, 1)
        threading.Event().wait(0.01)
        bench.ask("a", "one")
        bench.wanted = len(bench.begun) < 2 and bench.wanted
    bench.wanted = False
    bench.finish("a")
    bench.until(bench.done, 1)
    assert bench.done == ["a"]


def test_what_is_withdrawn_is_not_done(bench: Bench) -> None:
    bench.ask("a", "one")
    bench.ask("b", "one")
    bench.until(bench.begun, 1)
    bench.turns.withdraw("b")
    assert bench.turns.before("b") is None
    bench.turns.withdraw("a")
    bench.ask("c", "one")
    bench.until(bench.begun, 2)
    assert bench.begun == ["a", "c"]


def test_what_nobody_asks_for_any_more_is_not_begun(bench: Bench) -> None:
    bench.ask("a", "one")
    bench.until(bench.begun, 1)
    bench.ask("b", "one")
    bench.now += PATIENCE_S + 1
    bench.ask("a", "one")
    bench.ask("c", "one")
    bench.finish("a")
    bench.until(bench.begun, 2)
    bench.finish("c")
    bench.until(bench.done, 2)
    assert bench.begun == ["a", "c"]
    assert bench.turns.before("b") is None
