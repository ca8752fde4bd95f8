"""Turns of loaded models, so that a drift of the clock hits all alike.

The model before leaves the caches full of its weights, which costs the next call up to a third,
and its threads may still spin: those are waited for, and calls go uncounted, as `RunIn` says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.backends.base import SelfTimed, Session, Tensors, spins
from core.worker.threads import Queue, settle
from core.worker.timing.plan import RunIn

WARM_S = 0.002  # after a change of sides: as long as the caches, and threads that slept, need
Sample = tuple[float, float]
Timer = Callable[[int], Sample]
Block = list[list[Sample]]


@dataclass
class Side:
    """A model that is timed.

    Attributes:
        timer: wall and CPU nanoseconds of a call, the mean of as many as asked for.
        spins: its threads go on burning a core after a call.
        waited_ns: in line for a core, in calls that count.
    """

    timer: Timer
    spins: bool
    waited_ns: int = 0

    @classmethod
    def of(cls, session: Session, feed: Tensors) -> Side:
        """A session by its own clock, or by this one where it has none."""
        if isinstance(session, SelfTimed):
            return cls(asked(session, feed), spins(session))
        return cls(called(session.run, feed), spins(session))


@dataclass
class Turns:
    """The sides, and whose turn it was.

    Attributes:
        sides: in any order.
        run_in: when calls go uncounted.
        queue: of the threads of this process, where it is to be watched.
        last: whose turn it was; None before the first.
    """

    sides: Sequence[Side]
    run_in: RunIn
    queue: Queue | None = None
    last: int | None = None

    def warm(self, calls: int) -> list[float]:
        """Run each side in; its shortest call in ns."""
        shortest = []
        for index, side in enumerate(self.sides):
            self.take_over(index)
            shortest.append(min(side.timer(1)[0] for _ in range(max(1, calls))))
        return shortest

    def rest(self) -> None:
        """Let threads fall asleep, so that the next turn is a first one."""
        if self.last is not None and self.sides[self.last].spins:
            settle()
        self.last = None

    def block(self, order: Sequence[int], repeats: Sequence[int], samples: int = 1) -> Block:
        """The samples of each side, from turns in this order.

        Args:
            order: of indices of sides.
            repeats: calls of each side's samples.
            samples: in each turn.
        """
        found: Block = [[] for _ in self.sides]
        for index in order:
            found[index] += self._turn(index, repeats[index], samples)
        return found

    def take_over(self, index: int) -> None:
        """Begin a turn: let the threads of the one before fall asleep, then run in."""
        timer = self.sides[index].timer
        slept = self.last is not None and self.sides[self.last].spins
        self.last = index
        if slept:
            settle()
        start = time.perf_counter_ns()
        timer(1)
        while slept and time.perf_counter_ns() - start < WARM_S * 1e9:
            timer(1)

    def _turn(self, index: int, repeat: int, samples: int) -> list[Sample]:
        side, spinning = self.sides[index], any(side.spins for side in self.sides)
        if self.run_in is RunIn.EACH:
            if spinning:
                settle()
            side.timer(1)
        elif index != self.last and (self.run_in is RunIn.CHANGE or spinning):
            self.take_over(index)
        self.last = index
        before_ns = self.queue.waited_ns() if self.queue else 0
        found = [side.timer(repeat) for _ in range(samples)]
        side.waited_ns += self.queue.waited_ns() - before_ns if self.queue else 0
        return found


def called(run: Callable[[Tensors], object], feed: Tensors) -> Timer:
    """A timer of plain calls."""

    def call(repeat: int) -> Sample:
        cpu, start = time.process_time_ns(), time.perf_counter_ns()
        for _ in range(repeat):
            run(feed)
        end, cpu_end = time.perf_counter_ns(), time.process_time_ns()
        return (end - start) / repeat, (cpu_end - cpu) / repeat

    return call


def asked(session: SelfTimed, feed: Tensors) -> Timer:
    """A timer of a session that takes its own times."""

    def ask(repeat: int) -> Sample:
        cpu = time.process_time_ns()
        runs = session.sample(feed, repeat)
        return sum(runs) / len(runs), (time.process_time_ns() - cpu) / repeat

    return ask


def slowed(timer: Timer, extra_ns: float) -> Timer:
    """The same timer with `extra_ns` of busy waiting inside every call."""

    def call(repeat: int) -> Sample:
        wall, cpu = timer(repeat)
        start = time.perf_counter_ns()
        while time.perf_counter_ns() - start < extra_ns * repeat:
            pass
        waited = (time.perf_counter_ns() - start) / repeat
        return wall + waited, cpu + waited

    return call
