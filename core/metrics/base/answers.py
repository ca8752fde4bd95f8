"""Answers of a classifier: the class of each image, and which of them changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.records import Json

Array = np.ndarray[Any, Any]
FLIPS_KEPT = 200


def choices(scores: Array) -> Array:
    """The class of each image; -1, which is never right, where a score is not a number.

    Args:
        scores: (images, classes).
    """
    return np.where(np.isnan(scores).any(1), -1, scores.argmax(1))


def flips(same: Array) -> Json:
    """How many images changed, and the first of them."""
    flipped = np.flatnonzero(~same)
    return {"flips": len(flipped), "flipped": flipped[:FLIPS_KEPT].tolist()}
