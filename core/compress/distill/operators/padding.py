"""Padding, and the windows that a node lays over its input."""

from __future__ import annotations

from collections.abc import Sequence

from core.compress.distill.operators.call import Call, Tensor
from core.graph.windows import Window, placed


def window(call: Call, kernel: Sequence[int], sizes: Sequence[int]) -> Window:
    """The windows of `kernel` that a node lays over an input of the spatial `sizes`."""
    rank = len(kernel)
    return placed(
        kernel,
        sizes,
        call.ints("strides") or [1] * rank,
        call.ints("dilations") or [1] * rank,
        call.ints("pads") or [0] * (2 * rank),
        call.get("auto_pad", "NOTSET"),
    )


def pad(call: Call, x: Tensor, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """`x` with (begin, end) elements of `value` around each of its last axes."""
    if not any(any(pair) for pair in pads):
        return x
    flat = [n for pair in reversed(pads) for n in pair]  # PyTorch counts from the last axis
    return call.torch.nn.functional.pad(x, flat, value=value)
