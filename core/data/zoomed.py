"""Copies of images that a net has not seen, for nets that know the images themselves.

A net is far surer of the images that it was trained on than of others: of 500 training images of
CIFAR-10 a ResNet-20 has 100 % right at a mean confidence of 99.7 %, of test images 91.0 % at 96.9.
Enlarged by a twentieth, the training images give 93.4 % at 95.9: mirrored or shifted they do not,
as training does both. What noise an answer bears is told by such confidence, so it is told on the
copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

ZOOM = 1 / 0.95
SMALLEST_SIDE = 8  # pixels
MOST_CHANNELS = 16
SURE = 0.98  # mean confidence in the first class, from which on a net seems to know the images
RIGHT = 0.97  # the same of right answers, where they are known
FEWEST, FEWEST_RIGHT = 16, 64  # images that say anything about either


def seems_familiar(confidence: float, right: float | None, images: int) -> bool:
    """Whether a net seems to have been trained on the images that it answers like that.

    One that is simply good at its task seems so too; its copies are answered as well, and nothing
    changes.

    Args:
        confidence: mean probability of the first class, 0 .. 1.
        right: share of right answers; None without labels.
        images: how many of them.
    """
    is_right = right is not None and right >= RIGHT and images >= FEWEST_RIGHT
    return is_right or (confidence >= SURE and images >= FEWEST)


def zoomed(feeds: Mapping[str, Array]) -> dict[str, Array] | None:
    """Each image enlarged about its middle, of the same size; None where an input is no image.

    Args:
        feeds: inputs of a net, each (images, channels, height, width) or with the channels last.
    """
    found = {}
    for name, batch in feeds.items():
        axis = _channel_axis(batch)
        if axis is None:
            return None
        planes = np.moveaxis(batch, axis, 1)
        made = np.empty_like(planes)
        for image, copy in zip(planes, made, strict=True):
            for plane, out in zip(image, copy, strict=True):
                out[:] = _enlarged(plane)
        found[name] = np.ascontiguousarray(np.moveaxis(made, 1, axis))
    return found


def _channel_axis(batch: Array) -> int | None:
    """Where the channels are in a batch of images: first or last, whichever are fewer."""
    if batch.ndim != 4 or batch.dtype != np.float32:
        return None
    axis = 1 if batch.shape[1] <= batch.shape[3] else 3
    sides = [batch.shape[a] for a in (1, 2, 3) if a != axis]
    fits = min(sides) >= SMALLEST_SIDE and batch.shape[axis] <= MOST_CHANNELS
    return axis if fits else None


def _enlarged(plane: Array) -> Array:
    import cv2

    height, width = plane.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    turn = cv2.getRotationMatrix2D(middle, 0, ZOOM)
    return np.asarray(
        cv2.warpAffine(
            np.ascontiguousarray(plane), turn, (width, height),
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
        )
    )  # fmt: skip
