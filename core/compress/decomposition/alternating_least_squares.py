"""Factors of least output error, by turns.

With S the covariance of the patches x, a kernel W and factors whose product is V, the error of the
output is E |(V - W) x|^2 = tr((V - W) S (V - W)'). It is a least-squares problem in any one of the
factors, the others standing still; they take turns, and the error never rises. A factor that has
one row for each output is solved for exactly: its rows share one small system. For the others the
normal equations would be far too large; they are improved by a few steps of conjugate gradients.
Forms that are separable have a faster way: `separable`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from core.compress.decomposition.forms import Factors, Form, Matrix, Rank
from core.compress.decomposition.separable import Separable
from core.compress.graph_executor.spill_cache import Array

STEPS = 6  # of conjugate gradients for one factor
LEAST = 1e-3  # a turn that lowers the error by less than this share ends the fit
RIDGE = 1e-9  # of the mean diagonal: keeps a system solvable whose inputs are dead


class Problem(Protocol):
    """Factors of one form, fitted in the metric of one covariance."""

    def errors(self, factors: Factors, ranks: Sequence[Rank], kernel: Matrix) -> list[float]:
        """Error of the output relative to its variance, of the factors cut to each rank."""
        ...

    def fit(self, factors: Factors, kernel: Matrix, turns: int) -> Factors:
        """Better factors for the kernel (O, I, h, w).

        Args:
            factors: where to begin.
            kernel: what the product shall come near.
            turns: rounds over all factors, at most; the factor of the outputs comes last in each.
        """
        ...


def problem(form: Form, second: Array, shape: Sequence[int]) -> Problem:
    """What fits factors of a form.

    Args:
        form: what the product is.
        second: (I h w, I h w), covariance of the patches.
        shape: of the kernels, (O, I, h, w).
    """
    if form.lines:
        return Separable(second, shape, form.lines == "rows")
    return Product(form, second)


def error(form: Form, factors: Sequence[Matrix], kernel: Matrix, second: Matrix) -> float:
    """Error of the output, relative to its variance."""
    flat = kernel.reshape(len(kernel), -1)
    off = form.dense(factors).reshape(flat.shape) - flat
    return _power(off, second) / max(_power(flat, second), 1e-30)


def _power(flat: Matrix, second: Matrix) -> float:
    return float(np.vdot(flat @ second, flat))


class Product:
    """A product of any form."""

    def __init__(self, form: Form, second: Array) -> None:
        """Nothing is made ready."""
        self._form, self._second = form, np.asarray(second, np.float64)

    def errors(self, factors: Factors, ranks: Sequence[Rank], kernel: Matrix) -> list[float]:
        """See `Problem`."""
        flat = kernel.reshape(len(kernel), -1)
        power = max(_power(flat, self._second), 1e-30)
        found = []
        for rank in ranks:
            off = self._form.dense(self._form.truncated(factors, rank)).reshape(flat.shape) - flat
            found.append(_power(off, self._second) / power)
        return found

    def fit(self, factors: Factors, kernel: Matrix, turns: int) -> Factors:
        """See `Problem`."""
        form, second, shape = self._form, self._second, kernel.shape
        wanted = kernel.reshape(len(kernel), -1) @ second
        current = list(factors)
        before = error(form, current, kernel, second)
        for _ in range(turns):
            for block in reversed(range(len(current))):
                forward, back = _maps(form, current, block, shape)
                if form.subscripts.split(",")[block].startswith("o"):
                    current[block] = _solved(current[block], forward, wanted, second)
                else:
                    current[block] = _improved(current[block], forward, back, wanted, second)
            now = error(form, current, kernel, second) if turns > 1 else before
            if before - now <= LEAST * before:
                break
            before = now
        return tuple(current)


Map = Callable[[Matrix], Matrix]


def _solved(factor: Matrix, forward: Map, wanted: Matrix, second: Matrix) -> Matrix:
    """The factor of least error, exactly: `forward` of unit rows is what each element sees."""
    size = factor[0].size
    seen = forward(np.eye(size).reshape(size, *factor.shape[1:]))
    projected = seen @ second
    system = projected @ seen.T
    system[np.diag_indices(size)] += RIDGE * np.trace(system) / size + 1e-30
    return np.asarray(np.linalg.solve(system, seen @ wanted.T).T.reshape(factor.shape))


def _improved(factor: Matrix, forward: Map, back: Map, wanted: Matrix, second: Matrix) -> Matrix:
    """The factor after some steps of conjugate gradients."""
    x = factor
    residual = back(wanted - forward(x) @ second)
    direction, size = residual, float(np.vdot(residual, residual))
    for _ in range(STEPS):
        moved = back(forward(direction) @ second)
        along = float(np.vdot(direction, moved))
        if along <= 0:
            break
        x = x + size / along * direction
        residual = residual - size / along * moved
        fresh = float(np.vdot(residual, residual))
        direction, size = residual + fresh / size * direction, fresh
    return x


def _maps(
    form: Form, factors: Sequence[Matrix], block: int, shape: tuple[int, ...]
) -> tuple[Map, Map]:
    """The linear map from one factor to the flat kernel, and its transpose."""
    terms, product = form.subscripts.split("->")
    names = terms.split(",")
    others = [(n, f) for i, (n, f) in enumerate(zip(names, factors, strict=True)) if i != block]
    rest, arrays = ",".join(n for n, _ in others), [f for _, f in others]
    down, up = f"{rest},{names[block]}->{product}", f"{rest},{product}->{names[block]}"
    paths = {
        how: np.einsum_path(how, *arrays, example, optimize="greedy")[0]
        for how, example in ((down, factors[block]), (up, np.empty(shape)))
    }

    def forward(x: Matrix) -> Matrix:
        made = np.einsum(down, *arrays, x, optimize=paths[down])
        return np.asarray(made.reshape(len(made), -1))

    def back(y: Matrix) -> Matrix:
        return np.asarray(np.einsum(up, *arrays, y.reshape(shape), optimize=paths[up]))

    return forward, back
