"""Where the windows of a convolution or pooling lie: pads, auto_pad, rounding up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.compress.distill.operators.call import Call, Tensor


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows over the spatial axes; `pads` is (begin, end) for each axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, call: Call, kernel: Sequence[int], sizes: Sequence[int]) -> Windows:
        """The windows of `kernel` that a node lays over an input of the spatial `sizes`."""
        rank = len(kernel)
        strides = tuple(call.ints("strides") or [1] * rank)
        dilations = tuple(call.ints("dilations") or [1] * rank)
        given = call.ints("pads") or [0] * (2 * rank)
        pads = tuple(zip(given[:rank], given[rank:], strict=True))
        how = call.get("auto_pad", "NOTSET")
        if how == "VALID":
            pads = ((0, 0),) * rank
        elif how in ("SAME_UPPER", "SAME_LOWER"):
            reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
            pads = tuple(
                _same(size, r, stride, how == "SAME_LOWER")
                for size, r, stride in zip(sizes, reach, strides, strict=True)
            )
        return cls(tuple(kernel), strides, dilations, pads)

    def rounded_up(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Elements missing behind each axis for its last window, where sizes are rounded up."""
        missing = []
        for size, kernel, stride, dilation, (begin, end) in zip(
            sizes, self.kernel, self.strides, self.dilations, self.pads, strict=True
        ):
            reach = dilation * (kernel - 1) + 1
            count = math.ceil((size + begin + end - reach) / stride) + 1
            if (count - 1) * stride >= size + begin:  # it would start behind the input
                count -= 1
            missing.append(max((count - 1) * stride + reach - (size + begin + end), 0))
        return tuple(missing)


def _same(size: int, reach: int, stride: int, lower: bool) -> tuple[int, int]:
    """SAME: as many outputs as strides fit; an odd element goes behind, or in front."""
    total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


def pad(call: Call, x: Tensor, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """`x` with (begin, end) elements of `value` around each of its last axes."""
    if not any(any(pair) for pair in pads):
        return x
    flat = [n for pair in reversed(pads) for n in pair]  # PyTorch counts from the last axis
    return call.torch.nn.functional.pad(x, flat, value=value)
