"""A float net cut where a single tensor passes: what a change in one place does to the outputs.

A change in stage s leaves the stages before it as they are, and those after it are the float net,
loaded once. So asking for the effect of each layer takes half the arithmetic of whole runs, and no
session but that of one stage. Where tensors run side by side (the neck of a detector) there is
nothing to cut, and a stage is long.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import onnx_ir as ir

from core import graph as graphs
from core.analysis.shapes import subgraphs
from core.quantization.images import Run, Tensors
from core.quantization.pieces import Pieces
from core.quantization.regions import is_weighted
from core.reconstruction import cores

MOST = 8  # stages: each keeps what it reads, of all images

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
        self._outputs = [value.name or "" for value in graph.graph.outputs]
        cuts = _spaced(graph, list(waists(graph)))
        self._ends = [[cut] for cut in cuts] + [self._outputs]
        pieces = Pieces(graph)
        self._pieces = [
            pieces.cut(end, set(start))
            for start, end in zip([[], *self._ends], self._ends, strict=False)
        ]
        self._runs = [
            runner(piece, end) for piece, end in zip(self._pieces, self._ends, strict=True)
        ]
        self._home = {node.name: i for i, piece in enumerate(self._pieces) for node in piece.graph}
        self._known: list[list[Tensors]] = [[{} for _ in feeds]]
        for run, piece in zip(self._runs[:-1], self._pieces, strict=False):
            self._known.append(self._through(run, piece, self._known[-1]))

    def changed(self, name: str, change: Change) -> list[Tensors]:
        """The outputs, batch by batch, with `change` made to the stage of this node."""
        return next(self.each([(name, change)]))[1]

    def each(self, changes: Iterable[tuple[str, Change]]) -> Iterator[tuple[str, list[Tensors]]]:
        """The same for one node after another; while one runs, the stage of the next is loaded."""
        loaded = (
            (
                name,
                self._runner(change(self._pieces[self._home[name]]), self._ends[self._home[name]]),
            )
            for name, change in changes
        )
        for name, run in cores.ahead(loaded):
            yield name, self._onwards(self._home[name], run)

    def _onwards(self, at: int, run: Run) -> list[Tensors]:
        """The outputs with `run` in place of a stage."""
        values = self._through(run, self._pieces[at], self._known[at])
        for later in range(at + 1, len(self._runs)):
            values = self._through(self._runs[later], self._pieces[later], values)
        return values

    def _through(self, run: Run, piece: ir.Model, values: Sequence[Tensors]) -> list[Tensors]:
        names = [value.name or "" for value in piece.graph.inputs]
        pools = (feeds | known for feeds, known in zip(self._feeds, values, strict=True))
        return [run({name: pool[name] for name in names}) for pool in pools]


def waists(graph: ir.Model) -> Iterator[str]:
    """Tensors that all that comes later is computed from, but for the inputs, in their order.

    What a layer with weights makes is left out: the ReLU or the bias behind it belongs to it.
    """
    last: dict[ir.Value, int] = {}
    for index, node in enumerate(graph.graph):
        for value in _reads(node):
            last[value] = index
    last |= dict.fromkeys(graph.graph.outputs, len(graph.graph))
    constant: set[ir.Value] = set()
    live: set[ir.Value] = set()
    for index, node in enumerate(graph.graph):
        fixed = all(_fixed(v, constant) for v in node.inputs if v is not None)
        constant |= set(node.outputs) if fixed else set()
        live |= {v for v in node.outputs if not fixed and last.get(v, -1) > index}
        live -= {v for v in live if last[v] <= index}
        if len(live) == 1 and (value := next(iter(live))) in node.outputs:
            kind = getattr(value.type, "dtype", None)
            if kind == ir.DataType.FLOAT and not is_weighted(node) and not value.is_graph_output():
                yield value.name or ""


def _spaced(graph: ir.Model, found: Collection[str]) -> list[str]:
    """At most MOST - 1 of them, with about as many layers between each two."""
    layers = list(itertools.accumulate(int(is_weighted(node)) for node in graph.graph))
    makers = {v.name: i for i, node in enumerate(graph.graph) for v in node.outputs}
    share = max(layers[-1] / MOST, 1.0) if layers else 1.0
    chosen: list[str] = []
    passed = 0.0
    for name in found:
        here = layers[makers[name]]
        if here - passed >= share and layers[-1] - here >= 1:
            chosen.append(name)
            passed = here
    return chosen


def _reads(node: ir.Node) -> Iterator[ir.Value]:
    yield from (v for v in node.inputs if v is not None)
    for inner in subgraphs(node):
        for deep in inner:
            yield from _reads(deep)


def _fixed(value: ir.Value, constant: set[ir.Value]) -> bool:
    return value in constant or graphs.constant(value) is not None
