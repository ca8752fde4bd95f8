"""Port to the running side: what a pass may ask of images, of runtimes and of their clocks.

`Services` is the one protocol. `Calibration` answers it over an admitted image set, `Unseen` over a
model without images, and `NoServices`, here, where there is nothing at all. It lies below the
passes and their algorithms, which import nothing else of the running side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import onnx_ir as ir

from core.data import Annotations
from core.errors import BackendUnavailable, PassPrecondition
from core.records import Preprocess
from core.timings import LayerTimes

T = TypeVar("T")
Graph = ir.Model
Array = np.ndarray[Any, Any]
Tensors = dict[str, Array]
Run = Callable[[Tensors], Tensors]


@dataclass(frozen=True, slots=True)
class Lap:
    """One graph's part in a race.

    Attributes:
        seconds: shortest run of each block; block i of all graphs was taken at the same time.
        reason: why there are none.
    """

    seconds: tuple[float, ...] = ()
    reason: str = ""

    @property
    def typical(self) -> float:
        """Seconds of a run: the median over blocks; infinite where it cannot run."""
        return float(np.median(self.seconds)) if self.seconds else math.inf


class Race(Protocol):
    """Times whole graphs on one backend, on one image and one thread, in turns."""

    def __call__(
        self, contestants: Sequence[Graph], sessions: int = 1, brief: bool = False
    ) -> Sequence[Lap]:
        """A lap for each graph.

        Args:
            contestants: the graphs; the first is what the others are compared with.
            sessions: with more of them the answer is surer.
            brief: a few runs of each, which tell plain differences apart and decide nothing.

        Raises:
            BackendUnavailable: the backend is not here.
            DataError: no input can be made up.
        """
        ...


class Runtime(Protocol):
    """Runs whole graphs on one backend, in its default precision and on all cores.

    Attributes:
        label: what a person calls the backend.
    """

    label: str

    def __call__(self, graph: Graph, feeds: Sequence[Tensors]) -> list[Tensors]:
        """The outputs of `graph` for each feed.

        Raises:
            CoreError: the backend refuses the graph, fails, or ends its process.
        """
        ...

    def close(self) -> None:
        """End what runs them."""
        ...


class Services(Protocol):
    """What a pass is given; memory does not grow with the number of images.

    Attributes:
        original: the model before the first step of the recipe, which nobody changes; set by the
            runner, None outside of one.
        integers_on: the backend whose integer kernels will run what the present step leaves; set by
            the runner, empty where the recipe stays float.
    """

    original: Graph | None
    integers_on: str

    @property
    def count(self) -> int:
        """Calibration images; 0 if there are none."""
        ...

    @property
    def batch(self) -> int:
        """Images in one of the `feeds`."""
        ...

    @property
    def annotations(self) -> Annotations | None:
        """Labels, masks or boxes of the images that `feeds` goes over, if the set has any."""
        ...

    @property
    def preprocess(self) -> Preprocess | None:
        """How pixels become inputs; None where nobody said, so that the feeds are a guess."""
        ...

    @property
    def timings(self) -> LayerTimes | None:
        """Measured layer times on the backend that the recipe is for; None if there are none."""
        ...

    @property
    def studies(self) -> Path | None:
        """A folder for what was learnt from these very feeds; None where nothing may be kept."""
        ...

    def feeds(self) -> Iterator[Tensors]:
        """Preprocessed model inputs, a few images at a time, in a fixed order."""
        ...

    def made_up(self) -> Services | None:
        """Made-up images to stand for missing ones; None if there are real ones, or none fit."""
        ...

    def activations(self, graph: Graph, names: Sequence[str]) -> Iterator[Tensors]:
        """Values of the named tensors of `graph`, batch by batch over `feeds()`."""
        ...

    def runner(self, graph: Graph, names: Sequence[str]) -> Run:
        """A function from the inputs of any `graph`, a piece of the model too, to named tensors.

        Several threads may call it at once.
        """
        ...

    def runner_as_written(self, graph: Graph, names: Sequence[str]) -> Run:
        """As `runner`, but quantized graphs are computed in float, as the file says."""
        ...

    def elsewhere(self, backend: str) -> Runtime:
        """Runs whole graphs on this backend, in a process of its own; to be closed.

        Raises:
            BackendUnavailable: it is not here, or nothing can be run.
        """
        ...

    def stopwatch(self, backend: str) -> Race | None:
        """Times whole graphs on this backend; None where nothing can be timed."""
        ...

    def remember(self, key: str, make: Callable[[], T]) -> T:
        """What `make` gives, kept with these images so that the next run need not make it again."""
        ...


class NoServices:
    """Nothing at all to ask: what a pass gets where nothing is given or nothing is needed."""

    def __init__(self, timings: LayerTimes | None = None) -> None:
        """Layer times may be there without images."""
        self.original: Graph | None = None
        self.integers_on = ""
        self._timings = timings

    @property
    def count(self) -> int:
        """Always 0."""
        return 0

    @property
    def batch(self) -> int:
        """One made-up image at a time."""
        return 1

    @property
    def annotations(self) -> Annotations | None:
        """There is no image."""
        return None

    @property
    def preprocess(self) -> Preprocess | None:
        """Nothing is fed."""
        return None

    @property
    def timings(self) -> LayerTimes | None:
        """The layer times that it was made with."""
        return self._timings

    @property
    def studies(self) -> Path | None:
        """Nothing is learnt."""
        return None

    def feeds(self) -> Iterator[Tensors]:
        """Nothing."""
        return iter(())

    def made_up(self) -> Services | None:
        """Nothing is known of the inputs."""
        return None

    def activations(self, graph: Graph, names: Sequence[str]) -> Iterator[Tensors]:
        """Nothing."""
        return iter(())

    def runner(self, graph: Graph, names: Sequence[str]) -> Run:
        """Nothing to run on.

        Raises:
            PassPrecondition: always; ask `count` first.
        """
        raise PassPrecondition("Without calibration images nothing can be run.")

    def runner_as_written(self, graph: Graph, names: Sequence[str]) -> Run:
        """As `runner`.

        Raises:
            PassPrecondition: always.
        """
        return self.runner(graph, names)

    def elsewhere(self, backend: str) -> Runtime:
        """No backend.

        Raises:
            BackendUnavailable: always.
        """
        raise BackendUnavailable(f"Nothing can be run on {backend} here.")

    def stopwatch(self, backend: str) -> Race | None:
        """No clock."""
        return None

    def remember(self, key: str, make: Callable[[], T]) -> T:
        """Made each time."""
        return make()
