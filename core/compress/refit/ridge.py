"""Ridge regression of a layer from moments alone: its closed-form fit, and its error.

    minimise  E |y - W x - b|^2 + r |W - W0|^2,   r = strength * tr(S) / d

with S the covariance of x and C that of x and y: W = W0 + ((S + r I)^-1 (C - S W0'))', and
b = E y - W E x. The ridge pulls towards the weights that are there, not towards zero, so that a
direction which the images never show keeps what training put there. S + r I is factorised once
(`Ridge`); further targets of the same inputs then cost little. Float64, but for the factors of wide
layers (`gram.LARGE`): rounding there is as if S were changed by a tenth of the ridge.

Source: He, Zhang, Sun 2017, arXiv:1707.06168, section 3.1 (linear least squares per layer).
"""

from __future__ import annotations

import numpy as np

from core.compress.graph_executor.spill_cache import Array
from core.compress.linalg import parallel
from core.compress.linalg.blocked_linalg import BLOCK, cholesky, product
from core.compress.refit.normal_equations import Matrix, Moments

FLOOR = 1e-10  # of the ridge: a layer whose inputs are all dead has trace 0
SIDES = 1 << 15  # numbers of right-hand sides that are not worth sharing out


class Ridge:
    """The fit to any targets of the same inputs."""

    def __init__(
        self, moments: Moments, start: Matrix, strength: float, pull: Matrix | None = None
    ) -> None:
        """Factorise.

        Args:
            moments: of the layer's inputs; their targets do not matter here.
            start: the weights towards which the ridge pulls, (G, o, d).
            strength: of the ridge, relative to the mean variance of an input.
            pull: `explained` by the start, if that is known: it is alike for every strength.
        """
        d = moments.second.shape[1]
        power = np.trace(moments.second, axis1=1, axis2=2, dtype=np.float64)
        size = strength * power / max(d, 1) + FLOOR
        systems = moments.second.copy()
        systems[:, np.arange(d), np.arange(d)] += size[:, None]
        self._start = start
        self._systems = [Positive(system) for system in systems]
        self._pull: Matrix = explained(moments, start) if pull is None else pull

    def fit(self, moments: Moments) -> tuple[Matrix, Matrix]:
        """Weights (G, o, d) and bias (G, o) of least error; `moments` are of the same inputs."""
        pairs = zip(self._systems, moments.cross - self._pull, strict=True)
        weights = self._start + np.stack([system.solve(rest).T for system, rest in pairs])
        return weights, free_bias(moments, weights)


class Positive:
    """A positive definite system L L' x = b, solved block by block: few numbers, many products."""

    def __init__(self, system: Matrix) -> None:
        """Factorise; a system that rounding left indefinite is solved without."""
        self._inverses: list[Array] = []
        try:
            self._factor = cholesky(system)
        except np.linalg.LinAlgError:
            self._system = system
            return
        for start in range(0, len(system), BLOCK):
            self._inverses.append(np.linalg.inv(self._diagonal(start)))

    def _diagonal(self, start: int) -> Array:
        return self._factor[start : start + BLOCK, start : start + BLOCK]

    def solve(self, right: Matrix) -> Matrix:
        """The solution for right-hand sides (d, n)."""
        if not self._inverses:
            return np.asarray(np.linalg.solve(self._system, right))
        if right.size < SIDES * parallel.count():
            return self._solved(right)
        step = -(-right.shape[1] // parallel.count())
        starts = range(0, right.shape[1], step)
        parts = parallel.each(lambda start: self._solved(right[:, start : start + step]), starts)
        return np.concatenate(parts, axis=1)

    def _solved(self, right: Matrix) -> Matrix:
        x = right.astype(self._factor.dtype)
        for turn, inverse in enumerate(self._inverses):
            here, before = self._stretches(turn)
            x[here] = inverse @ (x[here] - self._factor[here, before] @ x[before])
        for turn, inverse in reversed(list(enumerate(self._inverses))):
            here, _ = self._stretches(turn)
            behind = slice(here.stop, None)
            x[here] = inverse.T @ (x[here] - self._factor[behind, here].T @ x[behind])
        return x

    def _stretches(self, turn: int) -> tuple[slice, slice]:
        return slice(turn * BLOCK, (turn + 1) * BLOCK), slice(0, turn * BLOCK)


def explained(moments: Moments, weights: Matrix) -> Matrix:
    """Covariance of the inputs and what these weights make of them, (G, d, o)."""
    return _seen(moments.second, weights).transpose(0, 2, 1)


def _seen(second: Array, weights: Matrix) -> Matrix:
    """W S, in the precision of S, (G, o, d)."""
    return product(weights.astype(second.dtype), second).astype(np.float64)


def ridge(moments: Moments, start: Matrix, strength: float) -> tuple[Matrix, Matrix]:
    """Weights (G, o, d) and bias (G, o) of least error, once; see `Ridge`."""
    return Ridge(moments, start, strength).fit(moments)


def free_bias(moments: Moments, weights: Matrix) -> Matrix:
    """The bias (G, o) of least error for given weights."""
    return np.asarray(moments.mean_out - np.einsum("god,gd->go", weights, moments.mean_in))


def error(moments: Moments, weights: Matrix, bias: Matrix) -> Matrix:
    """Mean squared residual (G, o) of these weights over the rows of `moments`."""
    return least_error(moments, weights) + offset_error(moments, weights, bias)


def least_error(moments: Moments, weights: Matrix) -> Matrix:
    """The same with the bias that is best for them, which takes almost all of the time."""
    explained = np.einsum("god,gdo->go", weights, moments.cross)
    power = np.einsum("god,god->go", _seen(moments.second, weights), weights)
    return np.asarray(np.maximum(moments.spread - 2 * explained + power, 0))


def offset_error(moments: Moments, weights: Matrix, bias: Matrix) -> Matrix:
    """What another bias adds to it."""
    return np.asarray((free_bias(moments, weights) - bias) ** 2)
