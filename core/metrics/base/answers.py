"""Answers of a classifier: the class of each image, and which of them changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.metrics.base.intervals import Interval, paired_difference, wilson
from core.records import Json

Array = np.ndarray[Any, Any]
FLIPS_KEPT = 200


def choices(scores: Array) -> Array:
    """The class of each image; -1, which is never right, where a score is not a number.

    Args:
        scores: (images, classes).
    """
    return np.where(np.isnan(scores).any(1), -1, scores.argmax(1))


def share(hits: Array) -> Interval:
    """The share of images that hit, in percent; `hits` is (images,) bool."""
    return wilson(int(hits.sum()), len(hits))


def change(before: Array, after: Array) -> Interval:
    """The paired change of the share, in points; both are (images,) bool."""
    won, lost = int((after & ~before).sum()), int((before & ~after).sum())
    return paired_difference(won, lost, len(after))


def flips(same: Array) -> Json:
    """How many images changed, and the first of them."""
    flipped = np.flatnonzero(~same)
    return {"flips": len(flipped), "flipped": flipped[:FLIPS_KEPT].tolist()}
