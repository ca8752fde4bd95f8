"""Mixed-precision search: which layers stay float so that the whole is fastest, by racing graphs.

The time of a mixed net is not the sum of its layers' times: every border between float and integer
costs a conversion, and runtimes reorder memory there. So what is timed is always the whole graph.
All subsets would be too many; the moves are those that are known to matter:

- the first 1 .. n weighted layers float: few channels on large images fill no integer kernel;
- all depthwise layers float, and those on large images only;
- all other grouped layers float;
- what was a batch norm float;
- joining operators (Add, Concat, pools) float, and each kind of them alone;
- the last weighted layer float.

Greedily, the move that gains most is made, until none gains more than NOISE; one that gains little
is the last, since further ones gain less. The best of many noisy
times looks better than it is, so the result is timed once more beside the float graph, in several
sessions: that ratio, with its interval, is what decides whether integers are used at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from core.calibration.services import Lap, Race
from core.compress.quantization.mixed_precision.timing_ratio import NEVER, Ratio, careful, ratio
from core.compress.quantization.partition import JOINING, Selection, select
from core.records import Note

Build = Callable[[Selection], ir.Model]

NOISE = 0.04
ROUNDS = 3
WORTH_ANOTHER = 0.1  # of the time, that a move must gain for a further one to be looked for
PREFIX = (1, 2, 3, 4, 6)


@dataclass(frozen=True)
class Choice:
    """What a search ended with.

    Attributes:
        selection: what computes in integers.
        floats: names of the nodes left float on the way.
        moves: what was done.
        ratio: time of it to the time of the float graph.
        full_ratio: the same with everything in integers.
        reason: why nothing could be timed, in the runtime's words; empty if it could.
    """

    selection: Selection
    floats: frozenset[str]
    moves: tuple[Note, ...]
    ratio: Ratio
    full_ratio: Ratio
    reason: str = ""


def fastest(
    graph: ir.Model, original: ir.Model, pinned: frozenset[str], build: Build, race: Race
) -> Choice:
    """The fastest selection found.

    Args:
        graph: the prepared float graph.
        original: the float graph that the result is compared with.
        pinned: names of nodes that stay float in any case.
        build: writes a selection into a graph that can be timed.
        race: times graphs on the backend, in turns.
    """
    floats, made = pinned, list[Note]()
    selection = everything = select(graph, floats)
    for _ in range(ROUNDS):
        trials = dict(_trials(graph, selection, floats))
        laps = race([original, *(build(trial) for _, trial in trials.values())], brief=True)
        times = dict(zip(trials, laps[1:], strict=True))
        if reason := _reason(laps):
            return Choice(selection, floats, (), NEVER, NEVER, reason)
        move = min(times, key=lambda one: times[one].typical)
        if move is None or times[move].typical > times[None].typical * (1 - NOISE):
            break
        gain = 1 - times[move].typical / times[None].typical
        more, selection = trials[move]
        floats = floats | more
        made.append(move)
        if gain < WORTH_ANOTHER:
            break
    return _decided(original, pinned, Choice(selection, floats, tuple(made), NEVER, NEVER),
                    everything, build, race)  # fmt: skip


def _decided(
    original: ir.Model,
    pinned: frozenset[str],
    found: Choice,
    everything: Selection,
    build: Build,
    race: Race,
) -> Choice:
    """The choice with its own time, or all in integers where the moves gain nothing after all."""
    if not found.moves:
        laps = careful(race, [original, build(everything)])
        only = ratio(laps[1], laps[0])
        return replace(found, ratio=only, full_ratio=only, reason=_reason(laps))
    graphs = [original, build(everything), build(found.selection)]
    laps = careful(race, graphs)
    full, best = ratio(laps[1], laps[0]), ratio(laps[2], laps[0])
    if best.value > full.value * (1 - NOISE):
        return Choice(everything, pinned, (), full, full, _reason(laps))
    return replace(found, ratio=best, full_ratio=full, reason=_reason(laps))


def _trials(
    graph: ir.Model, selection: Selection, floats: frozenset[str]
) -> Iterator[tuple[Note | None, tuple[frozenset[str], Selection]]]:
    """What it is now, by no move, and what each move would make of it."""
    yield None, (frozenset(), selection)
    for move, more in _moves(graph, selection):
        trial = select(graph, floats | more)
        if trial.weighted and trial.nodes != selection.nodes:
            yield move, (more, trial)


def _reason(laps: Sequence[Lap]) -> str:
    """Why nothing can be said: the float graph does not run, or none of the others does."""
    if laps[0].reason:
        return f"the float model does not run there ({laps[0].reason})"
    return "" if any(lap.seconds for lap in laps[1:]) else laps[1].reason


def _moves(graph: ir.Model, selection: Selection) -> Iterator[tuple[Note, frozenset[str]]]:
    nodes = {node.name or "": node for node in graph.graph}
    weighted = list(selection.weighted)
    for count in PREFIX:
        if count < len(weighted):
            yield Note.of("float.first", layers=count), frozenset(weighted[:count])
    deep = [n for n in weighted if _depthwise(nodes[n])]
    yield from _by_groups(nodes, weighted, deep)
    joins = frozenset(n for n in selection.nodes if nodes[n].op_type in JOINING)
    if joins:
        yield Note.of("float.joins"), joins
        if deep:
            yield Note.of("float.depthwise_and_joins"), joins | frozenset(deep)
    kinds = sorted({nodes[n].op_type for n in joins})
    for kind in kinds if len(kinds) > 1 else ():
        alike = frozenset(n for n in joins if nodes[n].op_type == kind)
        yield Note.of("float.kind", operator=kind), alike
    if len(weighted) > 2:
        yield Note.of("float.last"), frozenset(weighted[-1:])


def _by_groups(
    nodes: Mapping[str, ir.Node], weighted: Sequence[str], deep: Sequence[str]
) -> Iterator[tuple[Note, frozenset[str]]]:
    """Depthwise layers and grouped ones apart: kernels for few channels have little in common."""
    if deep and len(deep) < len(weighted):
        yield Note.of("float.depthwise"), frozenset(deep)
        yield Note.of("float.half_of_depthwise"), frozenset(deep[: len(deep) // 2])
        norms = [n for n in deep if _single_tap(nodes[n])]
        if norms and norms != deep:
            yield Note.of("float.norms"), frozenset(norms)
    grouped = [n for n in weighted if _groups(nodes[n]) > 1 and n not in set(deep)]
    if grouped and len(grouped) < len(weighted):
        yield Note.of("float.grouped"), frozenset(grouped)


def _groups(node: ir.Node) -> int:
    return node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1


def _depthwise(node: ir.Node) -> bool:
    """Whether each group reads a single channel."""
    weight = node.inputs[1]
    single = weight is not None and weight.shape is not None and weight.shape[1] == 1
    return _groups(node) > 1 and single


def _single_tap(node: ir.Node) -> bool:
    kernel = node.attributes.get("kernel_shape")
    return kernel is not None and all(k == 1 for k in kernel.as_ints())
