"""Blocked products and Cholesky factors of large matrices, shared out to the cores.

The product of a tall block of rows with itself is cut by rows if it is narrow, and each core sums
up what its rows give. If it is wide it is cut into tiles of the product, so that no core needs a
product of its own; those below the diagonal are mirrored. Many groups are cut by group. Such
products are of float32 and summed in float64.

A Cholesky factor L L' = A is made block column by block column: that on the diagonal first, the
rest by its inverse, and what is left of A loses their product, cut by rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.compress.linalg import parallel

Array = np.ndarray[Any, Any]
Matrix = NDArray[np.float64]

LITTLE = 1 << 26  # multiplications that are not worth sharing out
STRETCH = 1024  # rows at a time: they stay in the cache while they are multiplied
LONG = 4096  # of a tile, or of a product that is little in any case
TILE = 768  # columns; a product that is no wider is summed up by every core
LARGE = 1536  # rows of a matrix whose factor is worth sharing out
BLOCK = 192  # columns of a factor that are made at once
LEAST_DAMPING = 1e-8  # of a matrix that is all zeros
CORNER = 384  # rows of a matrix that is inverted at once
MANY = 16  # groups from which on they are multiplied at once


def add_square(total: Matrix, block: Array) -> None:
    """Add z'z to `total` (G, width, width), of rows z (G, n, width)."""
    groups, count, width = block.shape
    if groups * count * width * width < LITTLE:
        for start in range(0, count, LONG):
            _add_all(total, block[:, start : start + LONG])
    elif groups >= MANY:
        step = -(-groups // parallel.count())
        starts = range(0, groups, step)
        parallel.each(lambda start: _add_groups(total, block, slice(start, start + step)), starts)
    elif width <= TILE:
        for part in parallel.shared(lambda share: _summed(block, share), range(0, count, STRETCH)):
            total += part
    else:
        tiles = list(combinations_with_replacement(range(0, width, TILE), 2))
        parallel.each(lambda tile: _add_tile(total, block, *tile), tiles)


def _summed(block: Array, starts: Sequence[int]) -> Matrix:
    """Of the stretches of rows that start here."""
    total = np.zeros((len(block), block.shape[2], block.shape[2]))
    for start in starts:
        _add_all(total, block[:, start : start + STRETCH])
    return total


def _add_all(total: Matrix, block: Array) -> None:
    """Of all rows at once."""
    if len(block) >= MANY:
        total += np.matmul(block.transpose(0, 2, 1), block)
    else:  # the product of an array with itself takes half the time of that of two
        for whole, b in zip(total, block, strict=True):
            whole += b.T @ b


def _add_groups(total: Matrix, block: Array, groups: slice) -> None:
    total[groups] += _summed(block[groups], range(0, block.shape[1], STRETCH))


def _add_tile(total: Matrix, block: Array, top: int, left: int) -> None:
    """The part of the product whose first row and column are these, and its mirror image."""
    rows, columns = slice(top, top + TILE), slice(left, left + TILE)
    for whole, b in zip(total, block, strict=True):
        for start in range(0, len(b), LONG):
            part = b[start : start + LONG]
            product = part[:, rows].T @ part[:, columns]
            whole[rows, columns] += product
            if top != left:
                whole[columns, rows] += product.T


def product(a: Array, b: Array) -> Array:
    """The product of matrices (G, n, k) and (G, k, m), cut by the rows of the first."""
    groups, count, depth = a.shape
    if groups * count * depth * b.shape[2] < LITTLE:
        return np.asarray(a @ b)
    step = -(-count // parallel.count())
    parts = parallel.each(lambda start: a[:, start : start + step] @ b, range(0, count, step))
    return np.concatenate(parts, axis=1)


def cholesky(system: Matrix) -> Matrix:
    """The lower factor of a positive definite matrix.

    Raises:
        LinAlgError: it is not.
    """
    if len(system) < LARGE:
        return np.asarray(np.linalg.cholesky(system))
    left = system.copy()
    for start in range(0, len(left), BLOCK):
        here, behind = slice(start, start + BLOCK), slice(start + BLOCK, None)
        left[here, here] = corner = np.linalg.cholesky(left[here, here])
        left[here, behind] = 0
        left[behind, here] = left[behind, here] @ np.linalg.inv(corner).T
        _take_off(left, here, start + BLOCK)
    return left


def inverse(system: Matrix) -> Matrix:
    """The inverse of a positive definite matrix, by halves: almost all of it is products.

    With A the first half, B beside it and C below, and S = C - B'A^-1 B: half the operations of an
    elimination that does not know the matrix to be symmetric.

    Raises:
        LinAlgError: the matrix is not positive definite.
    """
    size = len(system)
    if size <= CORNER:
        np.linalg.cholesky(system)  # which tells
        return np.asarray(np.linalg.inv(system))
    first, last = slice(0, size // 2), slice(size // 2, size)
    result = np.empty_like(system)
    result[first, first] = inverse(system[first, first])
    across = result[first, first] @ system[first, last]
    result[last, last] = inverse(system[last, last] - system[last, first] @ across)
    np.matmul(across, result[last, last], out=result[first, last])
    result[last, first] = result[first, last].T
    result[first, first] += result[first, last] @ across.T
    result[first, last] *= -1
    result[last, first] *= -1
    return result


def damped_inverse(system: Matrix, share: float) -> Matrix:
    """The inverse with a share of the mean diagonal added to the diagonal.

    Ten times as much where that leaves the matrix indefinite: rows of single precision round off
    more than a small share where a few inputs vary far more than all others.
    """
    diagonal = np.diag_indices(len(system))
    mean = max(float(np.trace(system)) / len(system), 0.0)
    while True:
        damped = system.astype(np.float64)
        damped[diagonal] += share * mean + LEAST_DAMPING
        try:
            return inverse(damped)
        except np.linalg.LinAlgError:
            if share > 1:
                raise
            share *= 10


def lower_factor(corner: Matrix) -> Matrix:
    """The lower factor of a small matrix that is positive definite but for rounding."""
    share = 0.0
    while True:
        size = share * max(float(np.trace(corner)) / len(corner), LEAST_DAMPING)
        try:
            return np.asarray(np.linalg.cholesky(corner + size * np.eye(len(corner))))
        except np.linalg.LinAlgError:
            if share > 1:
                raise
            share = max(10 * share, 1e-9)


def _take_off(left: Matrix, made: slice, start: int) -> None:
    """Take the product of finished columns with themselves off the rest, its lower half."""

    def rows(top: int) -> None:
        end = min(top + BLOCK, len(left))
        left[top:end, start:end] -= left[top:end, made] @ left[start:end, made].T

    parallel.each(rows, range(start, len(left), BLOCK))
