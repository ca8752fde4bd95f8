"""Normal equations of a linear layer: sums over its rows, all that a fit or GPTQ needs.

With rows x, targets y and weights w, let z = sqrt(w) (x - x0, 1, y - y0): `Gram` sums z z', which
holds the sums of x, y, x x', x y', y^2 and w. Memory is that of d^2 numbers, however many rows
come. x0 and y0 are the means of the first chunk, so that centring afterwards loses no digits;
blocks of rows are multiplied in float32, summed in float64, or where a layer is wide (`LARGE`), in
float32 too: rounding is then 1e-6 of the sums, and every fit adds a hundred times as much of the
mean variance. A grouped layer keeps one sum per
group, which is exact: groups share no weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.compress.linalg.blocked_linalg import add_square

Array = np.ndarray[Any, Any]
Matrix = NDArray[np.float64]

LEAST_ROWS, DEEP_ROWS, MOST_ROWS = 256, 1024, 4096  # of a block; of a wide one; at most
BLOCK = 1 << 20  # numbers in a block, unless that were too few rows
STRETCH = 256  # rows of a product that are worked on at a time
LARGE = 1536  # columns of a product from which on it is summed in single precision


@dataclass(frozen=True, eq=False)
class Moments:
    """Centred second moments, each a mean over the rows; G groups, d inputs, o outputs of each.

    Attributes:
        count: rows, or the sum of their weights.
        second: (G, d, d), covariance of the inputs; of wide layers (`LARGE`) in single precision.
        cross: (G, d, o), covariance of inputs and targets.
        spread: (G, o), variance of the targets.
        mean_in: (G, d).
        mean_out: (G, o).
    """

    count: float
    second: Array
    cross: Matrix
    spread: Matrix
    mean_in: Matrix
    mean_out: Matrix


@dataclass(frozen=True, eq=False)
class Shift:
    """What is taken off all rows before they are multiplied: (G, 1, d) and (G, 1, o), float32."""

    inputs: Array
    targets: Array

    @classmethod
    def of(cls, rows: Array, targets: Array, groups: int) -> Shift:
        """The means of these rows."""
        means = [a.mean(0, dtype=np.float64).astype(np.float32) for a in (rows, targets)]
        return cls(*(m.reshape(groups, 1, -1) for m in means))

    @property
    def width(self) -> int:
        """Columns of a block: inputs, one, targets."""
        return int(self.inputs.shape[2] + 1 + self.targets.shape[2])

    def fill(self, block: Array, rows: Array, targets: Array, root: Array | None) -> None:
        """Write rows into a block (G, n, width).

        Args:
            block: to be written.
            rows: (n, groups * d).
            targets: (n, groups * o).
            root: (n,), square roots of the weights; None: 1.
        """
        groups, d = len(block), self.inputs.shape[2]
        np.subtract(split(rows, groups), self.inputs, out=block[:, :, :d], casting="same_kind")
        block[:, :, d] = 1
        y = block[:, :, d + 1 :]
        np.subtract(split(targets, groups), self.targets, out=y, casting="same_kind")
        if root is not None:
            block *= root[:, None]


class Gram:
    """Running sums of one layer."""

    def __init__(self, groups: int = 1, shift: Shift | None = None) -> None:
        """Nothing is known yet; widths come with the shift, at the latest with the first rows."""
        self.groups, self.count = groups, 0.0
        self._shift = shift
        self._product: Array = np.zeros(0)
        self._block: Array | None = None
        self._filled = 0

    def add(self, rows: Array, targets: Array | None = None, weights: Array | None = None) -> None:
        """Sum up more rows.

        Args:
            rows: (n, groups * d).
            targets: (n, groups * o), or None where only the inputs matter.
            weights: (n,), how much each row counts; None: 1.
        """
        if not len(rows):
            return
        y = np.zeros((len(rows), 0), np.float32) if targets is None else targets
        if self._shift is None:
            self._shift = Shift.of(rows, y, self.groups)
        root = None if weights is None else np.sqrt(weights).astype(np.float32)
        start = 0
        while start < len(rows):
            block = self._room(self._shift.width)
            count = min(block.shape[1] - self._filled, len(rows) - start)
            free, part = slice(self._filled, self._filled + count), slice(start, start + count)
            weigh = None if root is None else root[part]
            self._shift.fill(block[:, free], rows[part], y[part], weigh)
            self._filled, start = self._filled + count, start + count
            if self._filled == block.shape[1]:
                self._flush()
        self.count += len(rows) if weights is None else float(weights.sum(dtype=np.float64))

    def add_block(self, block: Array, count: float) -> None:
        """Sum up rows that `Shift.fill` wrote, with this sum of weights."""
        self._multiply(block)
        self.count += count

    def merged(self, other: Gram) -> Gram:
        """The sums over the rows of both; only for rows that were shifted alike."""
        result = self.sharing_shift()
        result._product = self._whole() + other._whole()
        result.count = self.count + other.count
        return result

    def sharing_shift(self) -> Gram:
        """An empty sum whose rows will be shifted as here, so that both can be merged."""
        return Gram(self.groups, self._shift)

    def moments(self) -> Moments:
        """Centred moments of what was added.

        Raises:
            ValueError: nothing was.
        """
        if not self.count or self._shift is None:
            raise ValueError("no rows were added")
        d, whole = self._shift.inputs.shape[2], self._whole()
        level = whole[:, d] / np.float64(self.count)
        mean_in, mean_out = level[:, :d], level[:, d + 1 :]
        kind = np.float32 if d > LARGE else np.float64
        second = np.divide(whole[:, :d, :d], self.count, dtype=kind)
        for block, mean in zip(second, mean_in, strict=True):
            for start in range(0, d, STRETCH):  # an outer product as large as all is slow
                part = slice(start, start + STRETCH)
                block[part] -= mean[part, None] * mean
        cross = np.divide(whole[:, :d, d + 1 :], self.count, dtype=np.float64)
        cross -= mean_in[:, :, None] * mean_out[:, None, :]
        power = np.diagonal(whole, axis1=1, axis2=2)[:, d + 1 :] / np.float64(self.count)
        return Moments(
            self.count,
            second,
            cross,
            power - mean_out**2,
            mean_in + self._shift.inputs[:, 0],
            mean_out + self._shift.targets[:, 0],
        )

    def second_moment(self) -> Matrix:
        """(G, d, d): the mean of x x', not centred, as weight quantization without bias uses it."""
        moments = self.moments()
        mean = moments.mean_in
        return np.asarray(moments.second + mean[:, :, None] * mean[:, None, :])

    def finish(self) -> None:
        """No more rows come: sum up those that wait; several threads may ask for moments then."""
        self._whole()

    def rest(self) -> None:
        """No more rows come: keep the sums in single precision, which shifted rows are worth."""
        self._product = self._whole().astype(np.float32, copy=False)

    def arrays(self) -> dict[str, Array]:
        """The sums, for a file."""
        if self._shift is None:
            return {}
        return {
            "product": self._whole().astype(np.float32, copy=False),
            "inputs": self._shift.inputs,
            "targets": self._shift.targets,
            "count": np.array(self.count),
        }

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Gram:
        """Sums that `arrays` gave.

        Raises:
            ValueError: it did not.
        """
        shift = Shift(np.asarray(arrays["inputs"]), np.asarray(arrays["targets"]))
        result = cls(len(shift.inputs), shift)
        product = np.asarray(arrays["product"], np.float32)
        result._product, result.count = product, float(arrays["count"])
        if list(product.shape) != [result.groups, shift.width, shift.width]:
            raise ValueError("sums of another width")
        return result

    def _rows(self, width: int) -> int:
        fitting = BLOCK // max(self.groups * width, 1)
        return int(np.clip(max(min(width, DEEP_ROWS), fitting), LEAST_ROWS, MOST_ROWS))

    def _room(self, width: int) -> Array:
        if self._block is None:
            self._block = np.empty((self.groups, self._rows(width), width), np.float32)
        return self._block

    def _flush(self) -> None:
        if self._block is not None and self._filled:
            self._multiply(self._block[:, : self._filled])
        self._filled = 0

    def _whole(self) -> Array:
        """The product over all rows; the block is let go."""
        self._flush()
        self._block = None
        return self._product

    def _multiply(self, block: Array) -> None:
        if not self._product.size:
            width = block.shape[2]
            kind = np.float32 if width > LARGE else np.float64
            self._product = np.zeros((self.groups, width, width), kind)
        add_square(self._product, block)


def split(rows: Array, groups: int) -> Array:
    """(rows, groups * n) as (groups, rows, n)."""
    return rows.reshape(len(rows), groups, -1).transpose(1, 0, 2)
