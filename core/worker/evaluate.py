"""Run a whole image set through a model and keep its outputs on disk.

What is kept, and how much of it, says `core.metrics.base.outputs.Keep`. An output whose first axis
need not count the images, though it is as long, is named: its rows are nobody's (`_shared`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core.backends.base import Tensors
from core.data import open_set
from core.devices.local import Progress
from core.errors import InferenceFailed
from core.metrics.base.outputs import Keep
from core.records import TensorSpec
from core.worker.protocol import Evaluate, Evaluated

Array = np.ndarray[Any, Any]
Run = Callable[[Tensors], list[Array]]

BATCH = 32
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
