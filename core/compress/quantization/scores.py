"""Points of top-1 accuracy that a graph loses, counted on labelled calibration images.

The images also gave the ranges, but no label took part in that, so what is counted is not fitted to
the labels. One image is 100 / N points; below ENOUGH images a count alone decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from core.calibration.services import Runtime, Tensors
from core.compress.quantization.images import CalibrationSplit, any_batch, singly
from core.data.sets import has_background_class

Array = np.ndarray[Any, Any]

LARGEST_IMAGES = 512
LARGEST_BYTES = 192 << 20
ENOUGH = 100
BY_CHANCE = 2.0  # times as often right as by chance: else the labels name other classes


class Scores:
    """Counts right answers on labelled images; one output, the scores of classes."""

    def __init__(
        self, graph: ir.Model, images: CalibrationSplit, labels: Array, backend: Runtime | None
    ) -> None:
        """Run the float graph.

        Args:
            graph: with logits as its one output.
            images: calibration images.
            labels: (count,) the class of each, in their order.
            backend: computes the answers; None: ONNX Runtime in this process.
        """
        self._images, self._backend = images, backend
        self._name = graph.graph.outputs[0].name or ""
        self._feeds, rows = _spread(images, len(labels), backend is not None and any_batch(graph))
        answers = self._answers(images.runner(graph, [self._name]))
        background = has_background_class(answers.shape[1], labels)
        self._wanted = labels[rows].astype(np.int64) + int(background)
        self._before = self._right(answers)
        self._chance = 100.0 / answers.shape[1]

    @property
    def images(self) -> int:
        """How many count."""
        return len(self._wanted)

    @property
    def count(self) -> bool:
        """Whether they are enough to count on, and the labels those of the net's classes."""
        return self.images >= ENOUGH and self._before > BY_CHANCE * self._chance

    def lost(self, graph: ir.Model) -> float:
        """Points of accuracy that `graph` loses.

        Raises:
            CoreError: the backend gave none.
        """
        if self._backend is None:
            answers = self._answers(self._images.runner(graph, [self._name]))
        else:
            answers = _flat([o[self._name] for o in self._backend(graph, self._feeds)])
        return self._before - self._right(answers)

    def _answers(self, run: Any) -> Array:
        return _flat([run(feeds)[self._name] for feeds in self._feeds])

    def _right(self, answers: Array) -> float:
        return float(100 * np.mean(answers.argmax(1) == self._wanted))


def _flat(outputs: Sequence[Array]) -> Array:
    return np.concatenate([o.reshape(len(o), -1) for o in outputs])


def _spread(images: CalibrationSplit, count: int, alone: bool) -> tuple[list[Tensors], Array]:
    """Feeds from all over the set within the bounds, and the places of their images in it."""
    feeds: list[Tensors] = []
    rows: list[int] = []
    size, seen = 0, 0
    every = max(1, -(-count // LARGEST_IMAGES))
    for index, batch in enumerate(images.every()):
        length = len(next(iter(batch.values())))
        size += sum(a.nbytes for a in batch.values()) if index % every == 0 else 0
        if index % every == 0 and size <= LARGEST_BYTES:
            feeds += singly(batch) if alone else [batch]
            rows += range(seen, seen + length)
        seen += length
    return feeds, np.asarray(rows)
