"""How far a run is, and how long the rest will take by what its like has taken.

A unit is expected to take what others of its kind took. Before any did, its guess counts, scaled by
how far off the guesses of its family were ("latency" on whatever backend), and by what the same
took for the original alone. Of what is found so, a jump is approached, not followed.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Collection

from core.errors import PassPrecondition
from core.pipeline.clock import Steady
from core.records import RunProgress, State
from core.runs.plan import Unit

BUILD_GUESS_S = 3.0
TOLD_EVERY_S = 0.5
GUESS_WEIGHT = 0.5  # of a guess beside one unit that was timed
GRACE = 0.2  # of a time limit, for what was begun before
PAIR = 1.5  # times what the original alone took, where that came to an end by itself


class OutOfTime(PassPrecondition):
    """What was begun would take longer than there is time."""


class Progress:
    """Where a run stands."""

    def __init__(self, builds: int, units: int, now: Callable[[], float] = time.monotonic) -> None:
        """Nothing is done yet.

        Args:
            builds: models to be made.
            units: that will be measured, about.
            now: seconds.
        """
        self.built = 0
        self._builds, self._total, self._now = builds, builds + units, now
        self._left: list[Unit] = []
        self._done = 0
        self._alone: dict[str, float] = {}
        self._seen: dict[str, list[float]] = {}
        self._families: dict[str, list[tuple[float, float]]] = {}
        self._told_s = -TOLD_EVERY_S
        self._steady = Steady(now)

    def measuring(self, units: list[Unit], finished: frozenset[str]) -> None:
        """The candidates are built: now the work is known."""
        self._left = [unit for unit in units if unit.name not in finished]
        self._total = self._builds + len(units)
        self._done = len(units) - len(self._left)

    def was_early(self, unit: Unit, seconds: float, most_s: float) -> None:
        """The original alone took so long; it was given `most_s` at most."""
        if seconds < most_s:
            self._alone[unit.kind] = seconds * (PAIR if _family(unit) == "latency" else 1.0)

    def finished(self, unit: Unit, seconds: float) -> None:
        """One unit is done."""
        self._families.setdefault(_family(unit), []).append((self._guess(unit), seconds))
        self._seen.setdefault(unit.kind, []).append(seconds)
        self._left.remove(unit)
        self._done += 1

    def is_due(self) -> bool:
        """Whether it is time to say something again."""
        return self._now() - self._told_s > TOLD_EVERY_S

    def now(self, current: str) -> RunProgress:
        """Where the run is."""
        self._told_s = self._now()
        done = self.built + self._done
        known = None
        if self._left:
            found = sum(map(self._expected, self._left))
            found += BUILD_GUESS_S * (self._builds - self.built)
            known = self._steady.follow(found, done / max(1, self._total))
        return RunProgress(State.RUNNING, done, self._total, current, known)

    def end(self, state: State, message: str) -> RunProgress:
        """The last word."""
        done = self.built + self._done
        total = done if state is State.DONE else self._total
        return RunProgress(state, done, total, "", None, message)

    def _expected(self, unit: Unit) -> float:
        seen = self._seen.get(unit.kind, [])
        guess = self._guess(unit) * self._pace(_family(unit))
        return (GUESS_WEIGHT * guess + sum(seen)) / (GUESS_WEIGHT + len(seen))

    def _guess(self, unit: Unit) -> float:
        return self._alone.get(unit.kind, unit.guess_s)

    def _pace(self, family: str) -> float:
        """What the units of a family took, or else all units, as a share of what was guessed."""
        known = self._families.get(family) or [p for f in self._families.values() for p in f]
        guessed, took = (sum(pair[i] for pair in known) for i in (0, 1))
        # Half way, in terms of factors: another backend may be as slow as was guessed.
        return math.sqrt(took / guessed) if guessed > 0 else 1.0


class TimeLimit(Progress):
    """Where a run stands that ends when its time is up: told by the clock, not by its work.

    Time in which the run waits for the machine does not count.
    """

    def __init__(self, limit_s: float, now: Callable[[], float] = time.monotonic) -> None:
        """The time begins now.

        Args:
            limit_s: after which nothing new is begun; what was begun may take a little longer.
            now: seconds.
        """
        super().__init__(0, 0, now)
        self._limit_s, self._start_s = limit_s, now()
        self._looked_s, self._waited_s = now(), 0.0

    def look(self, waiting: bool) -> None:
        """Called again and again: whether the run waits for the machine."""
        now = self._now()
        self._waited_s += now - self._looked_s if waiting else 0.0
        self._looked_s = now

    @property
    def left_s(self) -> float:
        """Seconds until nothing new is begun."""
        return self._limit_s - (self._now() - self._start_s - self._waited_s)

    @property
    def is_over(self) -> bool:
        """Whether what was begun has to end as well."""
        return self.left_s < -GRACE * self._limit_s

    def now(self, current: str) -> RunProgress:
        """Where the run is."""
        self._told_s = self._now()
        left = max(0.0, self.left_s)
        done = min(self._limit_s, self._limit_s - left)
        return RunProgress(State.RUNNING, round(done), round(self._limit_s), current, left)

    def end(self, state: State, message: str) -> RunProgress:
        """The last word."""
        total = round(self._limit_s)
        done = total if state is State.DONE else min(total, round(self._limit_s - self.left_s))
        return RunProgress(state, done, total, "", None, message)


class Pace:
    """How long the recipes of a search take, by what those with the same passes have taken."""

    def __init__(self) -> None:
        """Nothing was tried yet."""
        self._seen: dict[frozenset[str], float] = {}

    def took(self, passes: Collection[str], seconds: float) -> None:
        """A recipe of these passes was made and measured."""
        self._seen[frozenset(passes)] = seconds

    def expected_s(self, passes: Collection[str]) -> float:
        """Seconds for a recipe of these passes; 0 before anything was tried."""
        asked = frozenset(passes)
        if asked in self._seen:
            return self._seen[asked]
        parts = [seconds for seen, seconds in self._seen.items() if seen < asked]
        return sum(parts) or statistics.median(self._seen.values() or (0.0,))


def _family(unit: Unit) -> str:
    return unit.kind.partition(" ")[0]
