"""Images made up where there are none: smooth noise of all scales, besides plain black and white.

Each is a sum of random grids of 2, 4, 8, ... cells a side, stretched bilinearly, each half as
strong as the one before: natural images have about that spectrum (amplitude as 1 / frequency).
Nothing in them is an object of any class.

Source: Field 1987, Journal of the Optical Society of America A 4(12) (the spectrum).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.data.preprocess import COLORS, Pixels, default_preprocess, image_input, model_size
from core.data.sets import ImageSet
from core.records import Preprocess, TensorSpec

Array = np.ndarray[Any, Any]

SIDE = 224  # where the model takes any size
PLAIN = (0, 255)


def made_up_images(
    specs: Sequence[TensorSpec], preprocess: Preprocess | None, count: int
) -> ImageSet:
    """`count` images, the same ones each time; the first are black and white.

    Args:
        specs: the inputs of the model that they are for.
        preprocess: None guesses from the input.
        count: how many.

    Raises:
        DataError: the model does not take images.
    """
    spec = image_input(specs)
    chosen = preprocess or default_preprocess(specs)
    size = model_size(spec, chosen) or chosen.resize or (SIDE, SIDE)
    stored = spec.shape[3 if chosen.layout == "NHWC" else 1]
    channels = COLORS[chosen.color] or (stored if isinstance(stored, int) else 1)

    def pixels(index: int) -> Pixels:
        if index < len(PLAIN):
            return np.full((*size, channels), PLAIN[index], np.uint8)
        return _smooth(size, channels, np.random.default_rng(index))

    return ImageSet("made-up images", "images", count, None, (), pixels, {}, range(count))


def _smooth(size: tuple[int, int], channels: int, random: np.random.Generator) -> Pixels:
    field = np.zeros((*size, channels))
    cells, strength = 2, 1.0
    while cells <= min(size):
        grid = random.standard_normal((cells, cells, channels))
        grid += random.standard_normal((cells, cells, 1))  # colours go together for the most part
        field += strength * _stretched(grid, size)
        cells, strength = 2 * cells, strength / 2
    spread = max(float(field.std()), 1e-9)
    contrast, light = random.uniform(25, 75), random.uniform(70, 185)
    values = (field - field.mean()) / spread * contrast + light
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def _stretched(grid: Array, size: tuple[int, int]) -> Array:
    """Bilinear, corner to corner."""
    for axis, length in enumerate(size):
        at = np.linspace(0, grid.shape[axis] - 1, length)
        low = np.minimum(at.astype(int), grid.shape[axis] - 2)
        share = (at - low).reshape([-1 if i == axis else 1 for i in range(grid.ndim)])
        grid = np.take(grid, low, axis) * (1 - share) + np.take(grid, low + 1, axis) * share
    return grid
