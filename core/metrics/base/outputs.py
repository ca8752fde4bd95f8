"""Outputs of a model over an image set: how they are kept on disk, and read again.

Memory does not grow with the number of images: outputs go into memory-mapped arrays. Nets with
large outputs (detectors, segmentation) keep as many images as `MAX_BYTES` allows. Where the shape
of an output depends on the image (boxes behind NonMaxSuppression), each image has room for the
largest one, and what is not filled is NaN.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from core.errors import InferenceFailed
from core.records import TensorSpec

Array = np.ndarray[Any, Any]
MAX_BYTES = 512 << 20


class Declared(Protocol):
    """What a model's file says of it; a `ModelSummary` does."""

    @property
    def digest(self) -> str:
        """Of the file."""
        ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """In their order."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """In their order."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names that it carries."""
        ...


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs of one file on one backend over a set: `folder`/I.npy, one row per image.

    Attributes:
        images: rows of each array.
        ragged: outputs whose shape depends on the image; what they do not fill is NaN.
        shared: outputs of which nothing shows that each row belongs to one image: the model was run
            on several at once and their first axis counts something else, such as boxes.
    """

    model: Declared
    backend: str
    folder: Path
    images: int
    ragged: frozenset[int] = frozenset()
    shared: frozenset[int] = frozenset()

    @property
    def size_bytes(self) -> int:
        """Of all arrays."""
        return sum(self.array(index).nbytes for index in range(len(self.model.outputs)))

    def array(self, index: int) -> Array:
        """Output `index`, (images, ...) float32, memory-mapped."""
        mapped: Array = np.load(self.folder / f"{index}.npy", mmap_mode="r")
        return mapped


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
