"""Weighted rows of one layer's least-squares problem, all at once, as its fits need them.

A row is kept as z = sqrt(w) (x - x0, 1, y - y0), see `normal_equations`, and beside it the bounds
(`residual_targets`) between which its targets may lie, shifted and weighed alike. Then a layer with
weights W and bias b predicts sqrt(w) (W x + b - y0) as a plain product of (W, W x0 + b - y0) with
the first part of z, the targets follow by clipping to the bounds, and their products with the
inputs are again those that the next fit needs: two passes over the rows for each round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from core.compress.graph_executor.spill_cache import Array
from core.compress.linalg import parallel
from core.compress.refit.normal_equations import Gram, Matrix, Moments, Shift, split

STRETCH = 1024  # rows at a time: what is made of them stays in the cache


class Room:
    """Memory that one layer after the other uses: fresh pages cost as much as the products."""

    def __init__(self) -> None:
        """Nothing is held before it is asked for."""
        self._held: dict[str, Array] = {}

    def floats(self, name: str, *shape: int) -> Array:
        """An array of any content; valid until the same name is asked for again."""
        size = int(np.prod(shape))
        held = self._held.get(name)
        if held is None or held.size < size:
            self._held[name] = held = np.empty(size, np.float32)
        return held[:size].reshape(shape)


class Rows:
    """The rows of a layer: those that are fitted, then those that are judged on."""

    def __init__(
        self, groups: int, counts: tuple[int, int], shift: Shift, bounded: bool, room: Room
    ) -> None:
        """Make room.

        Args:
            groups: of the layer.
            counts: rows to come: to fit on, to judge on.
            shift: of inputs and targets.
            bounded: whether targets have bounds apart.
            room: where they lie.
        """
        outputs, count = shift.targets.shape[2], sum(counts)
        self._shift, self._bounded, self._fitted = shift, bounded, counts[0]
        self._block = room.floats("rows", groups, count, shift.width)
        self._bounds = [
            room.floats(side, groups, count if bounded else 0, outputs) for side in ("low", "high")
        ]
        self._weights = np.ones(count, np.float32)

    def put(
        self,
        start: int,
        inputs: Array,
        targets: Array,
        bounds: tuple[Array, Array],
        weights: Array | None,
    ) -> None:
        """Keep some rows; several threads may do so at once.

        Args:
            start: number of the first.
            inputs: (n, groups * d).
            targets: (n, groups * o).
            bounds: least and greatest targets.
            weights: (n,), how much each row counts; None: 1.
        """
        here = slice(start, start + len(inputs))
        root = None if weights is None else np.sqrt(weights).astype(np.float32)
        self._shift.fill(self._block[:, here], inputs, targets, root)
        for kept, bound in zip(self._bounds if self._bounded else (), bounds, strict=False):
            part = kept[:, here]
            np.subtract(split(bound, len(kept)), self._shift.targets, out=part)
            if root is not None:
                part *= root[:, None]
        if weights is not None:
            self._weights[here] = weights

    def sums(self) -> tuple[Gram, Gram]:
        """Of the rows to fit on, and of those to judge on."""
        fitted = Gram(len(self._block), self._shift)
        judged = fitted.sharing_shift()
        parts = (slice(0, self._fitted), slice(self._fitted, None))
        for gram, part in zip((fitted, judged), parts, strict=True):
            if len(self._weights[part]):
                gram.add_block(self._block[:, part], float(self._weights[part].sum(dtype=float)))
        return fitted, judged

    def moved(self, moments: Moments, weights: Matrix, bias: Matrix) -> Moments:
        """Moments with the targets moved to what these weights predict, within their bounds.

        Those of the inputs stay as they are.
        """
        if not self._bounded:
            return moments
        offset = np.einsum("god,gd->go", weights, self._shift.inputs[:, 0]) + bias
        offset -= self._shift.targets[:, 0]
        factor = np.concatenate([weights, offset[:, :, None]], axis=2).astype(np.float32)
        d, count = weights.shape[2], self._block.shape[1]

        def cross(starts: Sequence[int]) -> Matrix:
            total = np.zeros((len(weights), d + 1, weights.shape[1]))
            for start in starts:
                stretch = slice(start, start + STRETCH)
                seen = self._block[:, stretch, : d + 1]
                targets = seen @ factor.transpose(0, 2, 1)
                for side, bound in zip((np.maximum, np.minimum), self._bounds, strict=True):
                    side(targets, bound[:, stretch], out=targets)
                total += seen.transpose(0, 2, 1) @ targets
            return total

        total = np.sum(parallel.shared(cross, range(0, count, STRETCH)), axis=0)
        total /= moments.count
        mean_in = moments.mean_in - self._shift.inputs[:, 0]
        mean_out = total[:, d]
        products = total[:, :d] - mean_in[:, :, None] * mean_out[:, None, :]
        return replace(moments, cross=products, mean_out=mean_out + self._shift.targets[:, 0])
