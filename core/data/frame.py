"""Frame: the part of an image that becomes a model's input, and the scale that it comes in at.

Resizes and centred crops are an axis-aligned affine map, so a point (x, y) of the image lies in the
input at ((x - left) * width_in / width, (y - top) * height_in / height). Boxes keep their IoU under
it, whichever of both sides they are compared in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.data.preprocess import Size, channels_last, final_size, model_size
from core.records import Preprocess, TensorSpec


@dataclass(frozen=True, slots=True)
class Frame:
    """What of an image a model sees.

    Attributes:
        top, left, height, width: that part, in pixels of the image.
        size: (H, W) of the input.
    """

    top: float
    left: float
    height: float
    width: float
    size: Size

    @property
    def region(self) -> tuple[slice, slice]:
        """The rows and columns of the image that the part covers, in whole pixels."""
        rows = slice(round(self.top), round(self.top + self.height))
        return rows, slice(round(self.left), round(self.left + self.width))

    def to_input(self, corners: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Boxes (K, 4) left, top, right, bottom of the image, in pixels of the input."""
        origin = np.array([self.left, self.top] * 2)
        scale = np.array([self.size[1] / self.width, self.size[0] / self.height] * 2)
        return np.asarray((corners - origin) * scale)


def frame_of(image: Size, specs: Sequence[TensorSpec], preprocess: Preprocess | None) -> Frame:
    """The frame of an image of a size.

    Args:
        image: (H, W) in pixels.
        specs: the model's inputs; one that takes no images takes all of this one.
        preprocess: None stretches the image to the input.
    """
    how = preprocess or Preprocess(layout=_layout(specs))
    wanted = model_size(specs[0], how) if specs and len(specs[0].shape) == 4 else None
    resized = how.resize or image
    height, width = (
        min(side, most) for side, most in zip(resized, how.crop or resized, strict=True)
    )
    top, left = (resized[0] - height) // 2, (resized[1] - width) // 2
    down, across = image[0] / resized[0], image[1] / resized[1]
    size = wanted or final_size(image, how)
    return Frame(top * down, left * across, height * down, width * across, size)


def _layout(specs: Sequence[TensorSpec]) -> str:
    last = bool(specs) and len(specs[0].shape) == 4 and channels_last(specs[0].shape)
    return "NHWC" if last else "NCHW"
