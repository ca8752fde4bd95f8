"""Effort of a timing: how often models are called, from how long one call takes.

A plan goes to the worker with the request; how long a call takes there decides the rest, the calls
of a sample and the runs of a profile.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


class RunIn(enum.StrEnum):
    """When a turn begins with calls that do not count: the caches hold another model's weights.

    Attributes:
        CHANGE: whenever the side changes, for as long as threads that slept need.
        SPINNING: only where threads spin. Long calls fill the caches themselves, where only plain
            differences are asked for; the turns then go forwards only, so that none follows itself.
        EACH: one call in every turn, so that the times that a runtime keeps of its layers count
            every other time.
    """

    CHANGE = "change"
    SPINNING = "spinning"
    EACH = "each"


@dataclass(frozen=True, slots=True)
class TimingPlan:
    """How much to measure of two models, or of several in turns.

    Attributes:
        warmup: calls on each side before anything counts.
        blocks: blocks in this pair of sessions.
        quads: samples in each turn of a block; each side has two turns.
        sample_s: a sample repeats its call until it lasts about this long.
        slow_down: share by which B is made slower, to test that a difference is found; 0 in use.
        run_in: when calls go uncounted.
    """

    warmup: int = 10
    blocks: int = 15
    quads: int = 4
    sample_s: float = 0.0005
    slow_down: float = 0.0
    run_in: RunIn = RunIn.CHANGE

    def repeats(self, call_ns: float) -> int:
        """Calls of one sample."""
        return max(1, round(self.sample_s * 1e9 / max(call_ns, 1.0)))

    def order(self, sides: int) -> tuple[int, ...]:
        """Whose turn it is in a block: there and back (ABBA where there are two)."""
        there = tuple(range(sides))
        return there + (there if self.run_in is RunIn.SPINNING else there[::-1])


@dataclass(frozen=True, slots=True)
class ProfilingPlan:
    """How much to measure of the layers of two models.

    Attributes:
        warmup: calls of each session before anything counts.
        budget_s: wall time for all runs, roughly.
        fewest, most: runs of each session.
    """

    warmup: int = 3
    budget_s: float = 2.5
    fewest: int = 3
    most: int = 60

    def runs(self, once_s: float) -> int:
        """Runs of each session, where one of all of them lasts so long."""
        return _within(self.budget_s / max(once_s, 1e-6), self.fewest, self.most)


TRIAL = TimingPlan(warmup=1, blocks=1, quads=1)
FIRST_LOOK = TimingPlan(warmup=3, blocks=2, quads=1)
FULL = TimingPlan()
SMALLEST = TimingPlan(warmup=2, blocks=3, quads=1)
CALLS_PER_QUAD = 6  # four that count, two that fill the caches

BLOCKS_MOST, BLOCKS_LEAST = 16, 2  # of a race
CALLS_PER_BLOCK = 4  # two that count, two that fill the caches
HASTY_CALLS = 2  # where these are left out
LASTING_S = 0.03  # a call that one other warms up
LONG_S = 0.25  # a call that takes no notice of what the caches held before
SESSION_S, SESSIONS_S = 1.0, 0.5  # wall time of a graph in one session, or in each of several
BRIEF_S = 0.3  # the same of a brief race


def of_pair(call_s: float, pair_s: float, slow_down: float = 0.0) -> TimingPlan:
    """All of a pair of sessions where that takes at most `pair_s`; less where calls are long."""
    affordable = pair_s / (CALLS_PER_QUAD * max(call_s, FULL.sample_s)) * 0.8
    quads = FULL.quads if affordable >= FULL.blocks * FULL.quads else 2
    quads = quads if affordable >= 5 * quads else 1
    blocks = _within(affordable // quads, SMALLEST.blocks, FULL.blocks)
    warmup = FULL.warmup if call_s * FULL.warmup * 2 < pair_s / 2 else SMALLEST.warmup
    return TimingPlan(warmup, blocks, quads, FULL.sample_s, slow_down)


def shrunk(plan: TimingPlan, pair_s: float, affordable_s: float) -> TimingPlan:
    """Fewer blocks where pairs turn out to take longer than the budget allows."""
    if pair_s <= affordable_s:
        return plan
    blocks = max(SMALLEST.blocks, int(plan.blocks * affordable_s / pair_s))
    return replace(plan, blocks=min(plan.blocks, blocks))


def of_race(call_s: float, sessions: int, brief: bool = False) -> TimingPlan:
    """A race whose first graph takes so long, in each of its sessions; `brief`: a few runs."""
    share_s = BRIEF_S if brief else SESSION_S if sessions == 1 else SESSIONS_S
    lasting = call_s >= LASTING_S
    hasty = (brief and lasting) or call_s >= LONG_S
    calls = HASTY_CALLS if hasty else CALLS_PER_BLOCK
    blocks = _within(share_s / (calls * max(call_s, 1e-3)), BLOCKS_LEAST, BLOCKS_MOST)
    run_in = RunIn.SPINNING if hasty else RunIn.CHANGE
    return replace(TRIAL, warmup=1 if lasting else 3, blocks=blocks, run_in=run_in)


def _within(times: float, least: int, most: int) -> int:
    return int(min(most, max(least, times)))
