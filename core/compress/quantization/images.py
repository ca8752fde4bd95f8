"""Calibration split: images that ranges are found on, and those that judge.

Every fourth batch or fewer is held out, up to a bound in images and in bytes, so memory stays flat.
Sets are often sorted by class: whatever takes a part of the images takes it from all over the set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnx_ir as ir

from core.calibration.services import Run, Services, Tensors
from core.compress.linalg import parallel
from core.compress.quantization import effort
from core.data import Annotations, Labels
from core.records import Preprocess

EVERY = 4
LARGEST_BYTES = 64 << 20
LARGEST_IMAGES = 64


class CalibrationSplit:
    """Calibration images in two parts: what ranges are found on, and what judges them."""

    def __init__(self, source: Services, as_written: bool = False) -> None:
        """Set the judging part aside.

        Args:
            source: the images.
            as_written: compute quantized graphs as the file says, not by ONNX Runtime's kernels,
                which saturate on some processors: for any other backend.
        """
        self._source = source
        self.ran: Callable[[int], None] = lambda images: None  # hears of each run
        self._run = source.runner_as_written if as_written else source.runner
        self.held_out: list[Tensors] = []
        self.held_at: list[int] = []  # place in the set of the first image of each
        self.at = 0  # the same of the batch that `calibration` gave last
        seen = 0
        self._held: set[int] = set()
        self.batches = 0
        first: Tensors = {}
        size = images = 0
        every = EVERY
        for index, feeds in enumerate(source.feeds()):
            self.batches += 1
            first = first or feeds
            here = sum(a.nbytes for a in feeds.values())
            if index == 0:
                every = max(EVERY, source.count // LARGEST_IMAGES)
            room = size + here <= LARGEST_BYTES and images < LARGEST_IMAGES
            if index % every == 1 and (room or not self.held_out):
                self.held_out.append(feeds)
                self.held_at.append(seen)
                self._held.add(index)
                size, images = size + here, images + images_of(feeds)
            seen += images_of(feeds)
        self.separate = bool(self.held_out)
        if not self.separate:
            self.held_out, self.held_at = [first], [0]

    @property
    def annotations(self) -> Annotations | None:
        """Of all images, those that judge and the others."""
        return self._source.annotations

    @property
    def labels(self) -> Labels | None:
        """The class of each image, where that is what the set knows of them."""
        known = self._source.annotations
        return known if isinstance(known, np.ndarray) else None

    @property
    def preprocess(self) -> Preprocess | None:
        """How pixels became inputs; None: by a guess."""
        return self._source.preprocess

    @property
    def whole(self) -> int:
        """All images."""
        return self._source.count

    @property
    def judged(self) -> int:
        """Images that judge."""
        return sum(images_of(feeds) for feeds in self.held_out)

    @property
    def count(self) -> int:
        """Images that ranges are found on."""
        return max(self._source.count - self.judged, 1) if self.separate else self.judged

    def calibration(self, largest: int = 0) -> Iterator[Tensors]:
        """The other images, at most about `largest` from all over the set; 0 is all of them."""
        for at, feeds in self._calibration(largest):
            self.at = at
            yield feeds

    def _calibration(self, largest: int) -> Iterator[tuple[int, Tensors]]:
        """(place of its first image, batch)."""
        free = [i for i in range(self.batches) if i not in self._held] or [0]
        wanted = self.batches
        if 0 < largest < self.count:
            wanted = max(1, round(largest / max(images_of(self.held_out[0]), 1)))
        step = max(1, len(free) // wanted)
        chosen = set(free[::step][:wanted])
        seen = 0
        for index, feeds in enumerate(self._source.feeds()):
            if index in chosen:
                yield seen, feeds
            seen += images_of(feeds)

    def every(self) -> Iterator[Tensors]:
        """All images, those that are held out too."""
        return self._source.feeds()

    def values(self, graph: ir.Model, names: Sequence[str], largest: int = 0) -> Iterator[Tensors]:
        """Named tensors of `graph` on the calibration part, batch by batch.

        Batches are as large as memory bears, where the net takes any number of images. The next is
        run while the caller works on one: neither uses all cores all the time.
        """
        for at, values in parallel.ahead(self._values(graph, names, largest)):
            self.at = at
            yield values

    def _values(
        self, graph: ir.Model, names: Sequence[str], largest: int
    ) -> Iterator[tuple[int, Tensors]]:
        """(place of its first image, values)."""
        fed = {value.name for value in graph.graph.inputs}
        run = self.runner(graph, [name for name in names if name not in fed])
        most = _at_once(graph, names)
        for start, feeds in self._calibration(largest):
            for first, part in parts(feeds, most or 1):
                values = run(part) | {name: part[name] for name in names if name in fed}
                most = most or _fitting(sum(a.nbytes for a in values.values()))
                yield start + first, values

    def runner(self, graph: ir.Model, names: Sequence[str]) -> Run:
        """A function from inputs of `graph` to the named tensors."""
        return self._told(self._run(graph, names))

    def runner_as_written(self, graph: ir.Model, names: Sequence[str]) -> Run:
        """The same, quantized graphs computed as the file says."""
        return self._told(self._source.runner_as_written(graph, names))

    def _told(self, run: Run) -> Run:
        def told(feeds: Tensors) -> Tensors:
            found = run(feeds)
            self.ran(images_of(feeds))
            return found

        return told


def singly(feeds: Tensors) -> Iterator[Tensors]:
    """One image after another: runtimes differ in what else they take."""
    return (part for _, part in parts(feeds, 1))


def parts(feeds: Tensors, most: int) -> Iterator[tuple[int, Tensors]]:
    """(place of its first image, images) of no more than so many at once."""
    for start in range(0, images_of(feeds), most):
        yield start, {name: array[start : start + most] for name, array in feeds.items()}


def any_batch(graph: ir.Model) -> bool:
    """Whether no input says how many images it takes at once."""
    firsts = [v.shape[0] for v in graph.graph.inputs if v.shape is not None and len(v.shape)]
    return not any(isinstance(first, int) for first in firsts)


def images_of(feeds: Tensors) -> int:
    """How many images a feed holds."""
    first = next(iter(feeds.values()), None)
    return len(first) if first is not None and first.ndim else 1


def _at_once(graph: ir.Model, names: Sequence[str]) -> int:
    """How many images may give out these tensors at once; 0 where their sizes are not known."""
    if not any_batch(graph):
        return LARGEST_IMAGES
    wanted, size = set(names), 0
    for value in (v for node in graph.graph for v in node.outputs if v.name in wanted):
        dims = list(value.shape)[1:] if value.shape is not None and len(value.shape) else [None]
        if not all(isinstance(dim, int) for dim in dims):
            return 0
        size += 4 * math.prod(int(str(dim)) for dim in dims)
    return _fitting(size)


def _fitting(bytes_each: int) -> int:
    return int(np.clip(effort.batch_bytes() // max(bytes_each, 1), 1, LARGEST_IMAGES))
