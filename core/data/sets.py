"""Image sets: samples, the class of each, and how they become feeds.

Nothing is held but names and labels; an image is read when its batch is asked for, so memory does
not grow with the number of images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.data.annotations import BOXES, LABELS, MASKS, Annotations, Boxes, Labels, Masks
from core.data.arrays import Rows
from core.data.preprocess import (
    Pixels,
    Size,
    check_channels,
    check_stored,
    default_preprocess,
    fit,
    image_input,
    model_size,
    normalised,
)
from core.errors import DataError
from core.records import Preprocess, TensorSpec

Tensors = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class ImageSet:
    """Images, or preprocessed tensors, with or without labels.

    Attributes:
        name: what messages call it.
        kind: "images" or "tensors".
        count: how many samples.
        labels: (count,) class of each; None if unlabelled.
        notes: what the user should know of how it was read.
    """

    name: str
    kind: str
    count: int
    labels: Labels | None
    notes: tuple[str, ...]
    _pixels: Callable[[int], Pixels]
    _rows: Mapping[str, Rows]
    _order: Sequence[int]
    _masks: Masks | None = None
    _boxes: Callable[[], Boxes] | None = None

    @property
    def annotated(self) -> str:
        """The kind of its annotations, which are not read for it; empty without any."""
        if self._boxes is not None:
            return BOXES
        if self._masks is not None:
            return MASKS
        return LABELS if self.labels is not None else ""

    @functools.cached_property
    def annotations(self) -> Annotations | None:
        """Labels, masks or boxes of its samples.

        Raises:
            DataError: a file of boxes that makes no sense.
        """
        if self._boxes is not None:
            return self._boxes()
        return self._masks if self._masks is not None else self.labels

    def pixels(self, index: int) -> Pixels:
        """Image `index` as it is in the set: (H, W, C) uint8, RGB or gray.

        Raises:
            DataError: no images here, or a damaged one.
        """
        return self._pixels(self._order[index])

    def sample(self, index: int) -> Tensors:
        """Sample `index` of a set of tensors, by input name, without a batch dimension."""
        return {name: rows.row(self._order[index]) for name, rows in self._rows.items()}

    def feeds(
        self,
        specs: Sequence[TensorSpec],
        preprocess: Preprocess | None,
        batch: int,
        indices: Sequence[int] | None = None,
    ) -> Iterator[Tensors]:
        """Model inputs in the order of `indices`, or of the set.

        A model with a fixed batch gets exactly that; the last batch is then filled up by repeating
        the last sample, and who reads the outputs keeps as many rows as there were samples.

        Args:
            specs: the model's inputs.
            preprocess: None guesses from the input's shape and type.
            batch: samples at a time where the model's batch is dynamic.
            indices: samples to use.

        Raises:
            DataError: the set does not fit the model.
        """
        chosen = range(self.count) if indices is None else indices
        size = _fixed_batch(specs) or max(1, batch)
        make = self._batch_of_images if self.kind == "images" else self._batch_of_tensors
        for start in range(0, len(chosen), size):
            part = [int(i) for i in chosen[start : start + size]]
            if _fixed_batch(specs):
                part += part[-1:] * (size - len(part))
            yield make(specs, preprocess, part)

    def _batch_of_images(
        self, specs: Sequence[TensorSpec], preprocess: Preprocess | None, part: list[int]
    ) -> Tensors:
        spec = image_input(specs)
        chosen = preprocess or default_preprocess(specs)
        check_channels(spec, chosen)
        wanted = model_size(spec, chosen)
        images = [self._fitted(i, spec, chosen, wanted) for i in part]
        if len({image.shape for image in images}) > 1:
            raise DataError(
                f"The images of {self.name} differ in size and the model takes any size.",
                "Give a resize in the preprocessing, or freeze the model's height and width.",
            )
        return {spec.name: normalised(np.stack(images), chosen, spec.dtype)}

    def _fitted(self, index: int, spec: TensorSpec, how: Preprocess, size: Size | None) -> Pixels:
        image = self.pixels(index)
        check_stored(image, spec, how)
        return fit(image, how, size)

    def _batch_of_tensors(
        self, specs: Sequence[TensorSpec], preprocess: Preprocess | None, part: list[int]
    ) -> Tensors:
        return {
            spec.name: np.stack([rows.row(self._order[i]) for i in part]).astype(
                spec.dtype, copy=False
            )
            for spec, rows in zip(specs, _matched(self.name, self._rows, specs), strict=True)
        }

    def part(self, indices: Sequence[int], name: str) -> ImageSet:
        """The set of some of the samples."""
        boxes = self._boxes
        return ImageSet(
            name=name,
            kind=self.kind,
            count=len(indices),
            labels=None if self.labels is None else self.labels[list(indices)],
            notes=self.notes,
            _pixels=self._pixels,
            _rows=self._rows,
            _order=[self._order[i] for i in indices],
            _masks=None if self._masks is None else self._masks.part(indices),
            _boxes=None if boxes is None else lambda: boxes().part(indices),
        )


def _fixed_batch(specs: Sequence[TensorSpec]) -> int:
    first = specs[0].shape[0] if specs and specs[0].shape else 0
    return first if isinstance(first, int) else 0


def _matched(name: str, arrays: Mapping[str, Rows], specs: Sequence[TensorSpec]) -> list[Rows]:
    if len(specs) == 1 and len(arrays) == 1:
        found = [next(iter(arrays.values()))]
    elif missing := [spec.name for spec in specs if spec.name not in arrays]:
        raise DataError(
            f"{name} has no array for the input {missing[0]!r}; it has: {', '.join(arrays)}."
        )
    else:
        found = [arrays[spec.name] for spec in specs]
    for spec, rows in zip(specs, found, strict=True):
        pairs = list(zip(spec.shape[1:], rows.shape[1:], strict=False))
        if len(spec.shape) != len(rows.shape) or any(
            isinstance(want, int) and want != have for want, have in pairs
        ):
            raise DataError(
                f"{name}: {rows.name!r} has the shape {list(rows.shape)}; the input "
                f"{spec.name!r} takes {list(spec.shape)}."
            )
    return found


def has_background_class(outputs: int, labels: Labels | None) -> bool:
    """Whether a net with one output more than there are classes counts a background as class 0.

    That is so for nets trained on ImageNet with 1001 outputs, scored on labels 0..999.
    """
    return outputs == 1001 and labels is not None and len(labels) > 0 and int(labels.max()) <= 999


def check_labels(outputs: int, labels: Labels | None) -> None:
    """See that a net with so many classes can be right about every label.

    Raises:
        DataError: a label counts further than the outputs.
    """
    if labels is None or not len(labels) or int(labels.max()) < outputs:
        return
    low, high = int(labels.min()), int(labels.max())
    remedy = "Give the labels as the model counts its classes, from 0."
    if low == 1 and high == outputs:
        remedy = "They seem to count from 1: subtract 1 from each."
    raise DataError(
        f"The labels go from {low} to {high:,}, but the model has {outputs:,} outputs "
        f"(0 to {outputs - 1:,}).",
        remedy,
    )
