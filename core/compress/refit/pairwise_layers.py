"""Pairs of layers that can be fitted jointly: only functions of single numbers lie between them.

The first makes the channels, the second alone reads them. What lies between, a batch norm and an
activation function in any spelling, works on each place and channel by itself, so it can be run on
any rows of channels, without the image that they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from core.analysis.shapes import Facts
from core.analysis.values import constant_tensor
from core.calibration.services import Graph
from core.compress.autodiff.vjp import slopes
from core.compress.graph_executor.executor import Runner
from core.compress.graph_executor.spill_cache import Array
from core.compress.graph_executor.subgraph import cut
from core.compress.linalg.im2col_sampling import Index, Sites
from core.compress.refit.clipped_affine import clipped_affine
from core.compress.refit.linear_layers import Layer
from core.graph.operators import STANDARD
from core.graph.windows import window

POINTWISE = frozenset(
    {"Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Erf", "Identity"}
    | {"Mul", "Add", "Sub", "Div", "BatchNormalization"}
)


@dataclass(frozen=True, eq=False)
class Pair:
    """A layer, the only one that reads it, and the nodes in between."""

    maker: Layer
    reader: Layer
    between: tuple[ir.Node, ...]

    @property
    def nodes(self) -> list[ir.Node]:
        """All that must be computed anew once the maker has new weights."""
        ends = self.maker.ends
        return [*ends, *(node for node in self.between if node not in ends)]


def pair(maker: Layer, readers: Mapping[ir.Node, Layer], known: Facts) -> Pair | None:
    """The pair that a layer is the first of, if there is one.

    Args:
        maker: a layer.
        readers: layers by node.
        known: shapes of the graph.
    """
    first = maker.ends[-1].outputs[0]
    shape = known.shape(first)
    if shape is None:
        return None
    wide = [1] * len(shape)
    wide[maker.channel_axis] = len(maker.bias())
    region, pending = {first}, [first]
    between: dict[ir.Node, None] = {}
    ends: set[tuple[ir.Node, ir.Value]] = set()
    while pending:
        value = pending.pop()
        if value.is_graph_output():
            return None
        for use in value.uses():
            if use.node in readers and use.idx == 0:
                ends.add((use.node, value))
            elif use.node not in between:
                if not _is_pointwise(use.node, wide):
                    return None
                between[use.node] = None
                region.add(use.node.outputs[0])
                pending.append(use.node.outputs[0])
    if len(ends) != 1 or any(_foreign(node, region) for node in between):
        return None
    reader = readers[ends.pop()[0]]
    mixes = reader.groups == 1 and reader.node.op_type == maker.node.op_type
    known_places = maker.node.op_type != "ConvTranspose"
    return Pair(maker, reader, tuple(between)) if mixes and known_places else None


def _is_pointwise(node: ir.Node, wide: Sequence[int]) -> bool:
    if node.domain not in STANDARD or node.op_type not in POINTWISE:
        return False
    if len(node.outputs) != 1:
        return False
    known = [constant_tensor(v) for v in node.inputs if v is not None]
    constants = [c for c in known if c is not None]
    if any(c.dtype != ir.DataType.FLOAT for c in constants):  # the rows are of single precision
        return False
    if node.op_type == "BatchNormalization":
        return len(wide) > 1 and wide[1] > 1
    return all(_fits(c.shape.numpy(), wide) for c in constants)


def _fits(shape: Sequence[int], wide: Sequence[int]) -> bool:
    """Whether a constant says the same at each place."""
    if len(shape) > len(wide):
        return False
    pairs = zip(shape, wide[len(wide) - len(shape) :], strict=True)
    return all(d in (1, w) for d, w in pairs)


def _foreign(node: ir.Node, region: set[ir.Value]) -> bool:
    """Whether a node reads something computed elsewhere."""
    given = [v for v in node.inputs if v is not None]
    return any(v not in region and constant_tensor(v) is None for v in given)


class Between:
    """The nodes between two layers as a function of rows of channels."""

    def __init__(self, graph: Graph, of: Pair, rank: int, runner: Runner) -> None:
        """Prepare to run them.

        Args:
            graph: that they belong to.
            of: the layers.
            rank: of the tensors.
            runner: runs graphs.

        Raises:
            NoGradient: an operator whose slope is not known.
        """
        self._start, self._end = of.maker.output, of.reader.input
        self._shape = [-1, *[1] * (rank - 1)]
        self._shape[of.maker.channel_axis] = channels = len(of.maker.bias())
        order = {node: i for i, node in enumerate(graph.graph)}
        nodes = sorted(of.between, key=order.__getitem__)
        self._clipped = clipped_affine(nodes, self._start, channels)
        if self._clipped is None:
            shape: list[int | None] = [1] * rank
            shape[0], shape[of.maker.channel_axis] = None, channels
            floats = ir.TensorType(ir.DataType.FLOAT)
            given = ir.Value(name=self._start, type=floats, shape=ir.Shape(shape))
            makers = {v.producer() for node in nodes for v in node.inputs if v is not None}
            stored = [n for n in graph.graph if n in makers and n.op_type == "Constant"]
            plain = cut(graph, [*stored, *nodes], [given], [self._end])
            back, self._slope = slopes(plain, self._start)
            self._run = runner(plain, [self._end])
            self._back = runner(back, [self._end, self._slope])

    def __call__(self, rows: Array) -> Array:
        """What becomes of rows (n, channels)."""
        if self._clipped is not None:
            return self._clipped(rows)
        shaped = rows.reshape([len(rows), *self._shape[1:]])
        return self._run({self._start: shaped})[self._end].reshape(rows.shape)

    def sloped(self, rows: Array) -> tuple[Array, Array]:
        """The same, and the slope at each."""
        if self._clipped is not None:
            return self._clipped.sloped(rows)
        shaped = rows.reshape([len(rows), *self._shape[1:]])
        found = self._back({self._start: shaped})
        slope = np.broadcast_to(found[self._slope], shaped.shape)
        return found[self._end].reshape(rows.shape), slope.reshape(rows.shape)


def reach(reader: Layer, shape: Sequence[int], sites: Sites) -> tuple[Sites, Index]:
    """The places of a reader's input that it sees at some places of its output.

    Args:
        reader: the layer.
        shape: of its input.
        sites: places of its output.

    Returns:
        The places, each once, and for each row and tap which of them it is, -1 outside the image.
    """
    if reader.node.op_type != "Conv":
        return sites, np.arange(len(sites))[:, None]
    spatial = tuple(int(d) for d in shape[2:])
    over = window(reader.node, reader.weight.shape[2:], spatial)
    places, inside = np.zeros((len(sites), 1), np.int64), np.ones((len(sites), 1), bool)
    starts = np.unravel_index(sites.places, over.out(spatial))
    for axis, start in enumerate(starts):
        reaching = np.arange(over.kernel[axis]) * over.dilations[axis] - over.before[axis]
        along = (start[:, None] * over.strides[axis] + reaching)[:, None, :]
        places = (places[:, :, None] * spatial[axis] + along).reshape(len(sites), -1)
        fine = (along >= 0) & (along < spatial[axis])
        inside = (inside[:, :, None] & fine).reshape(len(sites), -1)
    area = int(np.prod(spatial))
    keys = np.where(inside, places + sites.images[:, None] * area, -1)
    unique, index = np.unique(keys, return_inverse=True)
    index = index.reshape(keys.shape)
    if len(unique) and unique[0] < 0:
        unique, index = unique[1:], index - 1
    return Sites(unique // area, unique % area), index
