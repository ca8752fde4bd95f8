"""Graph executor: piece by piece over all calibration batches, each node once.

Between two pieces only the tensors are kept that nodes ahead still read. So the weights of a layer
may change before it is reached, and nothing behind it is computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import onnx_ir as ir

from core.calibration.services import Graph, Run, Tensors
from core.compress.graph_executor.spill_cache import Array, SpillCache
from core.compress.graph_executor.subgraph import cut, needed, read_from_outside, reads
from core.compress.linalg import parallel

Runner = Callable[[Graph, Sequence[str]], Run]


class GraphExecutor:
    """One graph on its way from its inputs to its outputs."""

    def __init__(
        self,
        graph: Graph,
        runner: Runner,
        feeds: Sequence[Tensors],
        limit_bytes: int | None = None,
    ) -> None:
        """Stand at the inputs.

        Args:
            graph: is read when a piece of it runs, not before.
            runner: loads a piece.
            feeds: the inputs, batch by batch.
            limit_bytes: of what is kept in memory, see `SpillCache`.
        """
        self.graph, self._runner, self.count = graph, runner, len(feeds)
        self._cache = SpillCache(limit_bytes)
        self._done: set[ir.Node] = set()
        self._feeds = feeds

    def reach(self, names: Sequence[str], also: Collection[str] = ()) -> None:
        """Compute what is needed for these tensors; they stay until the next call.

        Args:
            names: the tensors.
            also: tensors that shall stay too, if they were computed.
        """
        wanted = [n for n in names if n not in self._cache and not self._is_fed(n)]
        nodes = needed(self.graph, wanted, self._cache.names())
        if nodes:
            self._run(nodes, wanted)
        self._forget({*names, *also})

    def back(self, nodes: Collection[ir.Node]) -> None:
        """Forget what these nodes made, and compute it again when it is needed."""
        for node in nodes:
            self._done.discard(node)
            for value in node.outputs:
                self._cache.drop(value.name or "")

    def value(self, name: str, batch: int) -> Array:
        """A tensor that was reached."""
        if name in self._cache:
            return self._cache.get(name, batch)
        return self._feeds[batch][name]

    def values(self, name: str) -> list[Array]:
        """The same, batch by batch."""
        return [self.value(name, batch) for batch in range(self.count)]

    def replace(self, name: str, values: Sequence[Array]) -> None:
        """Let the nodes ahead see other values of a tensor that was reached, batch by batch."""
        self._cache.drop(name)
        for batch, array in enumerate(values):
            self._cache.put(name, batch, array)

    def rest(self, names: Sequence[str]) -> tuple[Graph, list[str]]:
        """All that is still to be computed for these tensors, as one graph, and its inputs."""
        piece = self._piece(needed(self.graph, names, self._cache.names()), names)
        return piece, [value.name or "" for value in piece.graph.inputs]

    def _is_fed(self, name: str) -> bool:
        return bool(self._feeds) and name in self._feeds[0]

    def _run(self, nodes: list[ir.Node], wanted: Sequence[str]) -> None:
        self._done.update(nodes)
        kept = self._read_ahead() | set(wanted)
        made = [v.name for node in nodes for v in node.outputs if v.name and v.name in kept]
        piece = self._piece(nodes, made)
        run, read = self._runner(piece, made), [value.name or "" for value in piece.graph.inputs]

        def computed(batch: int) -> Tensors:
            return run({name: self.value(name, batch) for name in read})

        for batch, values in enumerate(parallel.ahead(map(computed, range(self.count)))):
            for name in made:
                self._cache.put(name, batch, values[name])

    def _forget(self, pinned: set[str]) -> None:
        kept = self._read_ahead() | pinned
        for name in self._cache.names():
            if name not in kept:
                self._cache.drop(name)

    def _read_ahead(self) -> set[str]:
        """Names of what nodes ahead read, and of the outputs."""
        ahead = (node for node in self.graph.graph if node not in self._done)
        read = {value.name or "" for node in ahead for value in reads(node)}
        return read | {value.name or "" for value in self.graph.graph.outputs}

    def _piece(self, nodes: Sequence[ir.Node], outputs: Sequence[str]) -> Graph:
        """These nodes as a graph of their own."""
        given = []
        for value in read_from_outside(nodes):
            dtype = ir.DataType.from_numpy(self.value(value.name or "", 0).dtype)
            given.append(ir.Value(name=value.name, type=ir.TensorType(dtype)))
        return cut(self.graph, nodes, given, outputs)
