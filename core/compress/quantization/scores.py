"""Points of accuracy that a graph loses, counted on the calibration images as runs count them.

By the metric of the net's task (`core.tasks`): top-1, mIoU or mAP where the images have annotations
of its kind, else by what its answers, pixels or boxes keep of the original's. The images also gave
the ranges, but no annotation took part in that, so what is counted is not fitted to them.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from core.calibration.services import Array, Runtime, Tensors
from core.compress.quantization.images import CalibrationSplit, any_batch, images_of, singly
from core.data import kind_of, of_some
from core.data.annotations import LABELS
from core.errors import DataError
from core.graph import input_specs, labels, output_specs
from core.metrics.base import catalogue
from core.metrics.base.outputs import Keep, Outputs
from core.metrics.base.over_images import ShareOfImages
from core.records import TensorSpec
from core.tasks.base import Signature, Truth, task_of

LARGEST_IMAGES = 512
LARGEST_BYTES = 192 << 20
ENOUGH = 100  # images that are right or wrong as a whole: one is 100 / N points
BY_CHANCE = 2.0  # times the odds by chance, at least: else the annotations name other classes
LEAST_CHANCE = 0.01


@dataclass(frozen=True)
class _Interface:
    """The interface of the float graph and of all that are made of it."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...]
    digest: str = ""


@dataclass(frozen=True)
class _Measure:
    """A metric, what it compares with, and the float graph's own score in percent."""

    metric: str
    truth: Truth
    whole: float

    def value(self, predictions: Any) -> float:
        """Percent."""
        metric = catalogue()[self.metric]
        return metric.value(metric.statistics(predictions, self.truth.value))


class Scores:
    """Counts by one metric what graphs lose against the float one.

    Attributes:
        images: how many count.
        uncounted: why that is not the primary metric of the net's task: "no labels", "few", "by
            chance"; empty where it is.
    """

    def __init__(self, graph: ir.Model, images: CalibrationSplit, backend: Runtime | None) -> None:
        """Run the float graph.

        Args:
            graph: as a user runs it.
            images: calibration images.
            backend: computes the outputs that are scored; None: ONNX Runtime in this process.
        """
        self._images, self._backend = images, backend
        self._interface = _Interface(input_specs(graph), output_specs(graph), labels(graph))
        self._names = [spec.name for spec in self._interface.outputs]
        declared = task_of(Signature.of_model(self._interface))
        together = declared.annotations == LABELS and backend is None
        self._feeds, places = _spread(images, any_batch(graph) and not together)
        folder = Path(tempfile.mkdtemp(prefix="lathe-scores-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        run = images.runner(graph, self._names)
        reference = self._kept(map(run, self._feeds), folder, len(places))
        self.images = reference.images
        self._feeds = _first(self._feeds, self.images)
        self._task = task_of(Signature.of_outputs(reference))
        original = self._task.decode(reference, self.images, images.preprocess)
        primary, self.uncounted = self._primary(original, places[: self.images])
        self._measure = primary or _Measure(self._task.stand_in, Truth(original), 100.0)

    @property
    def counts_points(self) -> bool:
        """Whether the metric is in percent, so that points of it can be lost."""
        return catalogue()[self._measure.metric].unit == "%"

    @property
    def short(self) -> str:
        """What a person calls the metric."""
        return catalogue()[self._measure.metric].short

    def lost(self, graph: ir.Model) -> float:
        """Points that `graph` loses.

        Raises:
            CoreError: the backend gave no outputs.
        """
        if self._backend is None:
            made: Iterable[Tensors] = map(self._images.runner(graph, self._names), self._feeds)
        else:
            made = self._backend(graph, self._feeds)
        with tempfile.TemporaryDirectory(prefix="lathe-scores-") as folder:
            found = self._kept(made, Path(folder), self.images)
            if found.images < self.images:  # it says so much more that there was no room for it
                return math.inf
            after = self._task.decode(found, self.images, self._images.preprocess)
            return self._measure.whole - self._measure.value(after)

    def _primary(self, original: Any, places: Array) -> tuple[_Measure | None, str]:
        """By the annotations, where they allow it; else why not."""
        known, name = self._images.annotations, self._task.primary
        if known is None or kind_of(known) != self._task.annotations:
            return None, "no labels"
        if self.images < _enough(name):
            return None, "few"
        try:
            truth = self._task.truth(original, of_some(known, places.tolist()))
            found = _Measure(name, truth, 0.0)
            found = replace(found, whole=found.value(original))
        except DataError:
            return None, "by chance"
        chance = BY_CHANCE * _odds(max(truth.chance, LEAST_CHANCE))
        return (found, "") if _odds(found.whole / 100) > chance else (None, "by chance")

    def _kept(self, found: Iterable[Tensors], folder: Path, count: int) -> Outputs:
        """Outputs of so many images, batch by batch, on disk."""
        keep = Keep(folder, count)
        for values, feeds in zip(found, self._feeds, strict=False):
            if not keep.add([values[name] for name in self._names], images_of(feeds)):
                break
        done = keep.close()
        ragged, shared = frozenset(keep.ragged), frozenset(keep.shared)
        return Outputs(self._interface, "", folder, done, ragged, shared)


def _enough(name: str) -> int:
    """Images from which on the metric decides; one that counts within them says that itself."""
    metric = catalogue()[name]
    return ENOUGH if isinstance(metric, ShareOfImages) else metric.fewest


def _odds(share: float) -> float:
    return share / max(1 - share, 1e-9)


def _first(feeds: Sequence[Tensors], images: int) -> list[Tensors]:
    """As many of them as hold so many images."""
    before = np.cumsum([0, *map(images_of, feeds)])
    return [one for one, start in zip(feeds, before[:-1], strict=True) if start < images]


def _spread(images: CalibrationSplit, alone: bool) -> tuple[list[Tensors], Array]:
    """Feeds from all over the set within the bounds, and the places of their images in it."""
    feeds: list[Tensors] = []
    rows: list[int] = []
    size, seen = 0, 0
    every = max(1, -(-images.whole // LARGEST_IMAGES))
    for index, batch in enumerate(images.every()):
        length = images_of(batch)
        size += sum(a.nbytes for a in batch.values()) if index % every == 0 else 0
        if index % every == 0 and size <= LARGEST_BYTES:
            feeds += singly(batch) if alone else [batch]
            rows += range(seen, seen + length)
        seen += length
    return feeds, np.asarray(rows)
