"""Time two loaded models against each other, interleaved, so that drift hits both alike.

A block is ABBA, each letter a turn of samples; a sample is `repeat` calls in a row. The machine's
noise only ever adds time, so a block is worth the minimum of its samples on each side; the raw
samples go along for the median and the percentiles that a user sees. The other model leaves the
caches full of its weights, which costs the next call up to a third, and its threads may still spin:
whenever the side changes, those are waited for, and calls go uncounted (not where a `Plan` says
that calls are long).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from core.backends.base import SelfTimed, Session, Tensors, spins
from core.devices.local import Progress
from core.worker.protocol import PairTimes, TimingPlan
from core.worker.threads import Queue, settle, stolen_s

WARM_S = 0.002  # after a change of sides: as long as the caches, and threads that slept, need


Timer = Callable[[int], tuple[float, float]]


@dataclass(frozen=True)
class Side:
    """A model that is timed.

    Attributes:
        timer: wall and CPU nanoseconds of a call, the mean of as many as asked for.
        spins: its threads go on burning a core after a call.
    """

    timer: Timer
    spins: bool

    def take_over(self, other: Side | None) -> None:
        """Begin a turn after `other`'s: let its threads fall asleep, then run in."""
        if other is not None and other.spins:
            settle()
        start = time.perf_counter_ns()
        self.timer(1)
        while other is not None and other.spins and time.perf_counter_ns() - start < WARM_S * 1e9:
            self.timer(1)


@dataclass
class Turns:
    """What the turns of both sides have given.

    Attributes:
        sides: "a" and "b".
        queue: of the threads of this process.
        result: samples by name, see `PairTimes`.
        last: the side whose turn it was, "" before the first.
        waited_ns, wall_ns: by side, in line for a core, and of all calls that count.
    """

    sides: dict[str, Side]
    queue: Queue
    result: dict[str, list[float]]
    last: str = ""
    waited_ns: dict[str, int] = field(default_factory=lambda: {"a": 0, "b": 0})
    wall_ns: dict[str, float] = field(default_factory=lambda: {"a": 0.0, "b": 0.0})

    def block(self, repeat: int, quads: int) -> None:
        """One block: ABBA, `quads` samples to a turn."""
        samples: dict[str, list[tuple[float, float]]] = {"a": [], "b": []}
        for name in "abba":
            samples[name] += self._turn(name, repeat, quads)
        for name, pairs in samples.items():
            self.result[name] += [wall for wall, _ in pairs]
            self.result[f"cpu_{name}"] += [cpu for _, cpu in pairs]
            self.result[f"{name}_min"].append(min(wall for wall, _ in pairs))

    def _turn(self, name: str, repeat: int, quads: int) -> list[tuple[float, float]]:
        """Samples of one side, which takes over first if it was the other's turn."""
        side = self.sides[name]
        if name != self.last:
            side.take_over(self.sides.get(self.last))
        self.last = name
        before_ns = self.queue.waited_ns()
        pairs = [side.timer(repeat) for _ in range(quads)]
        self.waited_ns[name] += self.queue.waited_ns() - before_ns
        self.wall_ns[name] += repeat * sum(wall for wall, _ in pairs)
        return pairs

    def share(self, name: str) -> float:
        """Of the time of a side's calls, how much a thread stood in line for a core."""
        return self.waited_ns[name] / max(self.wall_ns[name], 1.0)


