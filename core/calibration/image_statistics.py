"""Calibration data for passes: feeds and activations, streamed through ONNX Runtime.

A few images are in memory at a time, however many there are.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from core.calibration.graph_timing import race
from core.calibration.ort_runner import Probe
from core.calibration.remote_runner import Elsewhere
from core.calibration.services import Lap, Race, Run, Services, Tensors
from core.data import Annotations, ImageSet, of_some, open_set
from core.data.admission import IMAGES_FILE
from core.devices.local import lock
from core.errors import PassPrecondition
from core.graph import Graph
from core.records import Preprocess, TensorSpec
from core.timings import LayerTimes

BATCH = 8
REMEMBERED = 2

T = TypeVar("T")
Alone = Callable[[], AbstractContextManager[None]]

_remembered: OrderedDict[tuple[str, str, int, str], Any] = OrderedDict()


class Calibration:
    """`Services` over an admitted image set."""

    def __init__(
        self,
        images: Path | ImageSet,
        specs: Sequence[TensorSpec],
        preprocess: Preprocess | None,
        batch: int = BATCH,
        timings: LayerTimes | None = None,
        alone: Alone = lock.alone,
    ) -> None:
        """Open the set; `specs` are the inputs of the model that will be fed.

        Races are run inside of `alone()`.

        Raises:
            DataError: what is wrong with the set.
        """
        self._set = images if isinstance(images, ImageSet) else open_set(images)
        self._images = self._set.name if isinstance(images, ImageSet) else str(images)
        self._folder = None if isinstance(images, ImageSet) else images.parent
        self._specs, self._preprocess, self._batch = tuple(specs), preprocess, batch
        self._timings, self._alone = timings, alone
        self.original: Graph | None = None
        self.integers_on = ""

    @property
    def count(self) -> int:
        """Images that `feeds` goes over; a fixed batch leaves out what does not fill one."""
        batch = self._fixed_batch
        return self._set.count // batch * batch if self._set.count >= batch else self._set.count

    @property
    def preprocess(self) -> Preprocess | None:
        """How pixels become inputs, as it was given."""
        return self._preprocess

    @property
    def batch(self) -> int:
        """Images in one of the `feeds`: as many as the model takes at once, if it says."""
        first = self._specs[0].shape[0] if self._specs and self._specs[0].shape else None
        return first if isinstance(first, int) else self._batch

    @property
    def annotations(self) -> Annotations | None:
        """Those of the images that `feeds` goes over, as the set has them; read for this.

        Raises:
            DataError: a file of boxes that makes no sense.
        """
        known = self._set.annotations
        return None if known is None else of_some(known, range(self.count))

    @property
    def timings(self) -> LayerTimes | None:
        """Measured layer times, if they were given."""
        return self._timings

    @property
    def studies(self) -> Path | None:
        """Beside an admitted set, and gone with it; None beside a file of the user's own."""
        folder = self._folder
        if folder is None or not (folder / IMAGES_FILE).is_file():
            return None
        feeding = repr((self._specs, self._preprocess, self._batch))
        return folder / "studies" / hashlib.sha256(feeding.encode()).hexdigest()[:16]

    def feeds(self) -> Iterator[Tensors]:
        """Preprocessed inputs, in the order of the set.

        Raises:
            DataError: the images do not fit the model.
        """
        return self._set.feeds(self._specs, self._preprocess, self._batch, range(self.count))

    def first(self) -> Tensors:
        """The inputs of one run: of one image, or of as many as the model takes at once.

        Raises:
            DataError: the images do not fit the model.
        """
        return next(self._set.feeds(self._specs, self._preprocess, 1, range(1)))

    def activations(self, graph: Graph, names: Sequence[str]) -> Iterator[Tensors]:
        """Values of the named tensors, batch by batch.

        Raises:
            PassPrecondition: `graph` has no tensor of that name.
            InferenceFailed: ONNX Runtime refuses the graph or fails.
        """
        computed = {value.name for node in graph.graph for value in node.outputs}
        fed = {spec.name for spec in self._specs}
        if strange := [name for name in names if name not in computed | fed]:
            raise PassPrecondition(f"The graph computes no tensor {strange[0]!r}.")
        wanted = [name for name in dict.fromkeys(names) if name not in fed]
        session = Probe(graph, wanted)
        for feeds in self.feeds():
            yield session.run(feeds) | {name: feeds[name] for name in names if name in fed}

    def runner(self, graph: Graph, names: Sequence[str]) -> Run:
        """A function from the inputs of `graph` to the named tensors.

        Raises:
            InferenceFailed: ONNX Runtime refuses the graph.
        """
        return Probe(graph, names).run

    def runner_as_written(self, graph: Graph, names: Sequence[str]) -> Run:
        """As `runner`, but QDQ is computed in float, whatever ONNX Runtime has kernels for.

        Raises:
            InferenceFailed: ONNX Runtime refuses the graph.
        """
        return Probe(graph, names, as_written=True).run

    def made_up(self) -> Services | None:
        """None: here are real images."""
        return None

    def elsewhere(self, backend: str) -> Elsewhere:
        """Runs graphs on this backend; to be closed.

        Raises:
            BackendUnavailable: it is not here.
        """
        return Elsewhere(backend)

    def remember(self, key: str, make: Callable[[], T]) -> T:
        """What `make` gives; the last few are kept as long as the process lives."""
        full = (self._images, repr(self._preprocess), self._batch, key)
        if full not in _remembered:
            _remembered[full] = make()
            while len(_remembered) > REMEMBERED:
                _remembered.popitem(last=False)
        _remembered.move_to_end(full)
        found: T = _remembered[full]
        return found

    def stopwatch(self, backend: str) -> Race:
        """Times graphs in turns on this backend, on one image and one thread."""

        def timed(
            contestants: Sequence[Graph], sessions: int = 1, brief: bool = False
        ) -> list[Lap]:
            return race(contestants, self.first(), sessions, backend, self._alone, brief)

        return timed

    @property
    def _fixed_batch(self) -> int:
        first = self._specs[0].shape[0] if self._specs and self._specs[0].shape else 1
        return first if isinstance(first, int) else 1
