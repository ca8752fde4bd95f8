"""Factors of least output error where a kernel is columns times rows, k x 1 and 1 x k.

What `fitting` does for any product, with a tenth of the work. Let b count the inputs and places of
a column, x the columns of the kernel, and S_xu be the covariance of what columns x and u see. The
kernel V[o,x,b] = sum_r A[o,r,x] B[r,b] then errs by

    p - 2 <A B, W S> + sum_xu <A_x' A_u, B S_xu B'>,   p = <W, W S>,

so all that is ever multiplied by the covariance are the r columns in B, never the whole kernel, and
the errors of all smaller ranks are partial sums of one. A is solved for exactly. B takes a few
steps of conjugate gradients, preconditioned by one Kronecker product of means over the columns.
Single precision: what is compared is far above its rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.compress.decomposition.forms import Factors, Matrix, Rank
from core.compress.graph_executor.spill_cache import Array
from core.compress.linalg.blocked_linalg import damped_inverse, product

STEPS = 3  # of conjugate gradients
LEAST = 1e-3  # a turn that lowers the error by less than this share ends the fit
RIDGE = 1e-5  # of the mean diagonal, in single precision
DAMPING = 1e-3  # of either side of the preconditioner


class Separable:
    """One covariance, for any kernels of one shape."""

    def __init__(self, second: Array, shape: Sequence[int], rows_first: bool) -> None:
        """Lay the covariance out by columns.

        Args:
            second: (I h w, I h w), covariance of the patches.
            shape: of the kernels, (O, I, h, w).
            rows_first: whether the first factor is the rows: the same of the transposed kernel.
        """
        _, inputs, height, width = shape
        self._rows_first = rows_first
        blocks = second.reshape(inputs, height, width, inputs, height, width)
        if rows_first:
            blocks, height, width = blocks.transpose(0, 2, 1, 3, 5, 4), width, height
        self._width, self._size = width, inputs * height
        laid = np.empty((inputs, height, width, width, inputs, height), np.float32)
        laid[:] = blocks.transpose(0, 1, 2, 5, 3, 4)
        self._blocks = laid.reshape(self._size, -1)  # (b, x, u, b')
        self._mean: Array | None = None
        self._inverse: Array | None = None

    def errors(self, factors: Factors, ranks: Sequence[Rank], kernel: Matrix) -> list[float]:
        """Error of the output relative to its variance, of the factors cut to each rank."""
        wanted, power = self._wanted(kernel)
        a, b = self._taken(factors)
        blocks = self._blocks.reshape(1, self._size, self._width, self._width, -1)
        both, along = np.zeros((len(b), len(b))), np.zeros(len(b))
        for x in range(self._width):
            along += np.einsum("rb,rb->r", a[x].T @ wanted[x], b, dtype=np.float64)
            for u in range(x + 1):  # what x and u give and what u and x give are mirror images
                part = (a[x].T @ a[u]) * (product(b[None], blocks[:, :, x, u])[0] @ b.T)
                both += part if u == x else part + part.T
        nested = np.cumsum(np.cumsum(both, 0), 1).diagonal() - 2 * np.cumsum(along)
        return [max(float(power + nested[rank[0] - 1]), 0.0) / power for rank in ranks]

    def fit(self, factors: Factors, kernel: Matrix, turns: int) -> Factors:
        """Better factors for the kernel (O, I, h, w).

        Args:
            factors: where to begin.
            kernel: what the product shall come near.
            turns: rounds over both factors, at most.
        """
        wanted, power = self._wanted(kernel)
        a, b = self._taken(factors)
        seen, before = self._seen(b), np.inf
        for _ in range(turns):
            b, seen, error = self._better(a, b, seen, wanted)
            before = min(before, power + error)
            a, error = self._solved(b, seen, wanted)
            now = power + error
            if before - now <= LEAST * before:
                break
            before = now
        return self._given(a, b, factors)

    def _wanted(self, kernel: Matrix) -> tuple[Array, float]:
        """W S by columns, (x, O, b), and the variance of what the kernel gives."""
        turned = kernel.transpose(0, 1, 3, 2) if self._rows_first else kernel
        flat = np.float32(turned.transpose(3, 0, 1, 2)).reshape(self._width, len(kernel), -1)
        blocks = self._blocks.reshape(self._size, self._width, -1)
        made = sum(product(flat[x : x + 1], blocks[None, :, x])[0] for x in range(self._width))
        wanted = np.asarray(made).reshape(len(kernel), self._width, -1).transpose(1, 0, 2)
        power = float(np.einsum("xob,xob->", flat, wanted, dtype=np.float64))
        return np.ascontiguousarray(wanted), max(power, 1e-30)

    def _taken(self, factors: Factors) -> tuple[Array, Array]:
        """A as (x, O, r) and B as (r, b)."""
        a, b = (np.asarray(factor, np.float32) for factor in factors)
        return np.ascontiguousarray(a.transpose(2, 0, 1)), b.reshape(len(b), -1)

    def _given(self, a: Array, b: Array, like: Factors) -> Factors:
        outer = np.ascontiguousarray(a.transpose(1, 2, 0), np.float64)
        return outer, np.asarray(b, np.float64).reshape(like[1].shape)

    def _seen(self, b: Array) -> Array:
        """B S, as (r, x, u, b)."""
        made = product(b[None], self._blocks[None])[0]
        return np.asarray(made.reshape(len(b), self._width, self._width, self._size))

    def _solved(self, b: Array, seen: Array, wanted: Array) -> tuple[Array, float]:
        """The rows of least error, exactly, and that error less the variance."""
        rank, width = len(b), self._width
        system = (seen.reshape(-1, self._size) @ b.T).reshape(rank, width, width, rank)
        whole = system.transpose(1, 0, 2, 3).reshape(width * rank, -1).astype(np.float64)
        whole[np.diag_indices(len(whole))] += RIDGE * np.trace(whole) / len(whole) + 1e-30
        right = np.concatenate([b @ wanted[x].T for x in range(width)]).astype(np.float64)
        found = np.linalg.solve(whole, right)
        power = np.vdot(whole @ found, found) - 2 * np.vdot(right, found)
        rows = found.reshape(width, rank, -1).transpose(0, 2, 1)
        return np.ascontiguousarray(rows, np.float32), float(power)

    def _better(self, a: Array, b: Array, seen: Array, wanted: Array) -> tuple[Array, Array, float]:
        """Better columns B, their B S, and the error before less the variance."""
        rows = np.concatenate(list(a), axis=1)  # (O, (x, r))
        inner = rows.T @ rows
        right = sum(a[x].T @ wanted[x] for x in range(self._width))
        moved = self._moved(seen, inner)
        error = float(np.vdot(b, moved) - 2 * np.vdot(b, right))
        x, residual = b, right - moved
        left, across = self._conditioner(inner, len(b))
        direction = ready = left @ residual @ across
        size = float(np.vdot(residual, ready))
        for _ in range(STEPS):
            reached = self._seen(direction)
            moved = self._moved(reached, inner)
            along = float(np.vdot(direction, moved))
            if along <= 0:
                break
            length = np.float32(size / along)
            x, seen = x + length * direction, seen + length * reached
            residual = residual - length * moved
            ready = left @ residual @ across
            fresh = float(np.vdot(residual, ready))
            direction, size = ready + np.float32(fresh / size) * direction, fresh
        return x, seen, error

    def _moved(self, seen: Array, inner: Array) -> Array:
        """The normal operator of the columns: sum over x, u of A_u' A_x B S_xu, of B S."""
        rank = len(seen)
        total = np.zeros((rank, self._size), np.float32)
        for u in range(self._width):
            some = slice(u * rank, (u + 1) * rank)
            for x in range(self._width):
                total += inner[some, x * rank : (x + 1) * rank] @ seen[:, x, u]
        return total

    def _conditioner(self, inner: Array, rank: int) -> tuple[Array, Array]:
        """Inverses of the sides of the Kronecker product."""
        if self._mean is None or self._inverse is None:
            blocks = self._blocks.reshape(self._size, self._width, self._width, self._size)
            level = np.einsum("bxub->xu", blocks, dtype=np.float64)
            mean = np.einsum("bxxc->bc", blocks).astype(np.float64) / self._width
            self._mean = level / max(float(np.trace(level)) / self._width, 1e-30)
            self._inverse = damped_inverse(mean, DAMPING).astype(np.float32)
        grid = inner.reshape(self._width, rank, self._width, rank).astype(np.float64)
        left = np.einsum("xrus,xu->rs", grid, self._mean, optimize=True)
        turned = np.linalg.inv(_damped((left + left.T) / 2)).astype(np.float32)
        return np.asarray(turned), self._inverse


def _damped(matrix: Matrix) -> Matrix:
    size = DAMPING * np.trace(matrix) / len(matrix) + 1e-12
    return np.asarray(matrix + size * np.eye(len(matrix)))
