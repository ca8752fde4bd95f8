"""Subgraphs that run on their own, from tensors that are known to tensors that are asked.

A repair that walks through a net layer by layer would otherwise run everything before the layer
again for each of them: with pieces, each node runs once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from core.calibration.services import Tensors
from core.compress.quantization.images import Images, any_batch, images_of, singly
from core.compress.quantization.partition import is_weighted
from core.process import memory

Array = np.ndarray[Any, Any]

LARGEST_BYTES = 768 << 20  # of what is kept of two nets that are walked side by side
SHARE = 6  # of the memory that is free
SMALLEST_IMAGES = 16


class Pieces:
    """A graph, ready to be cut."""

    def __init__(self, graph: ir.Model) -> None:
        """Read it once; constants are shared with it, not copied."""
        bare = graph.clone()
        self._constants: dict[str, ir.TensorProtocol] = {}
        for name, value in bare.graph.initializers.items():
            if value.const_value is not None:
                self._constants[name] = value.const_value
                value.const_value = _nothing(name, value.const_value.dtype)
        self._model = ir.serde.serialize_model(bare)
        main = self._model.graph
        self._makers = {out: node for node in main.node for out in node.output if out}
        self._order = {id(node): index for index, node in enumerate(main.node)}
        self._inputs = {value.name: value for value in main.input}

    def sources(self, tensor: str, known: set[str]) -> set[str]:
        """The tensors of `known`, and the inputs, that `tensor` is computed from next."""
        return set(self._walk(tensor, known)[1])

    def cut(self, tensors: Iterable[str], known: set[str]) -> ir.Model:
        """The part that computes `tensors` from tensors of `known`."""
        nodes: dict[int, onnx.NodeProto] = {}
        ends: dict[str, None] = {}
        wanted = list(tensors)
        for tensor in wanted:
            more, sources = self._walk(tensor, known)
            nodes |= {self._order[id(node)]: node for node in more}
            ends |= dict.fromkeys(sources)
        chosen = [nodes[index] for index in sorted(nodes)]
        used = dict.fromkeys(name for node in chosen for name in _reads(node))
        constants = [name for name in used if name in self._constants]
        model = onnx.ModelProto(ir_version=self._model.ir_version)
        model.opset_import.extend(self._model.opset_import)
        model.graph.name = "piece"
        model.graph.node.extend(chosen)
        model.graph.initializer.extend(
            ir.serde.serialize_tensor(_nothing(name, self._constants[name].dtype))
            for name in constants
        )
        model.graph.input.extend(self._entry(name) for name in ends)
        model.graph.output.extend(_value(name) for name in wanted)
        piece = ir.serde.deserialize_model(model)
        for name in constants:
            held, number = piece.graph.initializers[name], self._constants[name]
            held.const_value, held.shape = number, ir.Shape(number.shape.numpy())
            held.type = ir.TensorType(number.dtype)
        return piece

    def replace(self, constant: str, array: Array) -> None:
        """Give an initializer other numbers, for the pieces cut from now on."""
        self._constants[constant] = ir.Tensor(array, name=constant)

    def _entry(self, name: str) -> onnx.ValueInfoProto:
        return self._inputs.get(name) or _value(name)

    def _walk(self, tensor: str, known: set[str]) -> tuple[list[onnx.NodeProto], list[str]]:
        nodes, ends, todo, seen = [], [], [tensor], {tensor}
        while todo:
            name = todo.pop()
            maker = self._makers.get(name)
            if maker is None or (name in known and name != tensor):
                if name in self._inputs or name in known:
                    ends.append(name)
                continue
            nodes.append(maker)
            for feed in _reads(maker):
                if feed and feed not in seen:
                    seen.add(feed)
                    todo.append(feed)
        return nodes, ends


class Walk:
    """A net walked from one tensor to the next; what later ones need is kept, and no more."""

    def __init__(
        self, pieces: Pieces, stops: Sequence[str], images: Images, feeds: Sequence[Tensors]
    ) -> None:
        """Begin at the inputs.

        Args:
            pieces: the net.
            stops: tensors in the order of the graph.
            images: whose runner runs the pieces.
            feeds: the inputs, batch by batch.
        """
        self._pieces, self._stops, self._images = pieces, list(stops), images
        self._known = set(stops)
        self._needs = [pieces.sources(stop, self._known) for stop in stops]
        self._pools: list[Tensors] = [dict(feed) for feed in feeds]

    def run(self, at: int, also: str = "") -> list[Tensors]:
        """The tensor of a stop, and another one on the way to it, batch by batch."""
        needs = self._needs[at]
        made = [*([also] if also and also not in needs else []), self._stops[at]]
        run = self._images.runner(self._pieces.cut(made, self._known), made)
        fed: Iterator[Tensors] = ({n: pool[n] for n in needs} for pool in self._pools)
        return [run(feeds) | feeds for feeds in fed]

    def keep(self, at: int, values: Iterable[Array]) -> None:
        """Let the stops behind this one see these values of it; forget what none of them needs."""
        later = set[str]().union(*self._needs[at + 1 :])
        for pool, array in zip(self._pools, values, strict=True):
            pool[self._stops[at]] = array
            for spent in set(pool) - later:
                del pool[spent]


def affordable(graph: ir.Model, images: Images, most: int) -> int:
    """How many images' tensors fit into the bound: two nets, two large tensors of each."""
    names = [v.name or "" for node in graph.graph if is_weighted(node) for v in node.outputs]
    first = next(images.calibration(1))
    first = next(singly(first)) if any_batch(graph) else first
    values: Mapping[str, Array] = images.runner(graph, names)(first) if names else first
    largest = max(array.nbytes for array in values.values()) / images_of(first)
    bound = min(memory.budget_bytes() // SHARE, LARGEST_BYTES)
    return int(np.clip(bound / (4 * largest), min(SMALLEST_IMAGES, most), most))


def _nothing(name: str, dtype: ir.DataType) -> ir.TensorProtocol:
    """What stands for a constant in what is copied."""
    return ir.serde.deserialize_tensor(onnx.TensorProto(name=name, data_type=dtype, dims=[0]))


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        for inner in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
            for deep in inner.node:
                yield from _reads(deep)


def _value(name: str) -> onnx.ValueInfoProto:
    """A float tensor of unknown shape."""
    value = onnx.ValueInfoProto(name=name)
    value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return value
