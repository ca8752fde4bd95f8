"""How pixels become a model's input, told by labelled images: what scores best is most likely it.

A file does not say it, and a wrong guess looks like a bad model: everything runs, and less is
right. So each preset answers some hundred labelled images on ONNX Runtime.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.data import PRESETS, fitted, open_set, same_pixels, thinned
from core.errors import DataError, StoreError
from core.measure import Cancelled, Scorer, Setting, Source, Verifier, evaluate
from core.measure.verify import REFERENCE
from core.records import ModelSummary, Preprocess, to_json
from core.runs.images import ImageSource
from core.runs.on_demand import OnDemand, Shelf, Step, Turns, key_of

IMAGES = 200
LIMIT_S = 60.0
ALL_CORES = 0


@dataclass(frozen=True, slots=True)
class PixelTrial:
    """What a preset scored: percent right among `images`, with its 95 % interval."""

    name: str
    preprocess: Preprocess
    top1: float
    low: float
    high: float
    images: int


class PixelTrials:
    """Trials on demand: who asks the same at once shares the answer. Thread-safe."""

    def __init__(self, caches: Path) -> None:
        """`caches` is where outputs of whole sets are kept."""
        self._caches = caches
        self._turns = Turns(wanted=lambda: False)  # it ends in time by itself
        shelf: Shelf[tuple[PixelTrial, ...]] = Shelf(tuple[PixelTrial, ...])
        self._trials = OnDemand(self._turns, shelf, stands_s=0.0)

    def get(
        self, model: ModelSummary, images: ImageSource, visitor: str = ""
    ) -> tuple[PixelTrial, ...]:
        """What `trials` finds, in this visitor's turn.

        Raises:
            CoreError: why it cannot be told; the next call tries again.
        """

        def tried(_: Step) -> tuple[PixelTrial, ...]:
            return trials(model, images, self._caches)

        key = key_of(model.digest, to_json(model.preprocess), images.digest)
        found = self._trials.wait(key, tried, visitor)
        if found is None:
            raise StoreError("The server is being stopped.", "Try again later.")
        return found

    def close(self) -> None:
        """Begin nothing more."""
        self._turns.close()


def presets(model: ModelSummary) -> Mapping[str, Preprocess]:
    """Those that make different numbers of a pixel that the model's input can hold."""
    found: dict[str, Preprocess] = {}
    for name, preset in PRESETS.items():
        one = fitted(preset, model.inputs)
        colored = one.color == "gray" and len(one.mean) > 1
        if colored or (one.dtype == "uint8" and not _is_raw(one)):
            continue
        if not any(same_pixels(one, other) for other in found.values()):
            found[name] = one
    return found


def _is_raw(preset: Preprocess) -> bool:
    return preset.scale == 1 and not any(preset.mean) and all(s == 1 for s in preset.std)


def trials(
    model: ModelSummary, images: ImageSource, caches: Path, limit_s: float = LIMIT_S
) -> tuple[PixelTrial, ...]:
    """What each preset scores on labelled images, best first.

    Args:
        model: a classifier that takes images.
        images: a labelled set.
        caches: where outputs of whole sets are kept.
        limit_s: after which it ends, also where it waits for another measurement.

    Raises:
        CoreError: the images have no labels, the model cannot run or is no classifier, or the
            time is over.
    """
    few = None if images.path is None else thinned(images.path, images.digest, IMAGES)
    labels = None if few is None else open_set(few.path).labels
    if few is None or labels is None:
        raise DataError("Only labelled images can tell how pixels become the input.")
    until = time.monotonic() + limit_s
    try:
        found = [
            _trial(name, model, Source(few.path, few.digest, preprocess), labels, caches, until)
            for name, preprocess in presets(model).items()
        ]
    except Cancelled:
        raise DataError(
            f"It takes more than {limit_s:.0f} s, or another measurement is running.",
            "Try again later.",
        ) from None
    return tuple(sorted(found, key=lambda trial: -trial.top1))


def _trial(
    name: str,
    model: ModelSummary,
    source: Source,
    labels: np.ndarray[Any, Any],
    caches: Path,
    until: float,
) -> PixelTrial:
    def late() -> bool:
        return time.monotonic() > until

    outputs = evaluate(
        model,
        Setting.of(REFERENCE, ALL_CORES),
        source,
        Verifier(source, late),
        caches,
        _nobody,
        late,
    )
    rows = Scorer(labels, source.digest).rows(outputs, outputs)
    top1 = next((row for row in rows if row.metric == "top1"), None)
    if top1 is None or top1.value is None or top1.low is None or top1.high is None:
        if top1 is not None and top1.reason:
            raise DataError(top1.reason)
        raise DataError("This model gives no scores of classes to compare with the labels.")
    preprocess = source.preprocess or Preprocess()
    return PixelTrial(name, preprocess, top1.value, top1.low, top1.high, outputs.images)


def _nobody(_: object) -> None:
    """Hears of the progress."""
