"""Calibration batches that a net is run on, few enough that their activations fit.

Small images are run many at a time. The batches lie in a spill cache: of large images,
hundreds are more than what is computed of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from core.analysis.shapes import facts
from core.calibration.services import Graph, Services, Tensors
from core.compress.graph_executor.spill_cache import SpillCache
from core.devices.local import memory

FULL_BYTES = 1 << 20  # of feeds: small images are run many at a time
# Of all tensors together: those of a DenseNet are many and large. A run forwards and backwards that
# gives out what is asked for holds about three times as much.
FULL_ACTIVATIONS = 384 << 20
SHARE = 12  # of the memory that is free, one part for these
MOST_IMAGES = 64
PARTS = 5  # at least, so that one can be held back to judge on


class Feeds(Sequence[Tensors]):
    """Batches in a fixed order."""

    def __init__(self, batches: Iterator[Tensors]) -> None:
        """Put them in the cache."""
        self._cache, self.counts = SpillCache(), list[int]()
        for number, batch in enumerate(batches):
            for name, array in batch.items():
                self._cache.put(name, number, array)
            self.counts.append(len(next(iter(batch.values()))))

    def __len__(self) -> int:
        return len(self.counts)

    @overload
    def __getitem__(self, index: int) -> Tensors: ...

    @overload
    def __getitem__(self, index: slice) -> list[Tensors]: ...

    def __getitem__(self, index: int | slice) -> Tensors | list[Tensors]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        return {name: self._cache.get(name, number) for name in self._cache.names()}


def batches(services: Services, graph: Graph, images: int) -> Iterator[Tensors]:
    """At most about `images` images, spread evenly over the set; small ones many at a time."""
    skip = max(1, -(-services.count // images))
    taken = (feeds for turn, feeds in enumerate(services.feeds()) if turn % skip == 0)
    if not _dynamic_batch(graph):
        yield from taken
        return
    row: list[Tensors] = []
    most = min(_most(graph), max(min(services.count, images) // PARTS, 1))
    for feeds in (part for whole in taken for part in _split(whole, most)):
        row.append(feeds)
        if _enough(row, most):
            yield _joined(row)
            row = []
    if row:
        yield _joined(row)


def _dynamic_batch(graph: Graph) -> bool:
    shapes = [v.shape for v in graph.graph.inputs if not v.is_initializer()]
    return all(s is not None and len(s) > 0 and not isinstance(s[0], int) for s in shapes)


def _most(graph: Graph) -> int:
    """Images to run at a time, by the size of what is computed of each."""
    known = facts(graph)
    shapes = [known.shape(value) or () for node in graph.graph for value in node.outputs]
    sizes = [[d for d in shape[1:] if isinstance(d, int)] for shape in shapes]
    each = 4 * sum(math.prod(size) for size in sizes if size)
    full = min(FULL_ACTIVATIONS, memory.budget_bytes() // SHARE)
    return int(np.clip(full // max(each, 1), 1, MOST_IMAGES))


def _split(feeds: Tensors, most: int) -> Iterator[Tensors]:
    count = len(next(iter(feeds.values())))
    for start in range(0, count, most):
        yield {name: array[start : start + most] for name, array in feeds.items()}


def _enough(row: Sequence[Tensors], most: int) -> bool:
    size = sum(a.nbytes for feeds in row for a in feeds.values())
    return size >= FULL_BYTES or sum(len(next(iter(f.values()))) for f in row) >= most


def _joined(row: Sequence[Tensors]) -> Tensors:
    return {name: np.concatenate([f[name] for f in row]) for name in row[0]}
