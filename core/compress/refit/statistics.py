"""What reconstruction asks of calibration data; `core.passes.base.Statistics` answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import onnx_ir as ir

T = TypeVar("T")
Graph = ir.Model
Tensors = dict[str, np.ndarray[Any, Any]]
Run = Callable[[Tensors], Tensors]


class Statistics(Protocol):
    """Calibration images, streamed in batches."""

    @property
    def count(self) -> int:
        """Images; 0 if there are none."""
        ...

    @property
    def studies(self) -> Path | None:
        """A folder for what was learnt from these very feeds; None where nothing may be kept."""
        ...

    def feeds(self) -> Iterator[Tensors]:
        """Preprocessed model inputs, batch by batch, in a fixed order."""
        ...

    def activations(self, graph: Graph, names: Sequence[str]) -> Iterator[Tensors]:
        """Values of the named tensors of `graph`, batch by batch over `feeds()`."""
        ...

    def runner(self, graph: Graph, names: Sequence[str]) -> Run:
        """A function from the inputs of any `graph`, not only the model's, to named tensors.

        Several threads may call it at once.
        """
        ...

    def remember(self, key: str, make: Callable[[], T]) -> T:
        """What `make` gives, kept with these images so that the next run need not make it again."""
        ...
