"""Which layers stay float so that the whole is fastest, by racing whole graphs on the backend.

The time of a mixed net is not the sum of its layers' times: every border between float and integer
costs a conversion, and runtimes reorder memory there. So what is timed is always the whole graph.
All subsets would be too many; the moves are those that are known to matter:

- the first 1 .. n weighted layers float: few channels on large images fill no integer kernel;
- all depthwise layers float, and those on large images only;
- what was a batch norm float;
- joining operators (Add, Concat, pools) float;
- the last weighted layer float.

Greedily, the move that gains most is made, until none gains more than NOISE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from core.quantization.regions import JOINING, Selection, select

Race = Callable[[Sequence[ir.Model]], Sequence[float]]
Build = Callable[[Selection], ir.Model]

NOISE = 0.04
ROUNDS = 3
PREFIX = (1, 2, 3, 4, 6)


@dataclass(frozen=True)
class Choice:
    """What a search ended with.

    Attributes:
        selection: what computes in integers.
        floats: names of the nodes left float on the way.
        moves: what was done, in words.
        ratio: time of it to the time of the float graph.
        full_ratio: the same with everything in integers.
    """

    selection: Selection
    floats: frozenset[str]
    moves: tuple[str, ...]
    ratio: float
    full_ratio: float


def fastest(
    graph: ir.Model, original: ir.Model, pinned: frozenset[str], build: Build, race: Race
) -> Choice:
    """The fastest selection found.

    Args:
        graph: the prepared float graph.
        original: the float graph that the result is compared with.
        pinned: names of nodes that stay float in any case.
        build: writes a selection into a graph that can be timed.
        race: seconds per run of each graph, taken in turns.
    """
    floats, made = pinned, []
    selection = everything = select(graph, floats)
    ratio = full = 0.0
    for turn in range(ROUNDS):
        options = [("", frozenset[str]()), *_moves(graph, selection)]
        trials = {}
        for label, more in options:
            trial = select(graph, floats | more)
            if trial.weighted and (not label or trial.nodes != selection.nodes):
                trials[label] = (more, trial)
        times = race([original, *(build(trial) for _, trial in trials.values())])
        ratios = {label: t / times[0] for label, t in zip(trials, times[1:], strict=True)}
        if turn == 0:
            full = ratios[""]
        label = min(ratios, key=lambda name: ratios[name])
        ratio = ratios[""]
        if not label or ratios[label] > ratio * (1 - NOISE):
            break
        more, selection = trials[label]
        floats, ratio = floats | more, ratios[label]
        made.append(label)
    if made:  # the best of many noisy times looks better than it is: once more, on its own
        times = race([original, build(everything), build(selection)])
        full, ratio = times[1] / times[0], times[2] / times[0]
        if ratio > full * (1 - NOISE):
            return Choice(everything, pinned, (), full, full)
    return Choice(selection, floats, tuple(made), ratio, full)


def _moves(graph: ir.Model, selection: Selection) -> Iterator[tuple[str, frozenset[str]]]:
    nodes = {node.name or "": node for node in graph.graph}
    weighted = list(selection.weighted)
    for count in PREFIX:
        if count < len(weighted):
            yield f"the first {count} layers stay float", frozenset(weighted[:count])
    deep = [n for n in weighted if _groups(nodes[n]) > 1]
    if deep and len(deep) < len(weighted):
        yield "depthwise layers stay float", frozenset(deep)
        yield (
            "the first half of the depthwise layers stays float",
            frozenset(deep[: len(deep) // 2]),
        )
        norms = [n for n in deep if _single_tap(nodes[n])]
        if norms and norms != deep:
            yield "batch norms stay float", frozenset(norms)
    joins = frozenset(n for n in selection.nodes if nodes[n].op_type in JOINING)
    if joins:
        yield "sums and concatenations stay float", joins
        if deep:
            yield "depthwise layers and joins stay float", joins | frozenset(deep)
    if len(weighted) > 2:
        yield "the last layer stays float", frozenset(weighted[-1:])


def _groups(node: ir.Node) -> int:
    return node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1


def _single_tap(node: ir.Node) -> bool:
    kernel = node.attributes.get("kernel_shape")
    return kernel is not None and all(k == 1 for k in kernel.as_ints())
