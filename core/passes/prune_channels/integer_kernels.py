"""Rounding of channel counts for integer kernels: raced, where int8 follows in the recipe.

Float kernels work in blocks of 4 or 8 channels, integer kernels in blocks of 16 to 64 or, where
they widen, of none: which multiple is fastest is measured, never assumed. Each contestant is the
net cut to its counts (of the first channels: which ones go does not change the time) and written in
int8 by made-up ranges and the default settings of its target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from core.analysis import selection
from core.analysis.channels import ChannelMap, channel_map
from core.analysis.surgery import remove
from core.calibration import targets
from core.calibration.services import Lap, Race
from core.compress.pruning import costs
from core.compress.quantization.mixed_precision.timing_ratio import (
    Ratio,
    careful,
    ratio,
)
from core.compress.quantization.partition import select
from core.compress.quantization.prepare import prepared
from core.compress.quantization.qdq_writer import written
from core.compress.quantization.stand_in import stand_in
from core.compress.quantization.target_scheme import scheme
from core.errors import CoreError
from core.passes.base import Graph, Report
from core.passes.prune_channels.choice import Counts
from core.records import Note

MULTIPLES = (selection.AUTO, 8, 16, 32)  # the first stays unless another is worth it
WORTH = 0.05  # of the time: coarse rounding takes more from some groups than they bear


def fastest(
    channels: ChannelMap,
    counted: Callable[[int], Counts],
    report: Report,
    share: float,
    race: Race,
    backend: str,
) -> int:
    """The multiple whose counts leave the int8 net that is fastest on `backend`.

    Args:
        channels: of the graph, which stays as it is.
        counted: multiple -> atoms that each group loses.
        report: hears what was found.
        share: of the pass that is done by now.
        race: times graphs on the backend.
        backend: that int8 is for.
    """
    counts = _different({m: counted(m) for m in MULTIPLES})
    if len(counts) < 2:
        return selection.AUTO
    report.tell("timing roundings of the channels in int8", share)
    try:
        nets = {m: _in_integers(channels, lost, backend) for m, lost in counts.items()}
        laps = dict(zip(nets, race(list(nets.values()), brief=True), strict=True))
        found = _decided(nets, laps, _weights_left(channels, counts), race)
    except CoreError as error:  # no reason not to prune
        report.note(Note.of("prune.not_timed", reason=error.message))
        return selection.AUTO
    if found is None:
        return selection.AUTO
    multiple, gain = found
    report.note(Note.of("prune.integers", multiple=multiple, backend=backend, times=gain))
    return multiple


def _weights_left(channels: ChannelMap, counts: Mapping[int, Counts]) -> dict[int, float]:
    """Weights left by each multiple, as a share of those that the first leaves; 1 at most."""
    total = costs.elements(channels, in_bytes=False).total
    return {m: min(total(lost) / total(counts[selection.AUTO]), 1.0) for m, lost in counts.items()}


def _different(counts: Mapping[int, Counts]) -> dict[int, Counts]:
    """Without multiples that lead to what an earlier one leads to."""
    found: dict[int, Counts] = {}
    for multiple, lost in counts.items():
        if lost not in found.values():
            found[multiple] = lost
    return found


def _in_integers(channels: ChannelMap, lost: Counts, backend: str) -> Graph:
    """The graph cut to these counts and written in int8 by made-up ranges."""
    places = [channels.groups.index(group) for group in lost]
    graph: ir.Model = channels.flow.graph.clone()
    twin = channel_map(graph)
    atoms: set[int] = set()
    for place, count in zip(places, lost.values(), strict=True):
        atoms.update(twin.groups[place].atoms[:count])
    remove(twin, atoms)
    source = prepared(graph)
    target = scheme(backend, targets.int8()[backend])
    return written(source, stand_in(source, select(source), target))


def _decided(
    nets: Mapping[int, Graph], laps: Mapping[int, Lap], left: Mapping[int, float], race: Race
) -> tuple[int, Ratio] | None:
    """The best of a brief race if a careful one confirms it against the first.

    A rounding that cuts more is faster by that alone: it has to save more time than weights, and
    by so much that what it distorts is worth it.
    """
    first, best = next(iter(nets)), min(laps, key=lambda m: laps[m].typical / left[m])
    if best == first or not laps[first].seconds:
        return None
    gain = ratio(*reversed(careful(race, [nets[first], nets[best]])))
    return (best, gain) if gain.high < left[best] * (1 - WORTH) else None
