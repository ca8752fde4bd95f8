"""Block minima of whole models, two beside each other (ABBA) or several in turns.

A sample is `repeat` calls in a row. The machine's noise only ever adds time, so a block is worth
the minimum of its samples on each side; of a pair the raw samples go along for the median and the
percentiles that a user sees.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing

from core.backends.base import Session, Tensors
from core.devices.local import Progress
from core.worker.protocol import PairTimes
from core.worker.threads import Queue, stolen_s
from core.worker.timing.plan import TimingPlan
from core.worker.timing.turns import Block, Side, Turns, slowed


def compare(
    a: Session, b: Session, feeds: list[Tensors], plan: TimingPlan, progress: Progress
) -> PairTimes:
    """Block minima and raw samples of both sides, in nanoseconds per call."""
    sides = [Side.of(session, feeds[0]) for session in (a, b)]
    turns = Turns(sides, plan.run_in)
    start_ns, stolen_before_s = time.perf_counter_ns(), stolen_s()
    typical_ns = min(turns.warm(plan.warmup))
    repeats = [plan.repeats(typical_ns)] * 2  # the same for both: samples are drawn alike
    turns.rest()
    if plan.slow_down:
        sides[1].timer = slowed(sides[1].timer, typical_ns * plan.slow_down)
    blocks: list[Block] = []
    with closing(Queue()) as turns.queue:
        for block in range(plan.blocks):
            blocks.append(turns.block(plan.order(2), repeats, plan.quads))
            progress({"block": block + 1, "blocks": plan.blocks})
    a_min, b_min = map(tuple, _minima(blocks))
    walls, cpus = (
        [tuple(sample[of] for block in blocks for sample in block[side]) for side in range(2)]
        for of in range(2)
    )
    calls_ns = [max(repeats[0] * sum(wall), 1.0) for wall in walls]
    return PairTimes(
        a_min=a_min,
        b_min=b_min,
        a=walls[0],
        b=walls[1],
        cpu_a=cpus[0],
        cpu_b=cpus[1],
        repeat=repeats[0],
        waited_a=sides[0].waited_ns / calls_ns[0],
        waited_b=sides[1].waited_ns / calls_ns[1],
        stolen_s=stolen_s() - stolen_before_s,
        took_s=(time.perf_counter_ns() - start_ns) / 1e9,
    )


def rotate(
    sessions: Sequence[Session], feeds: Sequence[Tensors], plan: TimingPlan
) -> list[list[float]]:
    """Block minima of several sessions in nanoseconds per call, one list for each session."""
    sides = [Side.of(session, feed) for session, feed in zip(sessions, feeds, strict=True)]
    turns, order = Turns(sides, plan.run_in), plan.order(len(sides))
    repeats = [plan.repeats(typical_ns) for typical_ns in turns.warm(plan.warmup)]
    return _minima([turns.block(order, repeats, plan.quads) for _ in range(plan.blocks)])


def _minima(blocks: Sequence[Block]) -> list[list[float]]:
    """The shortest sample of each block, by side."""
    return [[min(samples)[0] for samples in side] for side in zip(*blocks, strict=True)]
