"""Turns: background work for several visitors, one piece at a time and fair between them.

Who asks keeps asking, as pages do that look again and again; what nobody has asked for a while is
not begun any more (a slider's earlier question, a tab that was closed). The next turn goes to the
visitor who was served longest ago.
Work that is running is never stopped for another question, only where nobody looks any more, or
where a measurement waits for the machine: then it steps back and comes again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core.devices.local import lock
from core.measure import Cancelled

PATIENCE_S = 20.0  # without a question, while others wait
STEP_BACK_S = 2.0  # that a measurement waits before the work makes room

WITHDRAWN = float("-inf")

Check = Callable[[], None]
Work = Callable[[Check], None]


@dataclass
class _Turn:
    visitor: str
    work: Work
    first_s: float
    asked_s: float = field(default=0.0)


class Turns:
    """A queue with one thread. Thread-safe; the thread lives as long as there is work."""

    def __init__(
        self,
        wanted: Callable[[], bool] = lock.is_waited_for,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Nothing runs before it is asked for.

        Args:
            wanted: whether somebody waits to have the machine alone.
            clock: seconds.
            patience_s: without a question, after which work that others wait for is let go.
        """
        self.wanted, self.clock, self._patience_s = wanted, clock, patience_s
        self._guard = threading.Lock()
        self._waiting: dict[str, _Turn] = {}
        self._served: dict[str, float] = {}
        self._key = ""
        self._now: _Turn | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def ask(self, key: str, visitor: str, work: Work) -> None:
        """Have `work` done, or say that its result is still wanted.

        Args:
            key: names the result; who asks for the same one shares it.
            visitor: whose turn it takes.
            work: given a function to call often, which raises Cancelled.
        """
        with self._guard:
            now = self.clock()
            turn = self._now if key == self._key and self._now else self._waiting.get(key)
            if turn is None:
                turn = self._waiting[key] = _Turn(visitor, work, now)
            turn.asked_s = now
            if not self._closed and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()

    def still(self, key: str) -> None:
        """Say that a result which was asked for before is still wanted."""
        with self._guard:
            turn = self._now if key == self._key else self._waiting.get(key)
            if turn is not None and turn.asked_s != WITHDRAWN:
                turn.asked_s = self.clock()

    def before(self, key: str) -> int | None:
        """How many pieces of work come before this one; 0 while it runs, None if it is not here."""
        with self._guard:
            if key == self._key:
                return 0
            order = sorted(self._waiting, key=self._rank)
            return order.index(key) + bool(self._key) if key in order else None

    def withdraw(self, key: str) -> None:
        """Let go of a piece of work: nobody wants it any more."""
        with self._guard:
            self._waiting.pop(key, None)
            if key == self._key and self._now:
                self._now.asked_s = WITHDRAWN

    def close(self) -> None:
        """Stop what runs, and begin nothing more."""
        with self._guard:
            self._closed = True
            self._waiting.clear()

    @property
    def is_closed(self) -> bool:
        """Whether nothing begins any more."""
        return self._closed

    def _work(self) -> None:
        while (found := self._next()) is not None:
            key, turn = found
            step = _Step(self, turn)
            try:
                with contextlib.suppress(Cancelled):
                    turn.work(step.check)
            finally:
                self._end(key, turn, again=step.made_room)

    def _next(self) -> tuple[str, _Turn] | None:
        with self._guard:
            self._waiting = {k: t for k, t in self._waiting.items() if not self._is_stale(t)}
            if self._closed or not self._waiting:
                self._thread = None
                return None
            key = min(self._waiting, key=self._rank)
            turn = self._waiting.pop(key)
            self._key, self._now = key, turn
            self._served[turn.visitor] = self.clock()
            return key, turn

    def _end(self, key: str, turn: _Turn, again: bool) -> None:
        with self._guard:
            self._key, self._now = "", None
            if again and not self._closed and not self._is_stale(turn):
                self._waiting.setdefault(key, turn)

    def _rank(self, key: str) -> tuple[float, float]:
        turn = self._waiting[key]
        return self._served.get(turn.visitor, -1.0), turn.first_s

    def _is_stale(self, turn: _Turn) -> bool:
        return self.clock() - turn.asked_s > self._patience_s

    def is_over(self, turn: _Turn) -> bool:
        """Whether a running turn is to end: closed, withdrawn, or forgotten while others wait."""
        with self._guard:
            others = any(not self._is_stale(other) for other in self._waiting.values())
            withdrawn = turn.asked_s == WITHDRAWN
            return self._closed or withdrawn or (others and self._is_stale(turn))


class _Step:
    """What a running piece of work asks again and again: may it go on?"""

    def __init__(self, turns: Turns, turn: _Turn) -> None:
        self._turns, self._turn = turns, turn
        self._waited_s: float | None = None
        self.made_room = False

    def check(self) -> None:
        """Raise Cancelled where the work has to stop."""
        if self._turns.is_over(self._turn):
            raise Cancelled
        if not self._turns.wanted():
            self._waited_s = None
            return
        now = self._turns.clock()
        self._waited_s = now if self._waited_s is None else self._waited_s
        if now - self._waited_s >= STEP_BACK_S:
            self.made_room = True
            raise Cancelled
