"""Layer times of two models, interleaved, and the plain time of a call beside them.

Profiling itself costs time, so the time of a call comes from sessions that keep none. All four
sessions take turns (before, after, after, before), so that a drift of the clock hits all alike; a
layer is worth the median of its runs.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from core.backends.base import Backend, Tensors, spins
from core.backends.base.profile import Profiled, TimedLayer
from core.errors import BackendUnavailable
from core.records import RunOptions
from core.worker.protocol import BothProfiles, LayerRow, LayerRows
from core.worker.timing.plan import ProfilingPlan, RunIn
from core.worker.timing.turns import Block, Side, Turns, called

ORDER = (0, 2, 1, 3)  # before, after: plain and profiled


def profile(
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
        sides = [Side(called(session.run, feeds), spins(session)) for session in plain]
        sides += [Side(called(session.run, feeds), False) for session in kept]
        blocks = _interleaved(Turns(sides, RunIn.EACH), plan)
        before, after = (_rows(blocks, side, kept[side].layers()) for side in range(2))
        return BothProfiles(before, after)


def _interleaved(turns: Turns, plan: ProfilingPlan) -> list[Block]:
    """A call of each session for each run, warm-up left out."""
    once = (1,) * len(ORDER)
    for _ in range(max(1, plan.warmup)):
        last = turns.block(ORDER, once)
    runs = plan.runs(2 * sum(wall for ((wall, _),) in last) / 1e9)
    return [turns.block(ORDER[:: -1 if run % 2 else 1], once) for run in range(runs)]


def _rows(blocks: Sequence[Block], side: int, layers: Sequence[TimedLayer]) -> LayerRows:
    plain, profiled = ([block[at][0] for block in blocks] for at in (side, side + 2))
    return LayerRows(
        statistics.median(wall for wall, _ in plain) / 1e9,
        statistics.fmean(cpu for _, cpu in plain) / 1e9,
        statistics.median(wall for wall, _ in profiled) / 1e9,
        len(blocks),
        tuple(_row(layer, len(blocks)) for layer in layers),
    )


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