def compare(
    a: Session, b: Session, feeds: list[Tensors], plan: TimingPlan, progress: Progress
) -> PairTimes:
    """Block minima and raw samples of both sides, in nanoseconds per call."""
    feed = feeds[0]
    sides = {"a": _side(a, feed), "b": _side(b, feed)}
    start_ns, stolen_before_s = time.perf_counter_ns(), stolen_s()
    typical_ns = _warm(sides["a"], sides["b"], plan.warmup)
    repeat = max(1, round(plan.sample_s * 1e9 / max(typical_ns, 1.0)))
    if plan.slow_down:
        slowed = _slowed(sides["b"].timer, typical_ns * plan.slow_down)
        sides["b"] = Side(slowed, sides["b"].spins)
    kept: dict[str, list[float]] = {k: [] for k in ("a_min", "b_min", "a", "b", "cpu_a", "cpu_b")}
    with closing(Queue()) as queue:
        turns = Turns(sides, queue, kept)
        for block in range(plan.blocks):
            turns.block(repeat, plan.quads)
            progress({"block": block + 1, "blocks": plan.blocks})
    return PairTimes(
        a_min=tuple(kept["a_min"]),
        b_min=tuple(kept["b_min"]),
        a=tuple(kept["a"]),
        b=tuple(kept["b"]),
        cpu_a=tuple(kept["cpu_a"]),
        cpu_b=tuple(kept["cpu_b"]),
        repeat=repeat,
        waited_a=turns.share("a"),
        waited_b=turns.share("b"),
        stolen_s=stolen_s() - stolen_before_s,
        took_s=(time.perf_counter_ns() - start_ns) / 1e9,
    )


def rotate(
    sessions: Sequence[Session], feeds: Sequence[Tensors], plan: TimingPlan
) -> list[list[float]]:
    """Block minima of several sessions in nanoseconds per call, one list for each session.

    The sessions take turns, forwards and backwards, so that a drift of the clock hits all alike.
    Without `run_in` they go forwards only: none may follow itself, with warm caches.
    """
    sides = [_side(session, feed) for session, feed in zip(sessions, feeds, strict=True)]
    repeats, last = [], None
    for side in sides:
        side.take_over(last)
        last = side
        typical_ns = min(side.timer(1)[0] for _ in range(max(1, plan.warmup)))
        repeats.append(max(1, round(plan.sample_s * 1e9 / max(typical_ns, 1.0))))
    minima: list[list[float]] = [[] for _ in sides]
    order, spinning = list(range(len(sides))), any(side.spins for side in sides)
    for _ in range(plan.blocks):
        best = [float("inf")] * len(sides)
        for i in (*order, *(reversed(order) if plan.run_in else order)):
            if sides[i] is not last and (plan.run_in or spinning):
                sides[i].take_over(last)
            last = sides[i]
            for _ in range(plan.quads):
                best[i] = min(best[i], sides[i].timer(repeats[i])[0])
        for i in order:
            minima[i].append(best[i])
    return minima


def _side(session: Session, feed: Tensors) -> Side:
    return Side(_timer(session, feed), spins(session))


def _timer(session: Session, feed: Tensors) -> Timer:
    if isinstance(session, SelfTimed):
        own = session

        def ask(repeat: int) -> tuple[float, float]:
            cpu = time.process_time_ns()
            runs = own.sample(feed, repeat)
            return sum(runs) / len(runs), (time.process_time_ns() - cpu) / repeat

        return ask
    run = session.run

    def call(repeat: int) -> tuple[float, float]:
        cpu, start = time.process_time_ns(), time.perf_counter_ns()
        for _ in range(repeat):
            run(feed)
        end, cpu_end = time.perf_counter_ns(), time.process_time_ns()
        return (end - start) / repeat, (cpu_end - cpu) / repeat

    return call


def _warm(a: Side, b: Side, calls: int) -> float:
    """Run both sides in; the shortest call in ns."""
    shortest, last = float("inf"), None
    for side in (a, b):
        side.take_over(last)
        last = side
        shortest = min([shortest, *(side.timer(1)[0] for _ in range(calls))])
    if b.spins:
        settle()
    return shortest


def _slowed(timer: Timer, extra_ns: float) -> Timer:
    """The same timer with `extra_ns` of busy waiting inside every call."""

    def call(repeat: int) -> tuple[float, float]:
        wall, cpu = timer(repeat)
        start = time.perf_counter_ns()
        while time.perf_counter_ns() - start < extra_ns * repeat:
            pass
        waited = (time.perf_counter_ns() - start) / repeat
        return wall + waited, cpu + waited

    return call
