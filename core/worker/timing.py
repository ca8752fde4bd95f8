"""Time two loaded models against each other, interleaved, so that drift hits both alike.

A block is some ABBA quads; a sample is `repeat` calls in a row. The machine's noise only ever adds
time, so a block is worth the minimum of its samples on each side; the raw samples go along for the
median and the percentiles that a user sees. The other model leaves the caches full of its weights,
which costs the next call up to a third: whenever the side changes, one call goes uncounted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.backends.base import SelfTimed, Session, Tensors
from core.process import Progress
from core.records import Json


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure.

    Attributes:
        warmup: calls on each side before anything counts.
        blocks: blocks in this pair of sessions.
        quads: ABBA quads in a block.
        sample_s: a sample repeats its call until it lasts about this long.
        slow_down: share by which B is made slower, to test that a difference is found; 0 in use.
    """

    warmup: int = 10
    blocks: int = 15
    quads: int = 4
    sample_s: float = 0.0005
    slow_down: float = 0.0


Timer = Callable[[int], tuple[float, float]]


def compare(a: Session, b: Session, feeds: list[Tensors], plan: Plan, progress: Progress) -> Json:
    """Block minima and raw samples of both sides, in nanoseconds per call.

    Returns:
        {"a_min", "b_min": one per block; "a", "b": samples; "cpu_a", "cpu_b": CPU ns per sample;
        "repeat": calls per sample}.
    """
    feed = feeds[0]
    time_a, time_b = _timer(a, feed), _timer(b, feed)
    typical_ns = _warm(time_a, time_b, plan.warmup)
    repeat = max(1, round(plan.sample_s * 1e9 / max(typical_ns, 1.0)))
    if plan.slow_down:
        time_b = _slowed(time_b, typical_ns * plan.slow_down)
    result: dict[str, list[float]] = {k: [] for k in ("a_min", "b_min", "a", "b", "cpu_a", "cpu_b")}
    for block in range(plan.blocks):
        _block(time_a, time_b, repeat, plan.quads, result)
        progress({"block": block + 1, "blocks": plan.blocks})
    return {**result, "repeat": repeat}


def rotate(sessions: Sequence[Session], feeds: Sequence[Tensors], plan: Plan) -> list[list[float]]:
    """Block minima of several sessions in nanoseconds per call, one list for each session.

    The sessions take turns, forwards and backwards, so that a drift of the clock hits all alike.
    """
    timers = [_timer(session, feed) for session, feed in zip(sessions, feeds, strict=True)]
    repeats = []
    for timer in timers:
        typical_ns = min(timer(1)[0] for _ in range(max(1, plan.warmup)))
        repeats.append(max(1, round(plan.sample_s * 1e9 / max(typical_ns, 1.0))))
    minima: list[list[float]] = [[] for _ in timers]
    order = list(range(len(timers)))
    for _ in range(plan.blocks):
        best = [float("inf")] * len(timers)
        for _ in range(plan.quads):
            for i in (*order, *reversed(order)):
                timers[i](1)
                best[i] = min(best[i], timers[i](repeats[i])[0])
        for i in order:
            minima[i].append(best[i])
    return minima


def _block(a: Timer, b: Timer, repeat: int, quads: int, result: dict[str, list[float]]) -> None:
    samples: dict[str, list[tuple[float, float]]] = {"a": [], "b": []}
    timers, last = {"a": a, "b": b}, ""
    for name in "abba" * quads:
        if name != last:
            timers[name](1)
        last = name
        samples[name].append(timers[name](repeat))
    for name, pairs in samples.items():
        result[name] += [wall for wall, _ in pairs]
        result[f"cpu_{name}"] += [cpu for _, cpu in pairs]
        result[f"{name}_min"].append(min(wall for wall, _ in pairs))


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


def _warm(a: Timer, b: Timer, calls: int) -> float:
    """Run both sides in; the shortest call in ns."""
    shortest = float("inf")
    for _ in range(calls):
        shortest = min(shortest, a(1)[0], b(1)[0])
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
