"""`Services` for tests, whole: given batches on ONNX Runtime, and a clock where one is set."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from core.calibration import Probe
from core.calibration.services import (
    Graph,
    Lap,
    Race,
    Run,
    Runtime,
    Services,
    T,
    Tensors,
)
from core.data import Annotations
from core.errors import BackendUnavailable
from core.records import Preprocess
from core.timings import LayerTimes


class FakeServices:
    """A test gives `batches`, or a class of its own that overrides `feeds`.

    Attributes:
        race: what times graphs, with the name of the backend; None for no clock.
        runtimes: backend -> what runs graphs on it.
        threads: of the sessions, 0 for all cores.
    """

    race: Callable[..., Sequence[Lap]] | None = None
    threads = 1

    original: Graph | None = None
    integers_on: str = ""
    count: int = 0
    batch: int = 1
    annotations: Annotations | None = None
    preprocess: Preprocess | None = None
    timings: LayerTimes | None = None
    studies: Path | None = None

    def __init__(self, batches: Sequence[Tensors] = ()) -> None:
        self.batches = batches
        self.runtimes: dict[str, Runtime] = {}
        self._kept: dict[str, Any] = {}
        sizes = [len(next(iter(batch.values()))) for batch in batches]
        if sizes:
            self.count, self.batch = sum(sizes), sizes[0]

    def feeds(self) -> Iterator[Tensors]:
        return iter(self.batches)

    def made_up(self) -> Services | None:
        return None

    def activations(self, graph: Graph, names: Sequence[str]) -> Iterator[Tensors]:
        fed = {value.name for value in graph.graph.inputs}
        run = self.runner(graph, [name for name in names if name not in fed])
        for feeds in self.feeds():
            yield run(feeds) | {name: feeds[name] for name in names if name in fed}

    def runner(self, graph: Graph, names: Sequence[str]) -> Run:
        return Probe(graph, names, threads=self.threads).run

    def runner_as_written(self, graph: Graph, names: Sequence[str]) -> Run:
        return Probe(graph, names, threads=self.threads, as_written=True).run

    def elsewhere(self, backend: str) -> Runtime:
        if backend not in self.runtimes:
            raise BackendUnavailable(f"{backend} is not installed.")
        return self.runtimes[backend]

    def stopwatch(self, backend: str) -> Race | None:
        return functools.partial(self.race, backend=backend) if self.race is not None else None

    def remember(self, key: str, make: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]
