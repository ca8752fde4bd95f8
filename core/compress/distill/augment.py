"""More images out of few: flipped, turned, cropped, recoloured, mixed with each other.

The teacher answers every image, so nothing has to stay true of a label: what counts is that the
student meets the teacher on many points near and between the images. How far an image is bent is
drawn for each one, so some of them stay nearly as they are.

Source: Zhang et al. 2018, arXiv:1710.09412 (mixup); Yun et al. 2019, arXiv:1905.04899 (CutMix);
Beyer et al. 2022, arXiv:2106.05237 (the same bent view for teacher and student).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from core.compress.distill.operators import Tensor

TURN = math.radians(25)
SHIFT = 0.2
ZOOM = 0.4
COLOUR = 0.5
MIXED = 0.5  # share of the batches
COLOURS = (1, 3)


class Augment:
    """A random function over batches; the same seed gives the same sequence."""

    def __init__(self, images: Mapping[str, Tensor], seed: int) -> None:
        """Take the layout and the range of each input from the `images` that there are."""
        import torch

        self._torch: Any = torch
        self._random = torch.Generator().manual_seed(seed)
        self._channels = {name: _channel_axis(x) for name, x in images.items()}
        self._range = {
            name: (float(x.min()), float(x.max()))
            for name, x in images.items()
            if x.is_floating_point()
        }

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Another view of the batch."""
        return {name: self._input(name, x) for name, x in batch.items()}

    def _input(self, name: str, x: Tensor) -> Tensor:
        axis = self._channels[name]
        if name not in self._range or axis is None:
            return x
        planes = x if axis == 1 else x.permute(0, 3, 1, 2)
        planes = self._colour(self._bend(planes), *self._range[name])
        planes = self._mix(planes)
        return planes if axis == 1 else planes.permute(0, 2, 3, 1)

    def _uniform(self, count: int, low: float = -1.0, high: float = 1.0) -> Tensor:
        return self._torch.rand(count, generator=self._random) * (high - low) + low

    def _bend(self, x: Tensor) -> Tensor:
        """Flip, turn, zoom and shift; what comes in from outside mirrors what is inside."""
        torch, count = self._torch, x.shape[0]
        strength = self._uniform(count, 0.0)
        angle, zoom = self._uniform(count) * TURN * strength, self._uniform(count) * ZOOM * strength
        scale = torch.exp(zoom)
        flip = self._uniform(count).sign()
        ratio = x.shape[2] / x.shape[3]
        matrix = torch.zeros(count, 2, 3)
        matrix[:, 0, 0], matrix[:, 0, 1] = flip * scale * angle.cos(), -scale * angle.sin() * ratio
        matrix[:, 1, 0], matrix[:, 1, 1] = flip * scale * angle.sin() / ratio, scale * angle.cos()
        matrix[:, :, 2] = (self._uniform(2 * count) * SHIFT).reshape(count, 2) * strength[:, None]
        grid = torch.nn.functional.affine_grid(matrix, list(x.shape), align_corners=False)
        return torch.nn.functional.grid_sample(
            x, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )

    def _colour(self, x: Tensor, low: float, high: float) -> Tensor:
        count = x.shape[0]
        strength = COLOUR * self._uniform(count, 0.0)
        middle = x.mean((1, 2, 3), keepdim=True)
        contrast = (1 + self._uniform(count) * strength).reshape(-1, 1, 1, 1)
        light = (self._uniform(count) * strength * (high - low) / 4).reshape(-1, 1, 1, 1)
        return ((x - middle) * contrast + middle + light).clamp(low, high)

    def _mix(self, x: Tensor) -> Tensor:
        """Blend each image with another one, or paste a piece of it in."""
        torch, (count, _, height, width) = self._torch, x.shape
        if count < 2 or float(self._uniform(1, 0.0)) > MIXED:
            return x
        other = x[torch.randperm(count, generator=self._random)]
        share = self._uniform(count, 0.0).reshape(-1, 1, 1, 1)
        if float(self._uniform(1)) < 0:
            return x * share + other * (1 - share)
        half = share.sqrt() / 2
        rows, columns = torch.arange(height).reshape(-1, 1), torch.arange(width)
        y, z = (self._uniform(count, 0.0).reshape(-1, 1, 1, 1) for _ in range(2))
        inside = ((rows / height - y).abs() < half) & ((columns / width - z).abs() < half)
        return torch.where(inside, other, x)


def _channel_axis(x: Tensor) -> int | None:
    """Where the colours of a batch of images are: 1, 3, or nowhere."""
    if x.dim() != 4 or not x.is_floating_point():
        return None
    return next((axis for axis in (1, 3) if x.shape[axis] in COLOURS), None)
