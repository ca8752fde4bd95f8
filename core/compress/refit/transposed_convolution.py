"""A transposed convolution as rows times a matrix: a convolution of its input, spread by zeros.

With stride s, s - 1 zeros lie between the elements of the input; with padding p, dilation d and
kernel k the margins are d (k - 1) - p, wider at the end by the output padding; and the kernel is
turned round, its first two axes exchanged. What is known of layers then holds for this one.

Left out: groups, whose channels share one axis of the weight with others; shapes by `auto_pad` or
`output_shape`; padding wider than the kernel reaches.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from core import graph as graphs
from core.analysis.edits import set_input
from core.compress.linalg.im2col_sampling import Sites, patches_at, pick
from core.compress.refit.linear_layers import Layer
from core.graph.windows import Window
from core.records import Note

Array = np.ndarray[Any, Any]


class Transposed(Layer):
    """A ConvTranspose of one group."""

    @property
    def channel_axis(self) -> int:
        """Where the channels of the output are."""
        return 1

    @property
    def taps(self) -> int:
        """Columns of the matrix for each input channel."""
        return int(np.prod(self.weight.shape[2:]))

    def matrix(self) -> Array:
        """Weights as float64 (1, outputs, inputs)."""
        return self.in_rows(self.weight.astype(np.float64))

    def write(self, matrix: Array, bias: Array) -> None:
        """Put weights and bias into the graph, for this layer alone."""
        set_input(self.node, 1, self.laid(matrix).astype(np.float32))
        set_input(self.node, 2, bias.reshape(-1).astype(np.float32))

    def in_rows(self, weight: Array) -> Array:
        """An array in the file's layout as (1, outputs, inputs)."""
        turned = np.flip(weight, _spatial(weight)).swapaxes(0, 1)
        return np.ascontiguousarray(turned).reshape(1, weight.shape[1], -1)

    def laid(self, matrix: Array) -> Array:
        """The way back of `in_rows`."""
        inputs, outputs, *kernel = self.weight.shape
        turned = matrix[0].reshape(outputs, inputs, *kernel).swapaxes(0, 1)
        return np.ascontiguousarray(np.flip(turned, _spatial(turned)))

    def sites(self, shape: Sequence[int], per_image: int, turn: int) -> Sites:
        """Places of the output for an input of this shape; the same in every run for `turn`."""
        spread = [(n - 1) * s + 1 for n, s in zip(shape[2:], _strides(self.node), strict=True)]
        out = window(self.node, self.weight.shape[2:]).out(spread)
        seed = zlib.crc32(self.output.encode()) + turn
        return pick((shape[0], 1, *out), 1, per_image, seed)

    def rows(self, tensor: Array, sites: Sites) -> Array:
        """The input at these places of the output, (rows, inputs)."""
        strides = _strides(self.node)
        spread = [(n - 1) * s + 1 for n, s in zip(tensor.shape[2:], strides, strict=True)]
        wide = np.zeros((*tensor.shape[:2], *spread), tensor.dtype)
        wide[(slice(None), slice(None), *(slice(None, None, s) for s in strides))] = tensor
        return patches_at(wide, sites, window(self.node, self.weight.shape[2:]))


def layer_of(node: ir.Node) -> Layer:
    """The layer that a node is; a Conv, Gemm or MatMul, or a transposed convolution."""
    if node.op_type == "ConvTranspose":
        return Transposed(node)
    return Layer(node, node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1)


def recognise(node: ir.Node) -> Transposed | None:
    """The layer that a ConvTranspose is; None if it is none that is known here."""
    first = node.inputs[0]
    moving = first is not None and graphs.constant(first) is None
    return Transposed(node) if moving and not refusal(node) else None


def refusal(node: ir.Node) -> Note | None:
    """Why a ConvTranspose is no layer that is known here; None if it is."""
    weight, bias = graphs.constant(node.inputs[1]), [v for v in node.inputs[2:] if v is not None]
    if weight is None or weight.dtype != np.float32 or not np.isfinite(weight).all():
        return Note.of("transposed.not_constant")
    if bias and graphs.constant(bias[0]) is None:
        return Note.of("transposed.bias_computed")
    if node.attributes.get_int("group", 1) > 1:
        return Note.of("transposed.grouped")
    return _shape_reason(node, weight.shape[2:])


def _shape_reason(node: ir.Node, kernel: Sequence[int]) -> Note | None:
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "VALID") or "output_shape" in node.attributes:
        return Note.of("transposed.padding_follows")
    over = window(node, kernel)
    if min(*over.before, *over.after) < 0:
        return Note.of("transposed.padding_wide")
    return None


def window(node: ir.Node, kernel: Sequence[int]) -> Window:
    """How the turned kernel moves over the spread input."""
    rank = len(kernel)
    dilations, more = _ints(node, "dilations", 1, rank), _ints(node, "output_padding", 0, rank)
    pads = _ints(node, "pads", 0, 2 * rank)
    reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    before = tuple(r - p for r, p in zip(reach, pads[:rank], strict=True))
    after = tuple(r - p + m for r, p, m in zip(reach, pads[rank:], more, strict=True))
    return Window(tuple(kernel), (1,) * rank, tuple(dilations), before, after)


def _strides(node: ir.Node) -> list[int]:
    weight = graphs.constant(node.inputs[1])
    return _ints(node, "strides", 1, 0 if weight is None else weight.ndim - 2)


def _ints(node: ir.Node, name: str, default: int, count: int) -> list[int]:
    attribute = node.attributes.get(name)
    return [int(i) for i in attribute.as_ints()] if attribute is not None else [default] * count


def _spatial(weight: NDArray[Any]) -> tuple[int, ...]:
    return tuple(range(2, weight.ndim))
