"""Numbers rounded to a grid on the way forward, as if they were not on the way back.

A weight channel has one symmetric scale s: w -> s * round(clip(w / s, -Q, Q)), Q = 2^(bits-1) - 1.
The rounding passes gradients through unchanged, the clipping stops them, and s is learnt with the
weight (LSQ). An activation has one scale and zero point per tensor, from the range of its values,
which follows them by a moving average until it is frozen.

What is written into the graph at the end is s * q, numbers on the grid. In every channel some |q|
is Q: s is kept below max|w| / (Q - 1/2). So a quantizer with symmetric scales per channel by the
largest magnitude finds the same grid, and rounds nothing. A scale per output channel commutes with
a batch norm that is folded in afterwards, which multiplies that channel.

Source: Esser et al. 2020, arXiv:1902.08153, section 2; Bengio et al. 2013, arXiv:1308.3432;
Jacob et al. 2018, arXiv:1712.05877, section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.compress.distill.operators import Array, Tensor

SHRUNK = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)  # of the largest scale, tried at first
MOMENTUM = 0.05
TIE = 0.01  # keeps the largest weight clearly on the far side of Q - 1/2


class WeightGrid:
    """The grid of one weight; `log_scale` is learnt."""

    def __init__(self, weight: Tensor, axis: int, bits: int) -> None:
        """Start each channel at the scale of the least squared error."""
        import torch

        self._torch: Any = torch
        self.axis, self.levels = axis, 2 ** (bits - 1) - 1
        self._others = [i for i in range(weight.dim()) if i != axis]
        with torch.no_grad():
            scale = self._best(weight.detach())
        self.log_scale: Tensor = scale.log().requires_grad_(True)

    def __call__(self, weight: Tensor) -> Tensor:
        """The weight on its grid."""
        levels, scale = self.levels, self._scale(weight)
        inside = self._torch.clamp(weight / scale, -levels, levels)
        return (inside + (inside.round() - inside).detach()) * scale

    def _scale(self, weight: Tensor) -> Tensor:
        return self._torch.minimum(self.log_scale.exp(), self._largest(weight.detach()))

    def _largest(self, weight: Tensor) -> Tensor:
        """The largest scale at which the largest weight is still rounded to Q."""
        peak = weight.abs().amax(self._others, keepdim=True).clamp(min=1e-12)
        return peak / (self.levels - 0.5 + TIE)

    def _best(self, weight: Tensor) -> Tensor:
        peak = weight.abs().amax(self._others, keepdim=True).clamp(min=1e-12) / self.levels
        best, error = peak, None
        for share in SHRUNK:
            scale = peak * share
            rounded = (weight / scale).round().clamp(-self.levels, self.levels) * scale
            lost = ((weight - rounded) ** 2).sum(self._others, keepdim=True)
            better = lost < error if error is not None else lost == lost
            best = self._torch.where(better, scale, best)
            error = lost if error is None else self._torch.minimum(lost, error)
        return best


class ActivationGrid:
    """The grid of one activation; its range follows the values until `frozen`."""

    def __init__(self, bits: int) -> None:
        """Know no range yet: values go through as they are until `observe`."""
        import torch

        self._torch: Any = torch
        self.steps = 2**bits - 1
        self.low, self.high = 0.0, 0.0
        self.frozen = False
        self._seen = False

    def __call__(self, value: Tensor) -> Tensor:
        """The value on its grid, the range moved towards it while training."""
        if not self.frozen:
            self.observe(value.detach())
        if self.high <= self.low:
            return value
        scale = (self.high - self.low) / self.steps
        zero = round(-self.low / scale)
        inside = self._torch.clamp(value, -zero * scale, (self.steps - zero) * scale)
        return inside + ((inside / scale).round() * scale - inside).detach()

    def observe(self, value: Tensor) -> None:
        """Move the range, which always holds zero, towards that of `value`."""
        low, high = min(float(value.min()), 0.0), max(float(value.max()), 0.0)
        share = MOMENTUM if self._seen else 1.0
        self.low += share * (low - self.low)
        self.high += share * (high - self.high)
        self._seen = True


def on_grid(grid: WeightGrid, weight: Tensor) -> Array:
    """The weight as it is written: numbers on its grid."""
    with grid._torch.no_grad():
        return np.ascontiguousarray(grid(weight).numpy(), np.float32)
