"""What the original computes at the sampled places: wanted values of every layer, kept once.

One pass over the calibration images, after which any number of rewritten graphs can be fitted
without running the original again. What is kept of each tensor is rows x channels, and how much
each row matters to the outputs (`gradient`): in memory while it is little, on disk beyond that.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.reconstruction.gradient import backward
from core.reconstruction.patches import Sites, pick, values_at
from core.reconstruction.shelf import Array, Shelf
from core.reconstruction.statistics import Graph, Statistics, Tensors
from core.reconstruction.walk import batches

IMAGES = 512  # more change nothing that could be measured: see benchmarks/structure.py
PER_IMAGE = 128  # places: on new images the logits err 4 % less than with 48, at 1.4 times the cost
PER_WIDE_IMAGE, WIDE = (
    48,
    128,
)  # the same for layers of more channels than this, which cost too much
HELD_EVERY = 5  # of five batches, one is not fitted but judged on
EVEN = 0.5  # share of a row's weight that does not depend on its gradient

Visit = Callable[[int, Tensors], None]


@dataclass(frozen=True)
class Sampling:
    """How many rows a fit sees.

    Attributes:
        images: at most, spread evenly over the set.
        per_image: places of each image, where layers are narrow; wide ones see fewer.
    """

    images: int = IMAGES
    per_image: int = PER_IMAGE


class Reference:
    """The original, its calibration batches, and what it computes in them."""

    def __init__(
        self, original: Graph, statistics: Statistics, sampling: Sampling | None = None
    ) -> None:
        """Read the images; nothing is run yet. `original` must not change afterwards."""
        self.original, self.statistics = original, statistics
        self.sampling = sampling or Sampling()
        self.feeds: list[Tensors] = list(batches(statistics, original, self.sampling.images))
        self._shelf, self._matter = Shelf(), Shelf()
        self._sites: dict[tuple[str, int], Sites] = {}
        self._importance: dict[str, Array] = {}

    @property
    def images(self) -> int:
        """Images that are used."""
        return sum(len(next(iter(feeds.values()))) for feeds in self.feeds)

    def held(self, batch: int) -> bool:
        """Whether this batch is for judging only."""
        every = min(HELD_EVERY, len(self.feeds))
        return every > 1 and batch % every == every - 1

    def sample(
        self, axes: Mapping[str, int], also: Sequence[str] = (), visit: Visit | None = None
    ) -> None:
        """Run the original once for those of these tensors that are not kept yet.

        Args:
            axes: tensor -> its channel axis.
            also: further tensors for `visit`.
            visit: called with the number of each batch and its tensors.
        """
        missing = [name for name in axes if name not in self._shelf]
        if not missing and visit is None:
            return
        computed = {v.name for node in self.original.graph for v in node.outputs}
        asked = [n for n in dict.fromkeys([*missing, *also]) if n in computed]
        gradients = self._run(asked, missing, axes, visit)
        for name in gradients:
            self._summarise(name, axes[name])

    def _run(
        self, asked: list[str], missing: list[str], axes: Mapping[str, int], visit: Visit | None
    ) -> dict[str, str]:
        run, gradients = self._runner(asked, missing)
        for batch, feeds in enumerate(self.feeds):
            values = feeds | run(feeds)
            for name in missing:
                self._keep(name, batch, values[name], axes[name])
                if name in gradients:
                    found = values_at(values[gradients[name]], axes[name], self.sites(name, batch))
                    self._matter.put(name, batch, found)
            if visit is not None:
                visit(batch, values)
        return gradients

    def _runner(
        self, asked: list[str], missing: list[str]
    ) -> tuple[Callable[[Tensors], Tensors], dict[str, str]]:
        """Forwards and backwards at once; forwards only where the runtime cannot go back."""
        runner = self.statistics.runner
        try:
            graph, gradients = backward(self.original, missing)
            names = [*asked, *dict.fromkeys(gradients.values())]
            return runner(with_outputs(graph, names), names), gradients
        except CoreError:
            return runner(with_outputs(self.original, asked), asked), {}

    def sites(self, name: str, batch: int) -> Sites:
        """The places of a tensor that were sampled."""
        return self._sites[name, batch]

    def wanted(self, name: str, batch: int) -> Array:
        """Its values there, (rows, channels)."""
        return self._shelf.get(name, batch)

    def weights(self, name: str, batch: int, keep: Array | None) -> Array | None:
        """How much each row matters, 1 on average; None if that is not known.

        Args:
            name: the tensor.
            batch: number of the batch.
            keep: channels that count; None for all.
        """
        if name not in self._importance:
            return None
        gradient, diagonal = self._matter.get(name, batch), np.diag(self._importance[name])
        if keep is not None:
            gradient, diagonal = gradient[:, keep], diagonal[keep]
        power = np.einsum("nc,nc->n", gradient, gradient, dtype=np.float64)
        mean = float(diagonal.sum())
        return EVEN + (1 - EVEN) * power / mean if mean > 0 else None

    def importance(self, name: str) -> Array | None:
        """E[g g'] over the sampled rows, (channels, channels)."""
        return self._importance.get(name)

    def _summarise(self, name: str, axis: int) -> None:
        total, rows = np.zeros(()), 0
        for batch in range(len(self.feeds)):
            gradient = self._matter.get(name, batch).astype(np.float64)
            total, rows = total + gradient.T @ gradient, rows + len(gradient)
        mean = total / max(rows, 1)
        if np.isfinite(mean).all() and mean.any():
            self._importance[name] = mean

    def _keep(self, name: str, batch: int, tensor: Array, axis: int) -> None:
        seed = zlib.crc32(name.encode()) + batch
        wide = tensor.shape[axis] > WIDE
        most = min(self.sampling.per_image, PER_WIDE_IMAGE) if wide else self.sampling.per_image
        sites = pick(tensor.shape, axis, most, seed)
        self._sites[name, batch] = sites
        self._shelf.put(name, batch, values_at(tensor, axis, sites))


def with_outputs(graph: Graph, names: Sequence[str]) -> Graph:
    """A copy of `graph` that gives out these tensors."""
    copy = graph.clone()
    values = {value.name: value for node in copy.graph for value in node.outputs}
    copy.graph.outputs.clear()
    copy.graph.outputs.extend(values[name] for name in names)
    return copy
