"""Layer times of two models, interleaved, and the plain time of a call beside them.

Profiling itself costs time, so the time of a call comes from sessions that keep none. All four
sessions take turns (before, after, after, before), so that a drift of the clock hits all alike; a
layer is worth the median of its runs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from core.backends.base import Backend, Tensors, spins
from core.backends.base_profile import Profiled, TimedLayer
from core.errors import BackendUnavailable
from core.records import RunOptions
from core.worker.protocol import BothProfiles, LayerRow, LayerRows, ProfilingPlan
from core.worker.threads import settle

Call = Callable[[Tensors], object]


def run(
    backend: Backend,
    files: Sequence[Path],
    options: RunOptions,
    feeds: Tensors,
    plan: ProfilingPlan,
) -> BothProfiles:
    """Profile both models, as the backend's own files; the time of a layer is its median.

    Raises:
        BackendUnavailable: this backend does not tell how long its layers take.
        InferenceFailed: it does not take one of the models.
    """
    if not isinstance(backend, Profiled):
        raise BackendUnavailable(f"{backend.label} does not tell how long its layers take.")
    with ExitStack() as stack:
        plain = [stack.enter_context(closing(backend.load(file, options))) for file in files]
        kept = [stack.enter_context(closing(backend.profile(file, options))) for file in files]
        calls: list[Call] = [session.run for session in plain]
        calls += [session.run for session in kept]
        walls, cpus = _interleave(calls, feeds, plan, any(map(spins, plain)))
        runs = len(walls[0])
        before, after = (
            LayerRows(
                statistics.median(walls[index]),
                statistics.fmean(cpus[index]),
                statistics.median(walls[index + 2]),
                runs,
                tuple(_row(layer, runs) for layer in kept[index].layers()),
            )
            for index in range(2)
        )
        return BothProfiles(before, after)


def _interleave(
    calls: Sequence[Call], feeds: Tensors, plan: ProfilingPlan, spinning: bool
) -> tuple[list[list[float]], list[list[float]]]:
    """Wall and CPU seconds of each call of each session, warm-up left out."""
    order = [0, 2, 1, 3]
    for _ in range(plan.warmup - 1):
        _turn(calls, feeds, order, spinning)
    once_s = 2 * sum(wall for wall, _ in _turn(calls, feeds, order, spinning))
    runs = int(min(plan.most, max(plan.fewest, plan.budget_s / max(once_s, 1e-6))))
    walls: list[list[float]] = [[] for _ in calls]
    cpus: list[list[float]] = [[] for _ in calls]
    for _ in range(runs):
        for index, (wall, cpu) in enumerate(_turn(calls, feeds, order, spinning)):
            walls[index].append(wall)
            cpus[index].append(cpu)
        order.reverse()
    return walls, cpus


def _turn(
    calls: Sequence[Call], feeds: Tensors, order: Iterable[int], spinning: bool
) -> list[tuple[float, float]]:
    times = [(0.0, 0.0)] * len(calls)
    for index in order:
        if spinning:
            settle()
        calls[index](feeds)  # brings its weights back into the caches
        cpu, start = time.process_time(), time.perf_counter()
        calls[index](feeds)
        end, cpu_end = time.perf_counter(), time.process_time()
        times[index] = (end - start, cpu_end - cpu)
    return times


def _row(layer: TimedLayer, runs: int) -> LayerRow:
    """A layer with the median of the runs that count: the last ones, every other one of them."""
    counted = layer.seconds[::-2][:runs]
    return LayerRow(
        layer.node,
        layer.name,
        layer.op_type,
        layer.role,
        layer.precision,
        layer.provider,
        layer.implementation,
        tuple(layer.sources),
        statistics.median(counted) if counted else 0.0,
    )
