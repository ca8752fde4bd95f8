"""Windows of convolutions and pooling: strides, dilations, pads, `auto_pad` resolved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class Window:
    """How a kernel moves over its input; one entry per spatial axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        """From the first element that the kernel sees to the last."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def pads(self) -> tuple[tuple[int, int], ...]:
        """(before, after) of each axis."""
        return tuple(zip(self.before, self.after, strict=True))

    def out(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Output size for an input of this size."""
        rows = zip(spatial, self.reach, self.strides, self.before, self.after, strict=True)
        return tuple((n + a + b - r) // s + 1 for n, r, s, a, b in rows)

    def rounded_up(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Elements missing behind each axis for its last window, where sizes are rounded up."""
        missing = []
        rows = zip(spatial, self.reach, self.strides, self.before, self.after, strict=True)
        for size, reach, stride, before, after in rows:
            count = math.ceil((size + before + after - reach) / stride) + 1
            if (count - 1) * stride >= size + before:  # it would start behind the input
                count -= 1
            missing.append(max((count - 1) * stride + reach - (size + before + after), 0))
        return tuple(missing)


def placed(
    kernel: Sequence[int],
    spatial: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
    auto_pad: str = "NOTSET",
) -> Window:
    """The window over an input of size `spatial`; `pads` are all begins, then all ends.

    SAME leaves as many outputs as strides fit; an odd element goes behind, or in front.
    """
    rank = len(kernel)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        total = [
            max((math.ceil(n / s) - 1) * s + r - n, 0)
            for n, s, r in zip(spatial, strides, reach, strict=True)
        ]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = [*small, *large] if auto_pad == "SAME_UPPER" else [*large, *small]
    elif auto_pad != "NOTSET":
        pads = [0] * 2 * rank
    before, after = tuple(pads[:rank]), tuple(pads[rank:])
    return Window(tuple(kernel), tuple(strides), tuple(dilations), before, after)


def window(node: ir.Node, kernel: Sequence[int], spatial: Sequence[int]) -> Window:
    """The window of a convolution or a pooling over an input of size `spatial`."""
    rank = len(kernel)
    given = node.attributes
    return placed(
        kernel,
        spatial,
        given.get_ints("strides", [1] * rank),
        given.get_ints("dilations", [1] * rank),
        given.get_ints("pads", [0] * 2 * rank),
        given.get_string("auto_pad", "NOTSET"),
    )
