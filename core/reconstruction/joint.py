"""Two layers in a row, fitted together: the first makes what the second needs.

After a cut the layer that makes the channels still makes those of the original, only fewer. Free to
make others, it serves its reader better. With x the maker's inputs, h = f(V x) the channels, y what
the reader W wants, the error

    E w |y - W f(V x)|^2

is lowered by turns: W in closed form, V by a Gauss-Newton step whose matrix is taken as a Kronecker
product, S = cov(x) on the input side and E[J'J] on the output side, J being the reader's slope by
its channels. The step's length is the best of a few. All this happens on rows that are gathered
once. The new weights stay only if the reader, refitted, errs less on images held back.

Source: Martens, Grosse 2015, arXiv:1503.05671 (Kronecker-factored steps); Golub, Pereyra 1973
(variable projection: the linear part is solved for at each step).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.reconstruction.aims import Aim
from core.reconstruction.gram import Gram, Matrix, Shift, split
from core.reconstruction.pairs import Between, Pair, reach
from core.reconstruction.patches import Index, Sites, values_at
from core.reconstruction.reference import Reference
from core.reconstruction.shelf import Array
from core.reconstruction.solve import ridge
from core.reconstruction.walk import Walk

ROUNDS = 2  # the first brings most
ROWS = 16384  # of the reader, over all images
LARGEST_BYTES = 128 << 20  # of the maker's rows
ROWS_PER_INPUT = 4  # of the maker: with fewer, the fit would not carry over to other images
LENGTHS = (0.5, 1.0, 0.25)
PLACES_PER_INPUT = 16  # of the maker, for the covariance of its inputs
DAMPING = 0.01  # of either factor, relative to its mean
GAIN = 0.995  # an error above this share of the last is no gain


@dataclass(frozen=True, eq=False)
class Goal:
    """What the reader is fitted to.

    Attributes:
        aim: of the reader.
        source: the original's tensor that the aim's tensor stands for.
        keep: which of its channels; None for all.
        strength: of the ridge.
    """

    aim: Aim
    source: str
    keep: Array | None
    strength: float


@dataclass(frozen=True, eq=False)
class Weights:
    """Of both layers; columns go in the order of `Layer.seen`.

    Attributes:
        made, made_bias: the maker's, (G, k / G, d) and (G, k / G).
        read, read_bias: the reader's, (1, o, taps * k) and (1, o).
    """

    made: Matrix
    made_bias: Matrix
    read: Matrix
    read_bias: Matrix


@dataclass(frozen=True, eq=False)
class Part:
    """Rows to fit on, or to judge on.

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


