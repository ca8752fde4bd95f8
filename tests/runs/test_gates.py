"""Gates: uploads of one visitor never keep another's waiting, and who waits hears for what."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from core.errors import StoreError
from core.runs.gates import MOST_WAITING, Gates

WAIT_S = 10.0


@dataclass
class Child:
    """Stands in for a workshop."""

    ended: bool = False

    def close(self) -> None:
        self.ended = True


@dataclass
class Street:
    """Visitors in front of gates; each stays inside until it is let go."""

    at_once: int
    children: list[Child] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    heard: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gates = Gates(self.at_once, self.child)
        self.change = threading.Condition()
        self.free: set[str] = set()

    def child(self) -> Child:
        self.children.append(Child())
        return self.children[-1]

    def come(self, name: str) -> None:
        """An upload called like its visitor and a number."""
        thread = threading.Thread(target=self._upload, args=(name,))
        self.threads.append(thread)
        thread.start()
        self.until(lambda: name in {*self.order, *self.heard, *self.refused})

    def _upload(self, name: str) -> None:
        try:
            with self.gates.enter(name.split()[0], lambda words: self._hear(name, words)):
                self._say(self.order, name)
                with self.change:
                    assert self.change.wait_for(lambda: name in self.free, WAIT_S)
        except StoreError as error:
            self._say(self.refused, error.message)
            self._say(self.refused, name)

    def _hear(self, name: str, words: str) -> None:
        with self.change:
            self.heard[name] = words
            self.change.notify_all()

    def _say(self, where: list[str], word: str) -> None:
        with self.change:
            where.append(word)
            self.change.notify_all()

    def go(self, name: str) -> None:
        with self.change:
            self.free.add(name)
            self.change.notify_all()

    def until(self, met) -> None:
        with self.change:
            assert self.change.wait_for(met, WAIT_S), (self.order, self.heard)


@pytest.fixture(params=[2])
def street(request: pytest.FixtureRequest) -> Iterator[Street]:
    made = Street(request.param)
    yield made
    with made.change:
        made.free |= {*made.order, *made.heard}
        made.change.notify_all()
    made.gates.close()
    for thread in made.threads:
        thread.join(WAIT_S)


def test_a_large_upload_does_not_keep_another_visitor_waiting(street: Street) -> None:
    street.come("ann 1")
    street.come("ann 2")
    street.come("ann 3")
    street.come("bob 1")
    assert street.order == ["ann 1", "bob 1"]
    assert street.heard["ann 2"] == "waiting until your other upload is read"


def test_who_was_served_longest_ago_is_next(street: Street) -> None:
    for name in ("ann 1", "bob 1", "ann 2", "bob 2", "cid 1"):
        street.come(name)
    assert street.heard["cid 1"] == "waiting for its turn: 2 uploads are being read"
    street.go("bob 1")
    street.until(lambda: len(street.order) == 3)
    assert street.order[-1] == "cid 1"  # who has had nothing yet, before bob's second one
    street.go("ann 1")
    street.until(lambda: len(street.order) == 4)
    assert street.order[-1] == "ann 2"


@pytest.mark.parametrize("street", [1], indirect=True)
def test_who_waits_hears_how_many_come_first(street: Street) -> None:
    for name in ("ann 1", "bob 1", "cid 1"):
        street.come(name)
    assert street.heard["bob 1"] == (
        "waiting for its turn: an upload of another visitor is being read"
    )
    assert street.heard["cid 1"].endswith("is being read, 1 more before yours")


def test_one_visitor_has_only_so_many_uploads_in_line(street: Street) -> None:
    for number in range(MOST_WAITING + 2):
        street.come(f"ann {number}")
    assert street.refused == [
        f"{MOST_WAITING} of your uploads wait to be read.",
        f"ann {MOST_WAITING + 1}",
    ]
    street.come("bob 1")
    assert "bob 1" in street.order


def test_who_gives_up_leaves_the_line(street: Street) -> None:
    class GoneError(Exception):
        pass

    def leave(words: str) -> None:
        raise GoneError

    street.come("ann 1")
    with pytest.raises(GoneError), street.gates.enter("ann", leave):
        pass
    street.go("ann 1")
    street.come("ann 2")
    street.until(lambda: "ann 2" in street.order)


def test_one_child_stays_warm(street: Street) -> None:
    street.come("ann 1")
    street.come("bob 1")
    for name in ("ann 1", "bob 1"):
        street.go(name)
    for thread in street.threads:
        thread.join(WAIT_S)
    assert sorted(child.ended for child in street.children) == [False, True]
    street.come("cid 1")
    assert len(street.children) == 2
    street.gates.close()
    assert all(child.ended for child in street.children)


def test_a_child_can_be_made_ready_and_is_the_one_that_reads():
    street = Street(2)
    street.gates.warm()
    street.gates.warm()
    assert len(street.children) == 1
    with street.gates.enter("ann") as child:
        assert child is street.children[0]
    street.gates.close()
    assert street.children[0].ended
    street.gates.warm()
    assert len(street.children) == 1
