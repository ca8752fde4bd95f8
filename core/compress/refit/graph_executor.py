"""Graph executor: piece by piece over all calibration batches, each node once.

Between two pieces only the tensors lie on a shelf that nodes ahead still read. So the weights of a
layer may change before the walk reaches it, and nothing behind it is computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import onnx
import onnx_ir as ir

from core.calibration.services import Graph, Run, Tensors
from core.compress.linalg import parallel
from core.compress.refit.spill_cache import Array, Shelf

Runner = Callable[[Graph, Sequence[str]], Run]


class Walk:
    """One graph on its way from its inputs to its outputs."""

    def __init__(self, graph: Graph, runner: Runner, feeds: Sequence[Tensors]) -> None:
        """Stand at the inputs."""
        self.graph, self._runner, self.count = graph, runner, len(feeds)
        self._shelf = Shelf()
        self._done: set[ir.Node] = set()
        self._feeds = feeds

    def reach(self, names: Sequence[str], also: Collection[str] = ()) -> None:
        """Compute what is needed for these tensors; they stay until the next call.

        Args:
            names: the tensors.
            also: tensors that shall stay too, if they were computed.
        """
        wanted = [n for n in names if n not in self._shelf and not self._is_fed(n)]
        nodes = self._needed(wanted)
        if nodes:
            self._run(nodes, wanted)
        self._forget({*names, *also})

    def back(self, nodes: Collection[ir.Node]) -> None:
        """Forget what these nodes made, and compute it again when it is needed."""
        for node in nodes:
            self._done.discard(node)
            for value in node.outputs:
                self._shelf.drop(value.name or "")

    def value(self, name: str, batch: int) -> Array:
        """A tensor that was reached."""
        if name in self._shelf:
            return self._shelf.get(name, batch)
        return self._feeds[batch][name]

    def rest(self, names: Sequence[str]) -> tuple[Graph, list[str]]:
        """All that is still to be computed for these tensors, as one graph, and its inputs."""
        nodes = self._needed(names)
        return self._piece(nodes, names), self._read(nodes)

    def _is_fed(self, name: str) -> bool:
        return bool(self._feeds) and name in self._feeds[0]

    def _needed(self, names: Sequence[str]) -> list[ir.Node]:
        """Nodes not yet computed that these tensors depend on, in order."""
        maker = {v.name: n for n in self.graph.graph for v in n.outputs}
        found: set[ir.Node] = set()
        stack = [maker[n] for n in names if n in maker and n not in self._shelf]
        while stack:
            node = stack.pop()
            if node in found or node in self._done:
                continue
            found.add(node)
            stack += [maker[n] for n in reads(node) if n in maker and n not in self._shelf]
        return [node for node in self.graph.graph if node in found]

    def _run(self, nodes: list[ir.Node], wanted: Sequence[str]) -> None:
        self._done.update(nodes)
        later = {n for other in self.graph.graph if other not in self._done for n in reads(other)}
        ends = {v.name for v in self.graph.graph.outputs}
        made = [v.name or "" for node in nodes for v in node.outputs if v.name]
        kept = [n for n in made if n in later | ends | set(wanted)]
        run = self._runner(self._piece(nodes, kept), kept)
        read = self._read(nodes)

        def computed(batch: int) -> Tensors:
            return run({name: self.value(name, batch) for name in read})

        for batch, values in enumerate(parallel.ahead(map(computed, range(self.count)))):
            for name in kept:
                self._shelf.put(name, batch, values[name])

    def _forget(self, pinned: set[str]) -> None:
        ahead = {n for node in self.graph.graph if node not in self._done for n in reads(node)}
        ahead |= {v.name or "" for v in self.graph.graph.outputs} | pinned
        for name in self._shelf.names():
            if name not in ahead:
                self._shelf.drop(name)

    def _read(self, nodes: Sequence[ir.Node]) -> list[str]:
        """Tensors that a piece takes from the shelf or from the feeds."""
        made = {v.name for node in nodes for v in node.outputs}
        read = dict.fromkeys(n for node in nodes for n in reads(node) if n not in made)
        return [n for n in read if n in self._shelf or self._is_fed(n)]

    def _piece(self, nodes: Sequence[ir.Node], outputs: Sequence[str]) -> Graph:
        """These nodes as a graph of their own."""
        kinds = {}
        for name in self._read(nodes):
            kind = onnx.helper.np_dtype_to_tensor_dtype(self.value(name, 0).dtype)
            kinds[name] = onnx.TypeProto()
            kinds[name].tensor_type.elem_type = kind
        return piece(self.graph, nodes, kinds, outputs)


def piece(
    graph: Graph,
    nodes: Sequence[ir.Node],
    inputs: Mapping[str, onnx.TypeProto],
    outputs: Sequence[str],
) -> Graph:
    """Some nodes of a graph as a graph of their own.

    Args:
        graph: that they belong to.
        nodes: in order.
        inputs: tensors that are given to them, with their types.
        outputs: tensors that are asked for.
    """
    proto = onnx.ModelProto(ir_version=max(graph.ir_version or 8, 8))
    for domain, version in graph.graph.opset_imports.items():
        proto.opset_import.add(domain=domain, version=version)
    proto.functions.extend(map(ir.to_proto, graph.functions.values()))
    proto.graph.name = "piece"
    proto.graph.node.extend(ir.to_proto(node) for node in nodes)
    proto.graph.input.extend(onnx.ValueInfoProto(name=n, type=t) for n, t in inputs.items())
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    for value in _constants(graph, nodes, set(inputs)):
        if value.const_value is not None:
            tensor = ir.to_proto(value.const_value)
            tensor.name = value.name or ""
            proto.graph.initializer.append(tensor)
    made: Graph = ir.from_proto(proto)
    return made


def _constants(graph: Graph, nodes: Sequence[ir.Node], read: set[str]) -> list[ir.Value]:
    initializers = graph.graph.initializers
    used = dict.fromkeys(n for node in nodes for n in reads(node))
    return [initializers[n] for n in used if n in initializers and n not in read]


def reads(node: ir.Node) -> list[str]:
    """Names of what a node reads, also from within its bodies."""
    found = [v.name for v in node.inputs if v is not None and v.name]
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            inner = attribute.as_graph()
            found += [n for body in inner for n in reads(body)]
            found += [v.name for v in inner.outputs if v.name]
    return found
