"""What the original computes at the sampled places: wanted values of every layer, kept once.

One pass over the calibration images, after which any number of rewritten graphs can be fitted
without running the original again. What is kept of each tensor is rows x channels, and how much
each row matters to the outputs (`gradient`), in half precision: in memory while it is little, on
disk beyond that, or in a file that the next process goes on from (`keep_at`).
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.analysis.decisions import undecided
from core.errors import CoreError, StoreError
from core.reconstruction import array_file, blas, cores
from core.reconstruction.feeds import Feeds, batches
from core.reconstruction.gradient import backward
from core.reconstruction.halves import Halves
from core.reconstruction.patches import Sites, pick, values_at
from core.reconstruction.shelf import Array
from core.reconstruction.statistics import Graph, Statistics, Tensors

IMAGES = 512  # more change nothing that could be measured: see benchmarks/structure.py
# Places of each image: a layer needs rows in proportion to its inputs, and its inputs go with its
# channels. Twice as many lower the error of the outputs on new images by less than 1 %.
PER_CHANNEL, LEAST_PLACES, PER_IMAGE = 2, 32, 128
PER_WIDE_IMAGE, WIDE = 48, 128  # and of layers of more channels than this, which cost too much
HELD_EVERY = 5  # of five batches, one is not fitted but judged on
POWER_ROWS = 1024  # of gradients that are multiplied at once
EVEN = 0.5  # share of a row's weight that does not depend on its gradient

log = logging.getLogger(__name__)
Visit = Callable[[int, Tensors], None]


@dataclass(frozen=True)
class Sampling:
    """How many rows a fit sees.

    Attributes:
        images: at most, spread evenly over the set.
        per_image: places of each image, at most.
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
        self.feeds = Feeds(batches(statistics, original, self.sampling.images))
        self._wanted, self._matter = Halves(), Halves()
        self._sites: dict[tuple[str, int], Sites] = {}
        self._importance: dict[str, Array] = {}
        self._path: Path | None = None

    @property
    def images(self) -> int:
        """Images that are used."""
        return sum(self.feeds.counts)

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
        missing = [name for name in axes if name not in self._wanted]
        if not missing and visit is None:
            return
        computed = {v.name for node in self.original.graph for v in node.outputs}
        asked = [n for n in dict.fromkeys([*missing, *also]) if n in computed]
        with blas.threads(1):  # what is worth it is shared out to the cores
            self._run(asked, missing, axes, visit)
        if missing:
            self._save()

    def _run(
        self, asked: list[str], missing: list[str], axes: Mapping[str, int], visit: Visit | None
    ) -> None:
        run, gradients = self._runner(asked, missing)
        powers = {name: Power() for name in gradients}
        for batch, feeds in enumerate(self.feeds):
            values = feeds | run(feeds)
            for name in missing:
                self._keep(name, batch, values[name], axes[name])
            if visit is not None:
                visit(batch, values)

            def keep(name: str, batch: int = batch, values: Tensors = values) -> None:
                rows = values_at(values[gradients[name]], axes[name], self.sites(name, batch))
                self._matter.put(name, batch, np.abs(rows))
                powers[name].add(rows)

            cores.each(keep, list(gradients))
            values = {}  # before the next run: of a DenseNet, one batch is gigabytes
        for name, power in powers.items():
            mean = power.mean()
            if np.isfinite(mean).all() and mean.any():
                self._importance[name] = mean

    def _runner(
        self, asked: list[str], missing: list[str]
    ) -> tuple[Callable[[Tensors], Tensors], dict[str, str]]:
        """Forwards and backwards at once; forwards only where the runtime cannot go back."""
        runner = self.statistics.runner
        try:
            graph, gradients = backward(undecided(self.original), missing)
            names = [*asked, *dict.fromkeys(gradients.values())]
            return runner(with_outputs(graph, names), names), gradients
        except CoreError:
            return runner(with_outputs(self.original, asked), asked), {}

    def sites(self, name: str, batch: int) -> Sites:
        """The places of a tensor that were sampled."""
        return self._sites[name, batch]

    def wanted(self, name: str, batch: int) -> Array:
        """Its values there, (rows, channels)."""
        return self._wanted.get(name, batch)

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
        counts = np.zeros(len(diagonal), np.float32)
        counts[slice(None) if keep is None else keep] = 1
        mean = float(diagonal @ counts)
        power = np.square(gradient, out=gradient) @ counts
        return np.asarray(EVEN + (1 - EVEN) / mean * power, np.float32) if mean > 0 else None

    def importance(self, name: str) -> Array | None:
        """E[g g'] over the sampled rows, (channels, channels)."""
        return self._importance.get(name)

    def _keep(self, name: str, batch: int, tensor: Array, axis: int) -> None:
        seed = zlib.crc32(name.encode()) + batch
        sites = pick(tensor.shape, axis, self.places(tensor.shape[axis]), seed)
        self._sites[name, batch] = sites
        self._wanted.put(name, batch, values_at(tensor, axis, sites))

    def places(self, channels: int) -> int:
        """Of each image, for a tensor of so many channels."""
        wish = PER_WIDE_IMAGE if channels > WIDE else max(PER_CHANNEL * channels, LEAST_PLACES)
        return min(wish, self.sampling.per_image)

    def keep_at(self, path: Path) -> None:
        """Go on from what lies there, and leave there whatever is run from now on.

        A file that is damaged is as good as none, and a disk that is full costs only time.
        """
        self._path = path
        if path.exists():
            try:
                self._load(array_file.read(path))
            except StoreError as error:
                log.warning("%s", error.message)

    def _save(self) -> None:
        """Write all that is kept, and let the file take the place of the memory."""
        if self._path is None:
            return
        try:
            size = self._wanted.nbytes + self._matter.nbytes
            size += sum(8 * len(sites) for sites in self._sites.values())
            size += sum(array.nbytes for array in self._importance.values())
            count = 4 * len(self._sites) + 3 * len(self._importance)
            if array_file.write_each(self._path, self._arrays(), count, size):
                self._load(array_file.read(self._path))
        except (OSError, StoreError) as error:
            log.warning("The reference is not kept: %s", error)

    def _arrays(self) -> Iterator[tuple[str, Array]]:
        """All that is kept, one after the other: together it may be more than there is memory."""
        count = len(self.feeds)
        for name in dict.fromkeys(name for name, _ in self._sites):
            for batch in range(count):
                sites = self._sites[name, batch]
                yield f"images/{batch}/{name}", sites.images.astype(np.int32)
                yield f"places/{batch}/{name}", sites.places.astype(np.int32)
            for kind, halves in (("wanted", self._wanted), ("matter", self._matter)):
                if name in halves:
                    yield f"scales/{kind}/{name}", halves.scales(name, count)
                    for batch in range(count):
                        yield f"{kind}/{batch}/{name}", halves.raw(name, batch)
            if name in self._importance:
                yield f"importance/0/{name}", self._importance[name]

    def _load(self, arrays: Mapping[str, Array]) -> None:
        """Take over what `_arrays` gave.

        Raises:
            StoreError: of other images.
        """
        names = [key.split("/", 2)[2] for key in arrays if key.startswith("scales/wanted/")]
        batches = range(len(self.feeds))
        try:
            for name in names:
                sites = [[arrays[f"{k}/{b}/{name}"] for b in batches] for k in ("images", "places")]
                counts = zip(sites[0], self.feeds.counts, strict=True)
                if any(images.max(initial=0) >= count for images, count in counts):
                    raise ValueError("other images")
                for kind, halves in (("wanted", self._wanted), ("matter", self._matter)):
                    if f"scales/{kind}/{name}" in arrays:
                        if len(arrays[f"scales/{kind}/{name}"]) != len(batches):
                            raise ValueError("other batches")
                        parts = {b: arrays[f"{kind}/{b}/{name}"] for b in batches}
                        if any(len(parts[b]) != len(sites[0][b]) for b in batches):
                            raise ValueError("values of other places")
                        halves.map(name, parts, arrays[f"scales/{kind}/{name}"])
                if f"importance/0/{name}" in arrays:
                    self._importance[name] = arrays[f"importance/0/{name}"]
                pairs = zip(*sites, strict=True)
                self._sites |= {(name, b): Sites(*pair) for b, pair in enumerate(pairs)}
        except (KeyError, ValueError) as error:
            raise StoreError(
                f"The kept reference does not fit: {error}", "Delete it; it is made again."
            ) from error


class Power:
    """The mean of g g' over rows g, multiplied when there are enough of them."""

    def __init__(self) -> None:
        """No rows yet."""
        self._waiting: list[Array] = []
        self._total: Array | None = None
        self._count = 0

    def add(self, rows: Array) -> None:
        """Count more rows, (n, channels)."""
        self._waiting.append(rows)
        self._count += len(rows)
        if sum(map(len, self._waiting)) >= POWER_ROWS:
            self._multiply()

    def mean(self) -> Array:
        """(channels, channels), in single precision."""
        self._multiply()
        total = np.zeros((0, 0), np.float32) if self._total is None else self._total
        return np.asarray(total / np.float32(max(self._count, 1)))

    def _multiply(self) -> None:
        if self._waiting:
            rows = np.concatenate(self._waiting)
            product = rows.T @ rows
            self._total = product if self._total is None else self._total + product
            self._waiting = []


def with_outputs(graph: Graph, names: Sequence[str]) -> Graph:
    """A copy of `graph` that gives out these tensors."""
    copy = graph.clone()
    values = {value.name: value for node in copy.graph for value in node.outputs}
    copy.graph.outputs.clear()
    copy.graph.outputs.extend(values[name] for name in names)
    return copy
