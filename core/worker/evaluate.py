"""Run a whole image set through a model and keep its outputs on disk.

Memory does not grow with the number of images: outputs go into memory-mapped arrays. Nets with
large outputs (detectors, segmentation) keep as many images as `MAX_BYTES` allows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.backends.base import Tensors
from core.data import open_set
from core.errors import InferenceFailed
from core.process import Progress
from core.records import Json, Preprocess, TensorSpec, from_json, optional

Array = np.ndarray[Any, Any]
Run = Callable[[Tensors], list[Array]]

BATCH = 32
MAX_BYTES = 512 << 20
PROGRESS_S = 0.25


def run(model: Run, args: Json, progress: Progress) -> Json:
    """Evaluate `args["images"]` samples of a set (0: all) into `args["out"]`/OUTPUT.npy.

    Raises:
        InferenceFailed: the backend failed on an image.
        DataError: the set does not fit the model.
    """
    images = open_set(Path(args["data"]))
    specs = from_json(tuple[TensorSpec, ...], args["inputs"])
    preprocess = optional(Preprocess, args["preprocess"])
    count = min(args["images"] or images.count, images.count)
    batch = _batch(model, next(images.feeds(specs, preprocess, 2, range(min(2, count)))), specs)
    keep = Keep(Path(args["out"]), count)
    told = time.monotonic()
    for outputs in _results(model, images.feeds(specs, preprocess, batch, range(count)), batch):
        if not keep.add(outputs):
            break
        if time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            progress({"done": keep.done, "total": count})
    return {"images": keep.close(), "batch": batch}


def _results(model: Run, feeds: Iterator[Tensors], batch: int) -> Iterator[list[Array]]:
    for feed in feeds:
        size = next(iter(feed.values())).shape[0]
        outputs = model(feed)
        if any(o.ndim == 0 or o.shape[0] != size for o in outputs) and batch > 1:
            raise InferenceFailed(f"It does not answer {size} images with {size} results.")
        yield outputs


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
    """Arrays on disk that grow image by image, up to a limit."""

    def __init__(self, folder: Path, count: int) -> None:
        """Keep outputs of `count` images in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._count = folder, count
        self._arrays: list[Any] = []
        self.done = 0

    def add(self, outputs: list[Array]) -> bool:
        """Store one batch; False when there is no room, or no need, for another."""
        if not self._arrays:
            self._open(outputs)
        rows = min(_rows(outputs), self._count - self.done)
        for kept, output in zip(self._arrays, outputs, strict=True):
            value = output if output.ndim and output.shape[0] >= rows else output[None]
            kept[self.done : self.done + rows] = value[:rows].reshape(rows, *kept.shape[1:])
        self.done += rows
        return self.done < self._count

    def _open(self, outputs: list[Array]) -> None:
        rows = _rows(outputs)
        row_bytes = max(1, sum(o.size // rows * 4 for o in outputs))
        self._count = max(1, min(self._count, MAX_BYTES // row_bytes))
        for index, output in enumerate(outputs):
            shape = (self._count, *(output.shape[1:] if output.ndim else ()))
            file = self._folder / f"{index}.npy"
            self._arrays.append(np.lib.format.open_memmap(file, "w+", np.float32, shape))

    def close(self) -> int:
        """Write everything out; the number of images kept."""
        for array in self._arrays:
            array.flush()
        self._arrays.clear()
        return self.done


def _rows(outputs: list[Array]) -> int:
    """Images in a batch of outputs: what their first axes agree on, else one."""
    sizes = {o.shape[0] if o.ndim else 1 for o in outputs}
    return sizes.pop() if len(sizes) == 1 else 1