class Joint:
    """A pair of layers and its rows."""

    def __init__(self, pair: Pair, goal: Goal, walk: Walk, reference: Reference) -> None:
        """Gather the rows; the walk has reached the inputs of both layers.

        Raises:
            NoGradient: something between the layers has no slope that is known.
        """
        self._pair, self._goal, self._walk, self._reference = pair, goal, walk, reference
        rank = walk.value(pair.maker.input, 0).ndim
        self._between = Between(walk.graph, pair, rank, reference.statistics.runner)
        held = [b for b in range(walk.count) if reference.held(b)]
        self._fitted = self._part([b for b in range(walk.count) if b not in held])
        self._held = self._part(held) if held else self._fitted

    @property
    def enough(self) -> bool:
        """Whether the rows say enough about the maker."""
        return bool(len(self._fitted.inputs) >= ROWS_PER_INPUT * self._pair.maker.matrix().shape[2])

    def run(self) -> tuple[Weights, float, float] | None:
        """Better weights, and the reader's error on images held back before and after; or None."""
        now, part = self._weights(), self._fitted
        first = self._error(now)
        made, covariance = self._made(part, now), _damped(self._second())
        best, least, base = now, np.inf, np.inf
        for turn in range(ROUNDS + 1):
            channels, slope = self._between.sloped(made)
            rows = self._seen(part, channels)
            now = self._reread(now, rows)
            error = self._error(now)
            if turn and not error < GAIN * least:
                break
            base = base if turn else error
            best, least = now, error
            if turn < ROUNDS:
                now, made = self._step(now, covariance, made, rows, slope)
        return (best, first, least) if least < base else None

    def write(self, weights: Weights) -> None:
        """Put them into both layers."""
        for layer, matrix, bias in (
            (self._pair.maker, weights.made, weights.made_bias),
            (self._pair.reader, weights.read, weights.read_bias),
        ):
            layer.write(matrix[:, :, np.argsort(layer.order)], bias)

    def _weights(self) -> Weights:
        maker, reader = self._pair.maker, self._pair.reader
        parts = []
        for layer in (maker, reader):
            parts += [layer.matrix()[:, :, layer.order], layer.bias().reshape(layer.groups, -1)]
        return Weights(*parts)

    def _part(self, batches: list[int]) -> Part:
        """The rows of some batches."""
        pair, goal = self._pair, self._goal
        width = pair.maker.matrix().shape[2] * pair.maker.groups
        taps, batches_in_all = pair.reader.taps, self._walk.count
        most = min(ROWS, LARGEST_BYTES // (4 * width) // max(taps // 3, 1)) // batches_in_all
        random = np.random.default_rng(0)
        inputs, index, rest, places = [], [], [], 0
        for batch in batches:
            sites = self._reference.sites(goal.source, batch)
            chosen = np.sort(random.permutation(len(sites))[: max(most, 1)])
            some = Sites(sites.images[chosen], sites.places[chosen])
            seen, of = reach(pair.reader, self._walk.value(pair.reader.input, batch).shape, some)
            inputs.append(pair.maker.seen(self._walk.value(pair.maker.input, batch), seen))
            index.append(np.where(of < 0, -1, of + places))
            rest.append(self._wanted(batch, chosen, some))
            places += len(seen)
        return Part(np.concatenate(inputs), np.concatenate(index),
                    *(np.concatenate(a) for a in zip(*rest, strict=True)))  # fmt: skip

    def _wanted(self, batch: int, chosen: Index, sites: Sites) -> tuple[Array, Array, Array, Array]:
        goal, reference = self._goal, self._reference
        wanted = reference.wanted(goal.source, batch)[chosen]
        wanted = wanted if goal.keep is None else wanted[:, goal.keep]
        other = None
        if goal.aim.other:
            axis = self._pair.reader.channel_axis
            other = values_at(self._walk.value(goal.aim.other, batch), axis, sites)
        weights = reference.weights(goal.source, batch, goal.keep)
        weigh = np.ones(len(sites), np.float32) if weights is None else weights[chosen]
        targets = goal.aim.targets(wanted, other)
        return (*goal.aim.bounds(wanted, other, targets), targets, weigh)

    def _made(self, part: Part, weights: Weights) -> Array:
        """What the maker gives, (places, k)."""
        maker = split(part.inputs, len(weights.made))
        made = maker @ weights.made.transpose(0, 2, 1).astype(np.float32)
        made += weights.made_bias[:, None].astype(np.float32)
        return np.ascontiguousarray(made.transpose(1, 0, 2)).reshape(len(part.inputs), -1)

    def _seen(self, part: Part, channels: Array) -> Array:
        """The reader's rows, (rows, taps * k)."""
        padded = np.concatenate([channels, np.zeros((1, channels.shape[1]), channels.dtype)])
        return padded[part.index].reshape(len(part.index), -1)

    def _off(self, part: Part, rows: Array, weights: Weights) -> Array:
        """How far the reader's output lies outside its bounds, (rows, o)."""
        out = rows @ weights.read[0].T.astype(np.float32)
        out += weights.read_bias.astype(np.float32)
        return np.asarray(out - np.clip(out, part.low, part.high))

    def _loss(self, part: Part, off: Array) -> float:
        scale = self._goal.aim.scale
        return float(np.einsum("no,o,n->", off.astype(np.float64) ** 2, scale**2, part.weights))

    def _error(self, weights: Weights) -> float:
        """On images held back, relative to the variance of the targets."""
        part = self._held
        channels = self._between(self._made(part, weights))
        spread = self._loss(part, part.target - part.target.mean(0))
        off = self._off(part, self._seen(part, channels), weights)
        return self._loss(part, off) / max(spread, 1e-20)

    def _reread(self, weights: Weights, rows: Array) -> Weights:
        """The reader in closed form for these rows, its targets moved within their bounds."""
        part = self._fitted
        out = rows @ weights.read[0].T.astype(np.float32) + weights.read_bias.astype(np.float32)
        target = np.clip(out, part.low, part.high)
        gram = Gram(1, Shift.of(rows, target, 1))
        gram.add(rows, target, part.weights)
        moments = gram.moments()
        read, bias = ridge(moments, weights.read, self._goal.strength)
        return Weights(weights.made, weights.made_bias, read, bias)

    def _second(self) -> Matrix:
        """(G, d, d): covariance of the maker's inputs, over as many places as it takes."""
        inputs = self._fitted.inputs
        few = inputs[:: max(1, len(inputs) // (PLACES_PER_INPUT * inputs.shape[1]))]
        x = split(few, self._pair.maker.groups)
        centred = x - x.mean(1, keepdims=True)
        product = centred.transpose(0, 2, 1) @ centred / max(x.shape[1], 1)
        return np.asarray(product, np.float64)

    def _step(
        self, weights: Weights, covariance: Matrix, made: Array, rows: Array, slope: Array
    ) -> tuple[Weights, Array]:
        """The maker after one step of the best length, and what it makes then."""
        part = self._fitted
        off = self._off(part, rows, weights)
        least, taken = self._loss(part, off), 0.0
        turned, shifted = self._direction(weights, covariance, off, slope)
        moved = self._made(part, replace(weights, made=turned, made_bias=shifted))
        for length in LENGTHS:
            channels = self._between(made + np.float32(length) * moved)
            loss = self._loss(part, self._off(part, self._seen(part, channels), weights))
            if loss >= least and taken:
                break
            if loss < least:
                least, taken = loss, length
        better = replace(
            weights,
            made=weights.made + taken * turned,
            made_bias=weights.made_bias + taken * shifted,
        )
        return better, made + np.float32(taken) * moved

    def _direction(
        self, weights: Weights, covariance: Matrix, off: Array, slope: Array
    ) -> tuple[Matrix, Matrix]:
        """The Gauss-Newton direction of the maker's weights and bias."""
        part, groups, scale = self._fitted, len(weights.made), self._goal.aim.scale
        pull = off * (part.weights[:, None] * scale**2).astype(np.float32)
        back = (pull @ weights.read[0].astype(np.float32)).reshape(*part.index.shape, -1)
        gathered = _scattered(back, part.index, len(part.inputs)) * slope
        x, g = split(part.inputs, groups), split(gathered, groups)
        mean, rows = x.mean(1), float(part.weights.sum())
        level = g.sum(1, dtype=np.float64) / rows
        gradient = np.stack([b.T @ a for a, b in zip(x, g, strict=True)]) / rows
        gradient = gradient - level[:, :, None] * mean[:, None]  # as if the inputs were centred
        curvature = _damped(self._curvature(weights, slope))
        inner = np.linalg.solve(covariance, gradient.transpose(0, 2, 1)).transpose(0, 2, 1)
        turned = -np.linalg.solve(curvature, inner)
        shifted = -np.linalg.solve(curvature, level[:, :, None])[:, :, 0]
        shifted = shifted - np.einsum("gkd,gd->gk", turned, mean)
        return np.asarray(turned, np.float64), np.asarray(shifted, np.float64)

    def _curvature(self, weights: Weights, slope: Array) -> Matrix:
        """(G, k / G, k / G): how much the reader's outputs move with the maker's."""
        part, groups = self._fitted, len(weights.made)
        taps = part.index.shape[1]
        read = weights.read[0].reshape(weights.read.shape[1], taps, -1)
        moves = np.einsum("otk,otl,o->kl", read, read, self._goal.aim.scale**2)
        both = slope.T @ slope / max(len(slope), 1)
        whole, size = moves * both, len(moves) // groups
        return np.stack([whole[i : i + size, i : i + size] for i in range(0, len(whole), size)])


def _scattered(back: Array, index: Index, places: int) -> Array:
    """Sums over the rows and taps that see each place, (places, k)."""
    result = np.zeros((places + 1, back.shape[-1]), back.dtype)  # the last is for the padding
    for tap in range(index.shape[1]):  # through one tap, no two rows see the same place
        result[index[:, tap]] += back[:, tap]
    return result[:-1]


def _damped(matrix: Matrix) -> Matrix:
    """With a multiple of the identity added."""
    size = matrix.shape[1]
    more = DAMPING * np.trace(matrix, axis1=1, axis2=2) / size + 1e-12
    return np.asarray(matrix + more[:, None, None] * np.eye(size))
