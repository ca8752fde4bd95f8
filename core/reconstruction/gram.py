"""Sums over the rows of a linear layer, all that a least-squares fit or GPTQ needs of its inputs.

With rows x and targets y, `Gram` sums x, y, x x', x y' and y^2: memory is that of d^2 numbers,
however many rows come. Rows are shifted by the mean of the first chunk before they are multiplied,
so that centring afterwards loses no digits; chunks are multiplied in float32, summed in float64.
A grouped layer keeps one block per group, which is exact: groups share no weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.reconstruction.layers import Layer
from core.reconstruction.statistics import Graph, Statistics

Array = np.ndarray[Any, Any]
Matrix = NDArray[np.float64]

PER_IMAGE = 48  # places of each image; more hardly differ from their neighbours


@dataclass(frozen=True, eq=False)
class Moments:
    """Centred second moments, each a mean over the rows; G groups, d inputs, o outputs of each.

    Attributes:
        count: rows, or the sum of their weights.
        second: (G, d, d), covariance of the inputs.
        cross: (G, d, o), covariance of inputs and targets.
        spread: (G, o), variance of the targets.
        mean_in: (G, d).
        mean_out: (G, o).
    """

    count: float
    second: Matrix
    cross: Matrix
    spread: Matrix
    mean_in: Matrix
    mean_out: Matrix


class Gram:
    """Running sums of one layer."""

    def __init__(self, groups: int = 1) -> None:
        """Nothing is known yet; widths come with the first rows."""
        self.groups, self.count = groups, 0.0
        self._shift: tuple[Array, Array] | None = None
        self._product = np.zeros(0)
        self._sum = np.zeros(0)
        self._inputs = 0

    def add(self, rows: Array, targets: Array | None = None, weights: Array | None = None) -> None:
        """Sum up more rows.

        Args:
            rows: (n, groups * d).
            targets: (n, groups * o), or None where only the inputs matter.
            weights: (n,), how much each row counts; None: 1.
        """
        if not len(rows):
            return
        given = np.zeros((len(rows), 0), np.float32) if targets is None else targets
        x, y = (np.asarray(a, np.float32) for a in (rows, given))
        if self._shift is None:
            self.shift(x, y)
        if self._shift is None:
            return
        x, y = x - self._shift[0], y - self._shift[1]
        parts = [a.reshape(len(a), self.groups, -1).transpose(1, 0, 2) for a in (x, y)]
        both = np.concatenate(parts, axis=2)
        if weights is not None:
            both *= np.sqrt(weights.astype(np.float32))[:, None]
        product = np.stack([b.T @ b for b in both]) if self.groups < 16 else _blocks(both)
        self._product = self._product + product if self.count else product.astype(np.float64)
        total = both.sum(1, dtype=np.float64)
        if weights is not None:
            total = np.einsum("gnd,n->gd", both, np.sqrt(weights), dtype=np.float64)
        self._sum = self._sum + total if self.count else total
        self.count += len(rows) if weights is None else float(weights.sum())

    def shift(self, rows: Array, targets: Array) -> None:
        """Take the means of these rows off all rows to come, before they are multiplied."""
        self._shift = rows.mean(0).astype(np.float32), targets.mean(0).astype(np.float32)
        self._inputs = rows.shape[1] // self.groups

    def merged(self, other: Gram) -> Gram:
        """The sums over the rows of both; only for rows that were shifted alike."""
        result = Gram(self.groups)
        result._shift, result._inputs = self._shift, self._inputs
        result._product, result._sum = self._product + other._product, self._sum + other._sum
        result.count = self.count + other.count
        return result

    def sharing_shift(self) -> Gram:
        """An empty sum whose rows will be shifted as here, so that both can be merged."""
        result = Gram(self.groups)
        result._shift, result._inputs = self._shift, self._inputs
        return result

    def moments(self) -> Moments:
        """Centred moments of what was added.

        Raises:
            ValueError: nothing was.
        """
        if not self.count or self._shift is None:
            raise ValueError("no rows were added")
        d, mean = self._inputs, self._sum / self.count
        centred = self._product / self.count - mean[:, :, None] * mean[:, None, :]
        shift = [np.asarray(s, np.float64).reshape(self.groups, -1) for s in self._shift]
        return Moments(
            self.count,
            centred[:, :d, :d],
            centred[:, :d, d:],
            np.diagonal(centred, axis1=1, axis2=2)[:, d:],
            mean[:, :d] + shift[0],
            mean[:, d:] + shift[1],
        )

    def second_moment(self) -> Matrix:
        """(G, d, d): the mean of x x', not centred, as weight quantization without bias uses it."""
        moments = self.moments()
        mean = moments.mean_in
        return np.asarray(moments.second + mean[:, :, None] * mean[:, None, :])


def _blocks(both: Array) -> Array:
    return np.asarray(np.matmul(both.transpose(0, 2, 1), both))


def input_grams(
    graph: Graph, layers: Sequence[Layer], statistics: Statistics, per_image: int = PER_IMAGE
) -> Mapping[str, Gram]:
    """Sums of the inputs of these layers of `graph`, by name of the layer's output, in one pass."""
    grams = {layer.output: Gram(layer.groups) for layer in layers}
    names = list(dict.fromkeys(layer.input for layer in layers))
    for turn, values in enumerate(statistics.activations(graph, names)):
        for layer in layers:
            x = values[layer.input]
            grams[layer.output].add(layer.rows(x, layer.sites(x.shape, per_image, turn)))
    return grams
