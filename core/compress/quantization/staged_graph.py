"""Staged execution: a float net cut where few tensors pass, to see what a change in one place does.

A change in stage s leaves the stages before it as they are, and those after it are the float net,
loaded once. So asking for the effect of each layer takes half the arithmetic of whole runs, and no
session but that of one stage. A cut takes a single tensor where one is near, else up to WIDEST side
by side (the neck of a detector). How far a change strays by the end of its own stage costs one
stage only: enough to tell the layers that matter from those that do not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from core import graph as graphs
from core.calibration.services import Run, Tensors
from core.compress.graph_executor.subgraph import between, reads
from core.compress.linalg import parallel
from core.compress.quantization.partition import is_weighted

MOST = 8  # stages: each keeps what it reads, of all images
WIDEST = 4  # tensors that a cut takes
REACH = 0.5  # of a stage, that a cut may lie off its place for the sake of fewer tensors

Change = Callable[[ir.Model], ir.Model]
Runner = Callable[[ir.Model, Sequence[str]], Run]


class Stages:
    """The stages of a net, and what each reads for some images."""

    def __init__(self, graph: ir.Model, feeds: Sequence[Tensors], runner: Runner) -> None:
        """Run the net once.

        Args:
            graph: the prepared float graph.
            feeds: its inputs, batch by batch.
            runner: loads a graph, see `Images.runner`.
        """
        self._runner, self._feeds = runner, feeds
        outputs = [value.name or "" for value in graph.graph.outputs]
        ends = [*_spaced(graph, dict(waists(graph))), outputs]
        starts: list[Sequence[str]] = [[], *ends[:-1]]
        self._made = [
            [name for name in end if name not in start]
            for start, end in zip(starts, ends, strict=True)
        ]
        self._passed = [
            [name for name in end if name in start] for start, end in zip(starts, ends, strict=True)
        ]
        self._pieces = [
            between(graph, start, made) for start, made in zip(starts, self._made, strict=True)
        ]
        self._home = {node.name: i for i, piece in enumerate(self._pieces) for node in piece.graph}
        self._runs = [
            runner(piece, made) for piece, made in zip(self._pieces, self._made, strict=True)
        ]
        self._known: list[list[Tensors]] = [[{} for _ in feeds]]
        for at, run in enumerate(self._runs):
            self._known.append(self._through(at, run, self._known[-1]))

    @property
    def count(self) -> int:
        """Stages."""
        return len(self._pieces)

    def holds(self, name: str) -> bool:
        """Whether any output of the graph depends on this node."""
        return name in self._home

    def changed(self, name: str, change: Change) -> list[Tensors]:
        """The outputs, batch by batch, with `change` made to the stage of this node."""
        return next(self.each([(name, change)]))[1]

    def each(self, changes: Iterable[tuple[str, Change]]) -> Iterator[tuple[str, list[Tensors]]]:
        """The same for one node after another; while one runs, the stage of the next is loaded."""
        for name, run in self._loaded(changes):
            at = self._home[name]
            values = self._through(at, run, self._known[at])
            for later in range(at + 1, self.count):
                values = self._through(later, self._runs[later], values)
            yield name, values

    def strays(self, changes: Iterable[tuple[str, Change]]) -> Iterator[tuple[str, float]]:
        """How far each change has the end of its own stage stray, as a relative error."""
        for name, run in self._loaded(changes):
            at = self._home[name]
            found = self._through(at, run, self._known[at])
            pairs = [*zip(found, self._known[at + 1], strict=True)]
            yield name, max(_error(pairs, end) for end in self._made[at])

    def _loaded(self, changes: Iterable[tuple[str, Change]]) -> Iterator[tuple[str, Run]]:
        homes = ((name, change, self._home[name]) for name, change in changes)
        return parallel.ahead(
            (name, self._runner(change(self._pieces[at]), self._made[at]))
            for name, change, at in homes
        )

    def _through(self, at: int, run: Run, values: Sequence[Tensors]) -> list[Tensors]:
        """What a stage ends with, of what it begins with."""
        names = [value.name or "" for value in self._pieces[at].graph.inputs]
        pools = (feeds | known for feeds, known in zip(self._feeds, values, strict=True))
        return [
            run({name: pool[name] for name in names}) | {n: pool[n] for n in self._passed[at]}
            for pool in pools
        ]


def _error(pairs: Sequence[tuple[Tensors, Tensors]], name: str) -> float:
    """Sum of squares of what a tensor is off, to that of what it was.

    Over all channels: of inner tensors, quiet ones are dead, not scores beside boxes.
    """
    wrong = sum(float(np.square(after[name] - before[name]).sum()) for after, before in pairs)
    size = sum(float(np.square(before[name]).sum()) for _, before in pairs)
    return wrong / size if size else wrong


def waists(graph: ir.Model) -> Iterator[tuple[int, list[str]]]:
    """Places where few tensors, with the inputs, are all that later nodes read; in their order.

    What a layer with weights makes is left out: the ReLU or the bias behind it belongs to it.

    Yields:
        number of the node behind which it lies; the tensors.
    """
    last: dict[ir.Value, int] = {}
    for index, node in enumerate(graph.graph):
        for value in reads(node):
            last[value] = index
    last |= dict.fromkeys(graph.graph.outputs, len(graph.graph))
    constant: set[ir.Value] = set()
    live: dict[ir.Value, None] = {}
    for index, node in enumerate(graph.graph):
        fixed = all(_fixed(v, constant) for v in node.inputs if v is not None)
        constant |= set(node.outputs) if fixed else set()
        live |= {v: None for v in node.outputs if not fixed and last.get(v, -1) > index}
        live = {v: None for v in live if last[v] > index}
        new = any(v in live and not v.is_graph_output() for v in node.outputs)
        if new and len(live) <= WIDEST and all(map(_can_end, live)):
            yield index, [value.name or "" for value in live]


def _can_end(value: ir.Value) -> bool:
    """Whether a stage may end with this tensor."""
    maker = value.producer()
    floats = getattr(value.type, "dtype", None) == ir.DataType.FLOAT
    return floats and maker is not None and not is_weighted(maker)


def _spaced(graph: ir.Model, found: Mapping[int, list[str]]) -> list[list[str]]:
    """At most MOST - 1 of them, with about as many layers between each two."""
    layers = list(itertools.accumulate(int(is_weighted(node)) for node in graph.graph))
    chosen: list[list[str]] = []
    passed = 0
    while layers:
        share = max((layers[-1] - passed) / (MOST - len(chosen)), 1.0)
        ahead = {at: layers[at] - passed for at in found if layers[-1] - layers[at] >= 1}
        ahead = {at: count for at, count in ahead.items() if count >= share * (1 - REACH)}
        near = {at: count for at, count in ahead.items() if count <= share * (1 + REACH)}
        if not ahead or len(chosen) == MOST - 1:
            return chosen
        best = min(
            near or dict([min(ahead.items(), key=lambda item: item[1])]),
            key=lambda at: (len(found[at]), abs(ahead[at] - share)),
        )
        chosen.append(found[best])
        passed = layers[best]
    return chosen


def _fixed(value: ir.Value, constant: set[ir.Value]) -> bool:
    return value in constant or graphs.constant(value) is not None
