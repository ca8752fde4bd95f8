"""Reference activations: what the original computes at the sampled places, kept once.

One pass over the calibration images, after which any number of rewritten graphs can be fitted
without running the original again. What is kept of each tensor is rows x channels, in half
precision: in memory while it is little, on disk beyond that, or in a file that the next process
goes on from (`keep_at`); and how much each row matters to the outputs (`gradient`), a number.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.analysis.decisions import undecided
from core.calibration.services import Graph, Run, Services, Tensors
from core.compress.autodiff.vjp import backward
from core.compress.graph_executor.spill_cache import Array
from core.compress.linalg import parallel
from core.compress.linalg.im2col_sampling import Sites, pick, values_at
from core.compress.refit import array_file
from core.compress.refit.feeds import Feeds, batches
from core.compress.refit.gradient_covariance import Power
from core.compress.refit.half_cache import HalfCache
from core.errors import CoreError, StoreError

IMAGES = 512  # more change nothing that could be measured: see benchmarks/structure.py
# Places of each image: a layer needs rows in proportion to its inputs, and its inputs go with its
# channels. Twice as many lower the error of the outputs on new images by less than 1 %.
PER_CHANNEL, LEAST_PLACES, PER_IMAGE = 2, 32, 128
PER_WIDE_IMAGE, WIDE = 48, 128  # and of layers of more channels than this, which cost too much
HELD_EVERY = 5  # of five batches, one is not fitted but judged on
EVEN = 0.5  # share of a row's weight that does not depend on its gradient
KINDS = ("images", "places", "wanted")  # arrays of each batch of a tensor, in the file

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
        self, original: Graph, services: Services, sampling: Sampling | None = None
    ) -> None:
        """Read the images; nothing is run yet. `original` must not change afterwards."""
        self.original, self.services = original, services
        self.sampling = sampling or Sampling()
        self.feeds = Feeds(batches(services, original, self.sampling.images))
        self._wanted = HalfCache()
        self._matter: dict[tuple[str, int], Array] = {}  # (rows,), squares of gradients
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
        with parallel.product_threads(1):  # what is worth it is shared out to the cores
            self._run(asked, missing, axes, visit)
        if missing:
            self._save()

    def _run(
        self, asked: list[str], missing: list[str], axes: Mapping[str, int], visit: Visit | None
    ) -> None:
        run, gradients = self._runner(asked, missing)
        powers = {name: Power() for name in gradients}

        def keep(batch: int, values: Tensors) -> None:
            def one(name: str) -> None:
                self._keep(name, batch, values[name], axes[name])
                if name in gradients:
                    rows = values_at(values[gradients[name]], axes[name], self.sites(name, batch))
                    self._matter[name, batch] = np.einsum("nc,nc->n", rows, rows)
                    powers[name].add(rows)

            parallel.each(one, missing)
            if visit is not None:
                visit(batch, values)

        def made(batch: int) -> Tensors:
            feeds = self.feeds[batch]
            return feeds | run(feeds)

        for batch, values in enumerate(parallel.ahead(map(made, range(len(self.feeds))))):
            keep(batch, values)
        for name, power in powers.items():
            mean = power.mean()
            if np.isfinite(mean).all() and mean.any():
                self._importance[name] = mean

    def _runner(self, asked: list[str], missing: list[str]) -> tuple[Run, dict[str, str]]:
        """Forwards and backwards at once; forwards only where the runtime cannot go back."""
        runner = self.services.runner
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

    def weights(self, name: str, batch: int) -> Array | None:
        """How much each row of a tensor matters, 1 on average; None if that is not known."""
        power = self._matter.get((name, batch))
        if name not in self._importance or power is None:
            return None
        mean = float(np.trace(self._importance[name]))
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
            size = self._wanted.nbytes + sum(array.nbytes for array in self._matter.values())
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
            yield f"scales/0/{name}", self._wanted.scales(name, count)
            for batch in range(count):
                yield f"wanted/{batch}/{name}", self._wanted.raw(name, batch)
            if name in self._importance:
                yield f"importance/0/{name}", self._importance[name]
            for batch in range(count):
                if (name, batch) in self._matter:
                    yield f"matter/{batch}/{name}", self._matter[name, batch]

    def _load(self, arrays: Mapping[str, Array]) -> None:
        """Take over what `_arrays` gave.

        Raises:
            StoreError: of other images.
        """
        names = [key.split("/", 2)[2] for key in arrays if key.startswith("scales/")]
        batches = range(len(self.feeds))
        try:
            for name in names:
                images, places, wanted = (
                    [arrays[f"{kind}/{batch}/{name}"] for batch in batches] for kind in KINDS
                )
                matter = {b: arrays[k] for b in batches if (k := f"matter/{b}/{name}") in arrays}
                scales = arrays[f"scales/0/{name}"]
                self._check(images, [places, wanted, matter], scales)
                self._wanted.map(name, dict(enumerate(wanted)), scales)
                self._matter |= {(name, b): rows for b, rows in matter.items()}
                if f"importance/0/{name}" in arrays:
                    self._importance[name] = arrays[f"importance/0/{name}"]
                pairs = zip(images, places, strict=True)
                self._sites |= {(name, b): Sites(*pair) for b, pair in enumerate(pairs)}
        except (KeyError, ValueError) as error:
            raise StoreError(
                f"The kept reference does not fit: {error}", "Delete it; it is made again."
            ) from error

    def _check(
        self,
        images: Sequence[Array],
        others: Sequence[Sequence[Array] | Mapping[int, Array]],
        scales: Array,
    ) -> None:
        """Hold what was kept of one tensor to the batches that there are.

        Raises:
            ValueError: of other images.
        """
        counts = list(zip(images, self.feeds.counts, strict=True))
        if any(some.max(initial=0) >= count for some, count in counts):
            raise ValueError("other images")
        if len(scales) != len(images):
            raise ValueError("other batches")
        for rows in others:
            listed = rows.items() if isinstance(rows, Mapping) else enumerate(rows)
            if any(len(each) != len(images[batch]) for batch, each in listed):
                raise ValueError("values of other places")


def with_outputs(graph: Graph, names: Sequence[str]) -> Graph:
    """A copy of `graph` that gives out these tensors."""
    copy = graph.clone()
    values = {value.name: value for node in copy.graph for value in node.outputs}
    copy.graph.outputs.clear()
    copy.graph.outputs.extend(values[name] for name in names)
    return copy
