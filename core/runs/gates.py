"""Gates: uploads are read side by side, one of each visitor at a time, the others in fair turns.

Reading is done by children, so the system shares the cores out between those that read; a small
upload is through soon beside a large one of somebody else. Who has to wait is told behind whom.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core.errors import StoreError
from core.pipeline.client import Workshop

POLL_S = 0.2
MOST_WAITING = 4  # uploads of one visitor, besides the one that is read

Tell = Callable[[str], None]


@dataclass(eq=False)
class _Turn:
    visitor: str
    ticket: int


class Gates:
    """Children that take uploads in, and the line in front of them. Thread-safe."""

    def __init__(self, at_once: int, start: Callable[[], Workshop] = Workshop) -> None:
        """Nothing is started before it is needed.

        Args:
            at_once: uploads of different visitors that are read at the same time.
            start: makes a child.
        """
        self._at_once, self._start = at_once, start
        self._change = threading.Condition()
        self._waiting: list[_Turn] = []
        self._inside: dict[_Turn, Workshop | None] = {}
        self._served: dict[str, int] = {}
        self._tickets = 0
        self._idle: Workshop | None = None
        self._closed = False

    @contextlib.contextmanager
    def enter(self, visitor: str, tell: Tell | None = None) -> Iterator[Workshop]:
        """A child for one upload, when it is this visitor's turn.

        Args:
            visitor: whose upload it is.
            tell: called several times a second while it waits; what it raises ends the waiting.

        Raises:
            StoreError: too many of this visitor's uploads wait already.
        """
        turn = self._stand_in_line(visitor)
        try:
            self._wait(turn, tell or (lambda words: None))
            yield self._workshop(turn)
        finally:
            self._leave(turn)

    def warm(self) -> None:
        """Have a child ready for the next upload: its imports run while nobody waits."""
        with self._change:
            if self._idle is None and not self._inside and not self._closed:
                self._idle = self._start()

    def close(self) -> None:
        """End the children, also those that are reading."""
        with self._change:
            self._closed = True
            idle, busy = self._idle, list(self._inside.values())
            self._idle = None
            self._change.notify_all()
        for workshop in (idle, *busy):
            if workshop is not None:
                workshop.close()

    def _stand_in_line(self, visitor: str) -> _Turn:
        with self._change:
            if sum(turn.visitor == visitor for turn in self._waiting) >= MOST_WAITING:
                raise StoreError(
                    f"{MOST_WAITING} of your uploads wait to be read.", "Wait until one is done."
                )
            self._tickets += 1
            turn = _Turn(visitor, self._tickets)
            self._waiting.append(turn)
            return turn

    def _wait(self, turn: _Turn, tell: Tell) -> None:
        while True:
            with self._change:
                if self._closed:
                    raise StoreError("The server is being stopped.", "Upload it again later.")
                if self._next() is turn:
                    self._waiting.remove(turn)
                    self._inside[turn] = None
                    self._tickets += 1
                    self._served[turn.visitor] = self._tickets
                    self._change.notify_all()
                    return
                words = self._words(turn)
            tell(words)
            with self._change:
                if self._next() is not turn:
                    self._change.wait(POLL_S)

    def _workshop(self, turn: _Turn) -> Workshop:
        with self._change:
            workshop, self._idle = self._idle, None
        workshop = workshop or self._start()
        with self._change:
            self._inside[turn] = workshop
        return workshop

    def _leave(self, turn: _Turn) -> None:
        """Go; one child stays warm for the next upload, others end."""
        with self._change:
            if turn in self._waiting:
                self._waiting.remove(turn)
            workshop = self._inside.pop(turn, None)
            if workshop is not None and self._idle is None and not self._closed:
                self._idle, workshop = workshop, None
            self._change.notify_all()
        if workshop is not None:
            workshop.close()

    def _next(self) -> _Turn | None:
        """Whose turn it is: of those who read nothing now, who was served longest ago."""
        reading = {turn.visitor for turn in self._inside}
        ready = [turn for turn in self._waiting if turn.visitor not in reading]
        if len(self._inside) >= self._at_once or not ready:
            return None
        return min(ready, key=self._rank)

    def _rank(self, turn: _Turn) -> tuple[int, int]:
        return self._served.get(turn.visitor, 0), turn.ticket

    def _words(self, turn: _Turn) -> str:
        """What a turn waits for."""
        if any(turn.visitor == other.visitor for other in self._inside):
            return "waiting until your other upload is read"
        others = len(self._inside)
        ahead = sum(self._rank(other) < self._rank(turn) for other in self._waiting)
        said = "an upload of another visitor is" if others == 1 else f"{others} uploads are"
        behind = f", {ahead} more before yours" if ahead else ""
        return f"waiting for its turn: {said} being read{behind}"
