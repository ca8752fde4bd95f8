"""Calibration data for passes: feeds and activations, streamed through ONNX Runtime.

A few images are in memory at a time, however many there are.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from core import graph as graphs
from core.data import open_set
from core.data.admission import IMAGES_FILE
from core.errors import InferenceFailed, PassPrecondition
from core.graph import Graph
from core.passes.base import Tensors
from core.records import Preprocess, TensorSpec
from core.timings import LayerTimes

BATCH = 8
ERRORS_ONLY = 3
REMEMBERED = 2

T = TypeVar("T")

_remembered: OrderedDict[tuple[str, str, int, str], Any] = OrderedDict()
WARMUP = 3
RACE_TURNS = 24


class Calibration:
    """`Statistics` over an admitted image set."""

    def __init__(
        self,
        images: Path,
        specs: Sequence[TensorSpec],
        preprocess: Preprocess | None,
        batch: int = BATCH,
        timings: LayerTimes | None = None,
    ) -> None:
        """Open the set; `specs` are the inputs of the model that will be fed.

        Raises:
            DataError: what is wrong with the set.
        """
        self._set, self._images = open_set(images), images
        self._specs, self._preprocess, self._batch = tuple(specs), preprocess, batch
        self._timings = timings
        self.original: Graph | None = None

    @property
    def count(self) -> int:
        """Images that `feeds` goes over; a fixed batch leaves out what does not fill one."""
        batch = self._fixed_batch
        return self._set.count // batch * batch if self._set.count >= batch else self._set.count

    @property
    def timings(self) -> LayerTimes | None:
        """Measured layer times, if they were given."""
        return self._timings

    @property
    def studies(self) -> Path | None:
        """Beside an admitted set, and gone with it; None beside a file of the user's own."""
        folder = self._images.parent
        if not (folder / IMAGES_FILE).is_file():
            return None
        feeding = repr((self._specs, self._preprocess, self._batch))
        return folder / "studies" / hashlib.sha256(feeding.encode()).hexdigest()[:16]

    def feeds(self) -> Iterator[Tensors]:
        """Preprocessed inputs, in the order of the set.

        Raises:
            DataError: the images do not fit the model.
        """
        return self._set.feeds(self._specs, self._preprocess, self._batch, range(self.count))

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

    def runner(self, graph: Graph, names: Sequence[str]) -> Callable[[Tensors], Tensors]:
        """A function from the inputs of `graph` to the named tensors.

        Raises:
            InferenceFailed: ONNX Runtime refuses the graph.
        """
        return Probe(graph, names).run

    def remember(self, key: str, make: Callable[[], T]) -> T:
        """What `make` gives; the last few are kept as long as the process lives."""
        full = (str(self._images), repr(self._preprocess), self._batch, key)
        if full not in _remembered:
            _remembered[full] = make()
            while len(_remembered) > REMEMBERED:
                _remembered.popitem(last=False)
        _remembered.move_to_end(full)
        found: T = _remembered[full]
        return found

    def race(self, contestants: Sequence[Graph]) -> list[float]:
        """Seconds per run of each graph on one image and one thread, taken in turns.

        Raises:
            InferenceFailed: ONNX Runtime refuses a graph or fails.
        """
        names = [[value.name or "" for value in graph.graph.outputs] for graph in contestants]
        probes = [Probe(g, n, threads=1) for g, n in zip(contestants, names, strict=True)]
        feeds = next(self._set.feeds(self._specs, self._preprocess, 1, range(1)))
        times: list[list[float]] = [[] for _ in probes]
        for turn in range(WARMUP + RACE_TURNS):
            order = list(zip(probes, times, strict=True))
            for probe, found in order if turn % 2 else reversed(order):
                started = time.perf_counter()
                probe.run(feeds)
                found.append(time.perf_counter() - started)
        # What disturbs a run only ever makes it longer: the fastest runs tell the graphs apart.
        return [float(np.sort(t[WARMUP:])[: RACE_TURNS // 5].mean()) for t in times]

    @property
    def _fixed_batch(self) -> int:
        first = self._specs[0].shape[0] if self._specs and self._specs[0].shape else 1
        return first if isinstance(first, int) else 1


class Probe:
    """ONNX Runtime over a copy of a graph whose outputs are the tensors asked for."""

    def __init__(self, graph: Graph, names: Sequence[str], threads: int = 0) -> None:
        """Load the copy; 0 threads are all cores.

        Raises:
            InferenceFailed: ONNX Runtime refuses it.
        """
        self.names = list(names)
        if not self.names:
            return
        import onnxruntime

        copy = graph.clone()
        values = {value.name: value for node in copy.graph for value in node.outputs}
        values |= {value.name: value for value in copy.graph.outputs}
        copy.graph.outputs.clear()
        copy.graph.outputs.extend(values[name] for name in self.names)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                graphs.serialize(copy), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's exceptions share no base but this
            raise InferenceFailed(f"ONNX Runtime refuses the model: {error}") from None

    def run(self, feeds: Tensors) -> Tensors:
        """The values for one batch.

        Raises:
            InferenceFailed: ONNX Runtime failed.
        """
        if not self.names:
            return {}
        try:
            values = self._session.run(self.names, feeds)
        except Exception as error:  # as above
            raise InferenceFailed(f"ONNX Runtime failed: {error}") from None
        return dict(zip(self.names, values, strict=True))
