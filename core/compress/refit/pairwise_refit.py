"""Pairwise refit: two layers in a row, the first makes what the second needs.

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

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from core.compress.graph_executor.executor import GraphExecutor
from core.compress.graph_executor.spill_cache import Array
from core.compress.linalg import parallel
from core.compress.refit.normal_equations import Gram, Matrix, Moments, Shift, split
from core.compress.refit.pairwise_layers import Between, Pair
from core.compress.refit.pairwise_rows import Goal, Part, gather
from core.compress.refit.reference import Reference
from core.compress.refit.ridge import ridge

ROUNDS = 2  # the first brings most
WIDEST = 1200  # inputs of a maker: 128 channels under a 3 x 3 kernel; more take too long
PLACES_LEAST = 4  # for each of the maker's inputs: fewer would not carry over to other images
LENGTHS = (0.0, 0.25, 0.5, 1.0)
LENGTH_PARTS = 4  # of so many parts, the length of a step is chosen on one
PLACES_PER_INPUT = 16  # of the maker, for the covariance of its inputs
DAMPING = 0.01  # of either factor, relative to its mean
GAIN = 0.995  # an error above this share of the last is no gain


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
class State:
    """What the maker's weights make of a part.

    Attributes:
        part: the part.
        made: the maker's output, (places, k).
        slope: of what lies between, there.
        rows: what the reader sees, (rows, taps * k).
    """

    part: Part
    made: Array
    slope: Array
    rows: Array


class PairwiseFit:
    """A pair of layers and its rows."""

    def __init__(
        self, pair: Pair, goal: Goal, executor: GraphExecutor, reference: Reference
    ) -> None:
        """Gather the rows; the executor has reached the inputs of the maker.

        Raises:
            NoGradient: something between the layers has no slope that is known.
        """
        self._pair, self._goal = pair, goal
        rank = executor.value(pair.maker.input, 0).ndim
        self._between = Between(executor.graph, pair, rank, reference.services.runner)
        every = range(executor.count)
        held = [b for b in every if reference.held(b)]
        rest = [b for b in every if b not in held]
        self._fitted = gather(pair, goal, executor, reference, rest)
        self._held = gather(pair, goal, executor, reference, held) if held else self._fitted

    @property
    def enough(self) -> bool:
        """Whether the rows say enough about the maker."""
        places = sum(len(part.inputs) for part in self._fitted)
        return bool(places >= PLACES_LEAST * self._pair.maker.matrix().shape[2])

    def run(self) -> tuple[Weights, float, float] | None:
        """Better weights, and the reader's error on images held back before and after; or None."""
        now = self._weights()
        first, inputs = self._error(now), self._inputs()
        best, least, base = now, np.inf, np.inf
        for turn in range(ROUNDS + 1):
            states = self._states(now)
            now = self._reread(now, states)
            error = self._error(now)
            if turn and not error < GAIN * least:
                break
            base = base if turn else error
            best, least = now, error
            if turn < ROUNDS:
                now = self._step(now, inputs, states)
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

    def _states(self, weights: Weights) -> list[State]:
        """Of each part."""

        def state(part: Part) -> State:
            made = part.made(weights.made, weights.made_bias)
            channels, slope = self._between.sloped(made)
            return State(part, made, slope, part.seen(channels))

        return parallel.each(state, self._fitted)

    def _loss(self, part: Part, made: Array, weights: Weights) -> float:
        """Of the reader, if the maker gives this."""
        rows = part.seen(self._between(made))
        off = part.off(part.outputs(rows, weights.read, weights.read_bias))
        return part.loss(off, self._goal.target.scale)

    def _error(self, weights: Weights) -> float:
        """On images held back, relative to the variance of the targets."""
        count = sum(len(part.target) for part in self._held)
        mean = sum(part.target.sum(0, dtype=np.float64) for part in self._held) / count

        def losses(part: Part) -> tuple[float, float]:
            spread = part.loss(part.target - mean.astype(np.float32), self._goal.target.scale)
            return self._loss(part, part.made(weights.made, weights.made_bias), weights), spread

        loss, spread = np.sum(parallel.each(losses, self._held), axis=0)
        return float(loss) / max(float(spread), 1e-20)

    def _reread(self, weights: Weights, states: Sequence[State]) -> Weights:
        """The reader in closed form for these rows, its targets moved within their bounds."""

        def target(state: State) -> Array:
            out = state.part.outputs(state.rows, weights.read, weights.read_bias)
            return np.clip(out, state.part.low, state.part.high, out=out)

        shift = Shift.of(states[0].rows, target(states[0]), 1)

        def gram(share: Sequence[State]) -> Gram:
            found = Gram(1, shift)
            for state in share:
                found.add(state.rows, target(state), state.part.weights)
            return found

        moments = reduce(Gram.merged, parallel.shared(gram, states)).moments()
        read, bias = ridge(moments, weights.read, self._goal.strength)
        return replace(weights, read=read, read_bias=bias)

    def _inputs(self) -> Moments:
        """Of the maker's inputs, over as many places as it takes."""
        groups, inputs = self._pair.maker.groups, [part.inputs for part in self._fitted]
        places, width = sum(map(len, inputs)), inputs[0].shape[1]
        step = max(1, places // (PLACES_PER_INPUT * width))
        shift = Shift.of(inputs[0], np.zeros((1, 0)), groups)

        def gram(share: Sequence[Array]) -> Gram:
            found = Gram(groups, shift)
            for x in share:
                few = x[::step]
                found.add(few, np.zeros((len(few), 0), np.float32))
            return found

        found = reduce(Gram.merged, parallel.shared(gram, inputs)).moments()
        return replace(found, second=_damped(found.second))

    def _step(self, weights: Weights, inputs: Moments, states: Sequence[State]) -> Weights:
        """With the maker after one step of the best length."""
        turned, shifted = self._direction(weights, inputs, states)

        def losses(state: State) -> list[float]:
            moved = state.part.made(turned, shifted)
            tried = (state.made + np.float32(length) * moved for length in LENGTHS)
            return [self._loss(state.part, made, weights) for made in tried]

        found = np.sum(parallel.each(losses, states[::LENGTH_PARTS]), axis=0)
        taken = LENGTHS[int(found.argmin())]
        made, bias = weights.made + taken * turned, weights.made_bias + taken * shifted
        return replace(weights, made=made, made_bias=bias)

    def _direction(
        self, weights: Weights, inputs: Moments, states: Sequence[State]
    ) -> tuple[Matrix, Matrix]:
        """The Gauss-Newton direction of the maker's weights and bias."""
        shares = parallel.shared(lambda share: self._slopes(weights, inputs, share), states)
        gradient, level, power = (sum(some) for some in zip(*shares, strict=True))
        parts = [state.part for state in states]
        rows = sum(float(part.weights.sum()) for part in parts)
        places = sum(len(part.inputs) for part in parts)
        curvature = _damped(self._curvature(weights, np.asarray(power) / max(places, 1)))
        turned = np.asarray(gradient).transpose(0, 2, 1) / rows
        inner = np.linalg.solve(inputs.second, turned).transpose(0, 2, 1)
        turned = -np.linalg.solve(curvature, inner)
        shifted = -np.linalg.solve(curvature, np.asarray(level)[:, :, None] / rows)[:, :, 0]
        shifted = shifted - np.einsum("gkd,gd->gk", turned, inputs.mean_in)
        return np.asarray(turned, np.float64), np.asarray(shifted, np.float64)

    def _slopes(
        self, weights: Weights, inputs: Moments, states: Sequence[State]
    ) -> tuple[Matrix, Matrix, Matrix]:
        """Summed over places: the gradient by centred inputs, by the bias, and slopes squared."""
        groups, size, d = weights.made.shape
        gradient, level = np.zeros((groups, size, d)), np.zeros((groups, size))
        power = np.zeros((groups * size, groups * size))
        matter = (self._goal.target.scale**2).astype(np.float32)
        read = weights.read[0].astype(np.float32)
        for state in states:
            part = state.part
            off = part.off(part.outputs(state.rows, weights.read, weights.read_bias))
            off *= part.weights[:, None] * matter
            pull = part.scattered(off @ read)
            pull *= state.slope
            x, g = split(part.inputs, groups), split(pull, groups)
            gradient += np.stack([b.T @ a for a, b in zip(x, g, strict=True)])
            level += g.sum(1, dtype=np.float64)
            power += state.slope.T @ state.slope
        return gradient - level[:, :, None] * inputs.mean_in[:, None], level, power

    def _curvature(self, weights: Weights, power: Matrix) -> Matrix:
        """(G, k / G, k / G): how much the reader's outputs move with the maker's.

        Args:
            weights: of both.
            power: mean products of the slopes in between, (k, k).
        """
        groups, size, _ = weights.made.shape
        scaled = weights.read[0] * self._goal.target.scale[:, None]
        read = scaled.reshape(-1, groups * size)  # (o * taps, k)
        whole = read.T @ read * power
        return np.stack([whole[i : i + size, i : i + size] for i in range(0, len(whole), size)])


def _damped(matrix: Matrix) -> Matrix:
    """With a multiple of the identity added."""
    size = matrix.shape[1]
    more = DAMPING * np.trace(matrix, axis1=1, axis2=2) / size + 1e-12
    return np.asarray(matrix + more[:, None, None] * np.eye(size))
