"""Rows of a pairwise refit: gathered once, in parts.

A row is a place of the reader's output; its taps see places of the maker's output, each of which
is kept once, with the maker's inputs there. No row sees another image's places, so that a part of
the images is worked on by itself: small enough for the cache, and as many at once as there are
cores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.compress.graph_executor.executor import GraphExecutor
from core.compress.graph_executor.spill_cache import Array
from core.compress.linalg import parallel
from core.compress.linalg.im2col_sampling import Index, Sites, values_at
from core.compress.refit.normal_equations import Matrix, split
from core.compress.refit.pairwise_layers import Pair, reach
from core.compress.refit.reference import Reference
from core.compress.refit.residual_targets import ResidualTarget
from core.graph.windows import window

ROWS = 16384  # of the reader, over all images
LARGEST_BYTES = 192 << 20  # of the maker's rows
PART_ROWS = 768  # about


@dataclass(frozen=True, eq=False)
class Goal:
    """What the reader is fitted to.

    Attributes:
        target: of the reader.
        source: the original's tensor that the aim's tensor stands for.
        keep: which of its channels; None for all.
        strength: of the ridge.
    """

    target: ResidualTarget
    source: str
    keep: Array | None
    strength: float


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows.

    Attributes:
        inputs: of the maker, (places, G d).
        index: which of the places each row and tap of the reader sees, -1 for padding.
        low, high: bounds of the reader's output, (rows, o).
        target: of the reader's output.
        weights: (rows,).
    """

    inputs: Array
    index: Index
    low: Array
    high: Array
    target: Array
    weights: Array

    def made(self, matrix: Matrix, bias: Matrix) -> Array:
        """What a maker of these weights, (G, k / G, d) and (G, k / G), gives: (places, k)."""
        made = split(self.inputs, len(matrix)) @ matrix.transpose(0, 2, 1).astype(np.float32)
        made += bias[:, None].astype(np.float32)
        return np.ascontiguousarray(made.transpose(1, 0, 2)).reshape(len(self.inputs), -1)

    def seen(self, channels: Array) -> Array:
        """The reader's rows, (rows, taps * k), of channels (places, k)."""
        padded = np.concatenate([channels, np.zeros((1, channels.shape[1]), channels.dtype)])
        return np.take(padded, self.index, axis=0, mode="wrap").reshape(len(self.index), -1)

    def scattered(self, back: Array) -> Array:
        """Sums over the rows and taps that see each place, (places, k); `back` is (rows, taps * k).

        Through one tap, no two rows see the same place.
        """
        rows, taps = self.index.shape
        each = back.reshape(rows, taps, -1)
        result = np.zeros((len(self.inputs) + 1, each.shape[2]), back.dtype)  # the last: padding
        for tap in range(taps):
            result[self.index[:, tap]] += each[:, tap]
        return result[:-1]

    def outputs(self, rows: Array, matrix: Matrix, bias: Matrix) -> Array:
        """What a reader of these weights, (1, o, taps * k) and (1, o), gives: (rows, o)."""
        out = rows @ matrix[0].T.astype(np.float32)
        out += bias.astype(np.float32)
        return np.asarray(out)

    def off(self, outputs: Array) -> Array:
        """How far outputs of the reader lie outside their bounds."""
        return np.asarray(outputs - np.clip(outputs, self.low, self.high))

    def loss(self, off: Array, scale: Array) -> float:
        """Sum of squares, weighed by row and, with `scale`, by output."""
        power = self.weights @ np.square(off)
        return float(power.astype(np.float64) @ scale**2)


def gather(
    pair: Pair, goal: Goal, executor: GraphExecutor, reference: Reference, batches: list[int]
) -> list[Part]:
    """The rows of some batches; the executor has reached the inputs of the maker."""
    shape = _read_shape(pair, executor.value(pair.maker.input, 0).shape)
    most = max(_most(pair, shape, reference.images) // executor.count, 1)

    def of_batch(batch: int) -> list[Part]:
        sites = reference.sites(goal.source, batch)
        chosen = np.sort(np.random.default_rng(batch).permutation(len(sites))[:most])
        some = Sites(sites.images[chosen], sites.places[chosen])
        tensor = executor.value(pair.maker.input, batch)
        seen, index = reach(pair.reader, _read_shape(pair, tensor.shape), some)
        rest = _wanted(pair, goal, executor, reference, batch, chosen)
        whole = Part(pair.maker.seen(tensor, seen), index, *rest)
        return _cut(whole, some.images, seen.images)

    return [part for parts in parallel.each(of_batch, batches) for part in parts]


def _cut(whole: Part, images: Index, seen: Index) -> list[Part]:
    """The same by image; both indexes rise."""
    count = max(1, round(len(images) / PART_ROWS))
    first = np.unique(images[len(images) * np.arange(1, count) // count])
    rows = [0, *np.searchsorted(images, first), len(images)]
    places = [0, *np.searchsorted(seen, first), len(seen)]
    parts = []
    for start, stop, low, high in zip(rows[:-1], rows[1:], places[:-1], places[1:], strict=True):
        if start == stop:
            continue
        index = whole.index[start:stop]
        rest = (getattr(whole, n)[start:stop] for n in ("low", "high", "target", "weights"))
        parts.append(Part(whole.inputs[low:high], np.where(index < 0, -1, index - low), *rest))
    return parts


def _read_shape(pair: Pair, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of the reader's input, for maker inputs of this shape."""
    channels = len(pair.maker.bias())
    if pair.maker.node.op_type != "Conv":
        return (*shape[:-1], channels)
    over = window(pair.maker.node, pair.maker.weight.shape[2:], shape[2:])
    return (shape[0], channels, *over.out(shape[2:]))


def _most(pair: Pair, shape: tuple[int, ...], images: int) -> int:
    """Rows over all images: a place that several rows see is kept once."""
    row_bytes = 4 * pair.maker.matrix().shape[2] * pair.maker.groups
    area = int(np.prod(shape[2:] if pair.reader.node.op_type == "Conv" else shape[1:-1]))
    if images * area * row_bytes <= LARGEST_BYTES:
        return ROWS
    return min(ROWS, LARGEST_BYTES // int(row_bytes * pair.reader.taps))


def _wanted(
    pair: Pair, goal: Goal, executor: GraphExecutor, reference: Reference, batch: int, chosen: Index
) -> tuple[Array, Array, Array, Array]:
    """Bounds, targets and weights of the chosen rows."""
    sites = reference.sites(goal.source, batch)
    wanted = reference.wanted(goal.source, batch)[chosen]
    wanted = wanted if goal.keep is None else wanted[:, goal.keep]
    other = None
    if goal.target.other:
        some = Sites(sites.images[chosen], sites.places[chosen])
        other = values_at(executor.value(goal.target.other, batch), pair.reader.channel_axis, some)
    weights = reference.weights(goal.source, batch)
    weigh = np.ones(len(chosen), np.float32) if weights is None else weights[chosen]
    targets = goal.target.targets(wanted, other)
    return (*goal.target.bounds(wanted, other, targets), targets, weigh)
