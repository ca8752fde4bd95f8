"""Run a whole image set through a model and keep its outputs on disk.

Memory does not grow with the number of images: outputs go into memory-mapped arrays. Nets with
large outputs (detectors, segmentation) keep as many images as `MAX_BYTES` allows. Where the shape
of an output depends on the image (boxes behind NonMaxSuppression), each image has room for the
largest one, and what is not filled is NaN. An output whose first axis need not count the images,
though it is as long, is named: its rows are nobody's (`_shared`).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.backends.base import Tensors
from core.data import open_set
from core.devices.local import Progress
from core.errors import InferenceFailed
from core.records import TensorSpec
from core.worker.protocol import Evaluate, Evaluated

Array = np.ndarray[Any, Any]
Run = Callable[[Tensors], list[Array]]

BATCH = 32
MAX_BYTES = 512 << 20
PROGRESS_S = 0.25


def run(model: Run, asked: Evaluate, progress: Progress) -> Evaluated:
    """Evaluate a set into OUTPUT.npy in the folder that was asked for.

    Raises:
        InferenceFailed: the backend failed on an image.
        DataError: the set does not fit the model.
    """
    images = open_set(asked.data.path)
    specs, preprocess = asked.inputs, asked.preprocess
    count = min(asked.images or images.count, images.count)
    batch = _batch(model, next(images.feeds(specs, preprocess, 2, range(min(2, count)))), specs)
    unsure = _shared(specs, asked.outputs)
    told = time.monotonic()

    def kept(batch: int) -> Keep:
        nonlocal told
        keep = Keep(asked.out.path, count)
        for feed in images.feeds(specs, preprocess, batch, range(count)):
            outputs, size = model(feed), next(iter(feed.values())).shape[0]
            if batch > 1 and not _each_has_its_own(outputs, size):
                raise _RunTogether
            if not keep.add(outputs, size):
                break
            if time.monotonic() - told > PROGRESS_S:
                told = time.monotonic()
                progress({"done": keep.done, "total": count})
        return keep

    try:
        keep = kept(batch)
    except _RunTogether:
        batch, keep = 1, kept(1)
    return Evaluated(
        keep.close(), batch, tuple(sorted(keep.ragged)), tuple(sorted(keep.shared | unsure))
    )


class _RunTogether(Exception):
    """Images of one batch do not have an answer each."""


def _each_has_its_own(outputs: Sequence[Array], images: int) -> bool:
    """Whether the first axis of each output counts the images."""
    return all(o.ndim and o.shape[0] == images for o in outputs)


def _shared(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> frozenset[int]:
    """Of a model that takes several images at once, and only so: outputs that may not count them.

    One that is declared to be as long as the batch is taken at its word; boxes of all images
    together have a length that nobody knows beforehand. Where the batch is free, a trial has shown
    that each row is its image's, or images are run one by one.
    """
    batch = inputs[0].shape[0] if inputs and inputs[0].shape else 1
    if not isinstance(batch, int) or batch == 1:
        return frozenset()
    counts = (bool(spec.shape) and spec.shape[0] == batch for spec in outputs)
    return frozenset(index for index, own in enumerate(counts) if not own)


def _batch(model: Run, pair: Tensors, specs: Sequence[TensorSpec]) -> int:
    """How many images to run at a time: several only where that gives the answers of one by one."""
    if any(isinstance(spec.shape[0], int) for spec in specs if spec.shape):
        return 1
    try:
        together = model(pair)
        singly = [model({k: v[i : i + 1] for k, v in pair.items()}) for i in range(2)]
        same = all(
            np.allclose(np.asarray(t[i], np.float64), s[0], rtol=1e-3, atol=1e-4)
            for i, single in enumerate(singly)
            for t, s in zip(together, single, strict=True)
        )
    except (InferenceFailed, ValueError, IndexError, TypeError):
        return 1
    return BATCH if same else 1


class Keep:
    """Arrays on disk that grow image by image, up to a limit.

    Attributes:
        done: images so far.
        ragged: numbers of the outputs whose shape depends on the image.
        shared: numbers of those that a run on several images gave for all of them together.
    """

    def __init__(self, folder: Path, count: int) -> None:
        """Keep outputs of `count` images in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._count = folder, count
        self._arrays: list[Any] = []
        self.done = 0
        self.ragged: set[int] = set()
        self.shared: set[int] = set()

    def add(self, outputs: list[Array], images: int) -> bool:
        """Store what a run on so many images gave; False when no more are wanted or fit.

        An output whose first axis does not count the images is that of the one image; of a model
        that takes several at once, that of all of them, which none can be scored by.

        Raises:
            InferenceFailed: an output has another number of axes than before.
        """
        outputs = list(outputs)
        if images > 1:
            for index, output in enumerate(outputs):
                if not output.ndim or len(output) != images:
                    self.ragged.add(index)
                    self.shared.add(index)
                    outputs[index] = np.broadcast_to(output, (images, *output.shape))
        if not self._arrays:
            rows = [o if o.ndim and len(o) == images else o[None] for o in outputs]
            self._open([value.shape[1:] for value in rows])
        values = [self._rows(i, output, images) for i, output in enumerate(outputs)]
        for index, value in enumerate(values):
            self._fit(index, value.shape[1:])
        count = min(images, self._count - self.done)
        here = slice(self.done, self.done + count)
        for kept, value in zip(self._arrays, values, strict=True):
            if value.shape[1:] != kept.shape[1:]:
                kept[here] = np.nan
            kept[(here, *(slice(size) for size in value.shape[1:]))] = value[:count]
        self.done += count
        return self.done < self._count

    def _rows(self, index: int, output: Array, images: int) -> Array:
        """The output with a first axis that counts the images, by what was kept of it before.

        One box of one image looks like a row of numbers; with the next image it is told apart.
        """
        kept = self._arrays[index]
        if output.ndim + 1 == kept.ndim:
            return output[None]
        if output.ndim == kept.ndim and len(output) != images:
            self._arrays[index] = self._again(index, (1, *kept.shape[1:]), kept[:, None])
            return output[None]
        return output

    def _open(self, shapes: Sequence[tuple[int, ...]]) -> None:
        row_bytes = max(1, sum(4 * math.prod(shape) for shape in shapes))
        self._count = max(1, min(self._count, MAX_BYTES // row_bytes))
        self._arrays = [self._array(f"{i}.npy", shape) for i, shape in enumerate(shapes)]

    def _fit(self, index: int, shape: tuple[int, ...]) -> None:
        """Make room for a row of this shape."""
        kept = self._arrays[index]
        known = kept.shape[1:]
        if shape == known:
            return
        if len(shape) != len(known):
            raise InferenceFailed(
                f"Its output {index} has {len(known)} axes for one image and {len(shape)} for "
                "another: not compared here."
            )
        self.ragged.add(index)
        largest = tuple(map(max, shape, known))
        if largest == known:
            return
        others = sum(4 * math.prod(a.shape[1:]) for a in self._arrays) - 4 * math.prod(known)
        row_bytes = max(1, others + 4 * math.prod(largest))
        self._count = max(self.done + 1, min(self._count, MAX_BYTES // row_bytes))
        self._arrays[index] = self._again(index, largest, kept)

    def _again(self, index: int, shape: tuple[int, ...], kept: Any) -> Any:
        """The array with rows of another shape; what was kept stands in their corner."""
        made = self._array(f"{index}.new.npy", shape)
        made[: self.done] = np.nan
        made[(slice(self.done), *(slice(size) for size in kept.shape[1:]))] = kept[: self.done]
        os.replace(self._folder / f"{index}.new.npy", self._folder / f"{index}.npy")
        return made

    def _array(self, name: str, shape: tuple[int, ...]) -> Any:
        return np.lib.format.open_memmap(
            self._folder / name, "w+", np.float32, (self._count, *shape)
        )

    def close(self) -> int:
        """Write everything out; the number of images kept."""
        for array in self._arrays:
            array.flush()
        self._arrays.clear()
        return self.done
