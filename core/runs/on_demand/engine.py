"""Job engine for questions: asked for by whoever does not wait, worked on in turns, answered once.

A failure is an answer as well. A CoreError says something of the question and stands; the death of
a child says nothing of the next one, so that it stands for a moment only; each is told at least
once. What is no CoreError is a bug, and surfaces where the question was asked.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic

from core.errors import CoreError, WorkerError, no_room
from core.measure import Cancelled
from core.runs.on_demand.shelf import Answer, Shelf
from core.runs.on_demand.turns import Check, Turns

FOR_EVER = float("inf")
POLL_S = 1.0  # of who waits: often enough to be still wanted


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a piece of work is.

    Attributes:
        ahead: pieces of work before it; 0 while it runs, None where it is not asked for.
        words: what it does.
        done: parts of it, of `total`.
        begun_s: when the first part was told of, by the monotonic clock; 0 before.
        reasons: why parts of it came to nothing.
    """

    ahead: int | None = None
    words: str = ""
    done: int = 0
    total: int = 0
    begun_s: float = 0.0
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Whether it is being worked on now."""
        return self.ahead == 0

    @property
    def eta_s(self) -> float | None:
        """Seconds left, by those that went by since the first part was told of."""
        if not self.done or not self.begun_s:
            return None
        return (time.monotonic() - self.begun_s) / self.done * (self.total - self.done)


class Step:
    """What a piece of work is given: a check to call often, and somebody to tell how far it is."""

    def __init__(self, check: Check = lambda: None) -> None:
        """`check` raises Cancelled where the work has to stop."""
        self.check = check
        self.standing = Standing()

    def cancelled(self) -> bool:
        """`check` as a question: it raises where the answer is yes."""
        self.check()
        return False

    def tell(self, words: str) -> None:
        """Say what it does."""
        self.standing = replace(self.standing, words=words)

    def count(self, done: int, total: int) -> None:
        """Say how many parts are done; the clock runs from the first one on."""
        begun_s = self.standing.begun_s or (time.monotonic() if done else 0.0)
        self.standing = replace(self.standing, done=done, total=total, begun_s=begun_s)

    def lacks(self, part: str, reason: str) -> None:
        """Say why a part came to nothing."""
        self.standing = replace(self.standing, reasons={**self.standing.reasons, part: reason})


Work = Callable[[Step], Answer]


@dataclass
class _Failure:
    error: Exception
    when_s: float = field(default_factory=time.monotonic)
    is_told: bool = False


class OnDemand(Generic[Answer]):
    """Questions of one kind. Thread-safe; keys are unique among all that share the turns."""

    def __init__(
        self,
        turns: Turns,
        shelf: Shelf[Answer] | None = None,
        stands_s: float = FOR_EVER,
        child_died_s: float = 0.0,
    ) -> None:
        """Nothing starts before it is asked for.

        Args:
            turns: the queue, which may be shared with other kinds of work.
            shelf: keeps the answers; None where the work itself puts them where they belong.
            stands_s: how long a failure is the answer, before the question is worked on anew.
            child_died_s: likewise, where a child died of it.
        """
        self._turns, self._shelf = turns, shelf
        self._stands_s, self._child_died_s = stands_s, child_died_s
        self._working, self._over = threading.Lock(), threading.Condition()
        self._steps: Shelf[Step] = Shelf(Step)
        self._failures: Shelf[_Failure] = Shelf(_Failure)

    def known(self, key: str) -> Answer | None:
        """What was found before; nothing is asked for."""
        return self._shelf.get(key) if self._shelf is not None else None

    def ask(self, key: str, work: Work[Answer], visitor: str = "") -> Answer | None:
        """What is known; None while it is being worked on, which this call asks for.

        Who waits for the answer calls again: what nobody asks for any more may lose its turn.

        Args:
            key: of the question.
            work: finds the answer; is given a `Step`.
            visitor: whose turn it takes.

        Raises:
            CoreError: there is none, and why.
        """
        if (found := self.known(key)) is not None:
            return found
        self._raise(key)
        if self._turns.before(key) is None:
            self._steps.drop(key)
        self._turns.ask(key, visitor, functools.partial(self._do, key, work))
        return None

    def wait(
        self, key: str, work: Work[Answer], visitor: str = "", wait_s: float | None = None
    ) -> Answer | None:
        """As `ask`, but for an answer that comes within `wait_s`; None waits for ever.

        Raises:
            CoreError: there is no answer, and why.
        """
        until_s = time.monotonic() + (FOR_EVER if wait_s is None else wait_s)
        while (found := self.ask(key, work, visitor)) is None and not self._turns.is_closed:
            with self._over:
                if (left_s := until_s - time.monotonic()) <= 0:
                    return None
                if self._turns.before(key) is not None:
                    self._over.wait(min(left_s, POLL_S))
        return found

    def now(self, key: str, work: Work[Answer], step: Step | None = None) -> Answer:
        """What is known, or else is worked on in this thread; who asks meanwhile shares it.

        Args:
            key: of the question.
            work: finds the answer.
            step: of the work that needs it.

        Raises:
            CoreError: there is no answer, and why.
        """
        if (found := self.known(key)) is not None:
            return found
        with self._working:
            if (found := self.known(key)) is None:
                self._raise(key, untold=False)
                found = self._found(key, work, step or Step())
        return found

    def standing(self, key: str) -> Standing:
        """How far this piece of work is, or was when it ended; who looks still wants it."""
        self._turns.still(key)
        step = self._steps.get(key) or Step()
        return replace(step.standing, ahead=self._turns.before(key))

    def stop(self, key: str) -> None:
        """Nobody wants this one any more; asked for again, it begins anew."""
        self._turns.withdraw(key)

    def _do(self, key: str, work: Work[Answer], check: Check) -> None:
        step = Step(check)
        self._steps.put(key, step)
        try:
            self.now(key, work, step)
        except Cancelled:
            raise
        except Exception:
            return  # kept by `_found`, and raised in who asks
        finally:
            step.tell("")
            with self._over:
                self._over.notify_all()

    def _found(self, key: str, work: Work[Answer], step: Step) -> Answer:
        try:
            found = work(step)
        except Cancelled:
            raise
        except Exception as error:
            full = no_room(error) if isinstance(error, OSError) else None
            self._failures.put(key, _Failure(full or error))
            if full is not None:
                raise full from error
            raise
        if self._shelf is not None:
            self._shelf.put(key, found)
        return found

    def _raise(self, key: str, untold: bool = True) -> None:
        """Raise what the question failed with, where that still stands, or nobody heard of it."""
        if (failed := self._failures.get(key)) is None:
            return
        stands_s = self._stands_s if isinstance(failed.error, CoreError) else 0.0
        stands_s = self._child_died_s if isinstance(failed.error, WorkerError) else stands_s
        is_over = time.monotonic() - failed.when_s >= stands_s
        if is_over and (failed.is_told or not untold):
            self._failures.drop(key)
            return
        failed.is_told = True
        raise failed.error
