"""Conv and ConvTranspose: ordinary, depthwise, grouped, of one and of two spatial axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from core.formats.tflite import layout, weights
from core.formats.tflite.attributes import given, integer, integers
from core.formats.tflite.codes import codes
from core.formats.tflite.flatbuffer import Padding
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.operators.windows import Spatial, deepened, flattened, padding
from core.formats.tflite.refusal import Refused
from core.formats.tflite.tail import Tail, activated, quantized
from core.graph import windows

Array = np.ndarray[Any, Any]
PLANE = 2  # spatial axes that TFLite's kernels have
OIHW, IOHW = (0, 2, 3, 1), (1, 2, 3, 0)  # -> O, H, W, I and, of one input channel, 1, H, W, O


def conv(net: Net, node: ir.Node) -> None:
    """CONV_2D, which knows groups, or DEPTHWISE_CONV_2D."""
    shape = net.shape(node.inputs[1])
    if len(shape) - PLANE not in (1, PLANE):
        raise Refused(f"a convolution of {len(shape) - PLANE} spatial axes has no fast kernel")
    source = net.given(node.inputs[0])
    group = integer(node, "group", 1)
    window = Spatial.of(windows.window(node, shape[2:], source.shape[2:]))
    ending, integral = _ending(net, node, source)
    depthwise = group > 1 and shape[1] == 1 and group == source.shape[1]
    x = deepened(net, net.ordered(source if integral else net.numbers(source),
                                  layout.channels_last(len(shape))))  # fmt: skip
    mode, x = padding(net, x, window)
    stored = (*shape[:2], *window.kernel)
    kernel = weights.Arranged(stored, IOHW, 3) if depthwise else weights.Arranged(stored, OIHW)
    kept = weights.tensor(net, node.inputs[1], kernel, integral)
    bias = weights.bias(net, given(node, 2), shape[0], kept, x)
    options = {
        "padding": mode, "strideH": window.strides[0], "strideW": window.strides[1],
        "dilationHFactor": window.dilations[0], "dilationWFactor": window.dilations[1],
        "fusedActivationFunction": ending.activation,
    }  # fmt: skip
    if depthwise:
        options["depthMultiplier"] = shape[0] // group
    y = _output(net, ending, len(shape))
    code = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    net.file.op(code, [x.tensor, kept.tensor, bias], [y.tensor], **options)
    flattened(net, ending.value, y)


def _ending(net: Net, node: ir.Node, source: Stored) -> tuple[Tail, bool]:
    """What is fused behind a layer, and whether it computes with integers."""
    tail = activated(net, node.outputs[0])
    held = codes(node.inputs[1])
    if source.grid is None or source.coded or held is None or not held.symmetric:
        return tail, False
    if held.data.dtype != np.int8 or (len(held.scale) > 1 and held.axis != _outputs_axis(node)):
        return tail, False
    with_codes = quantized(net, tail)
    return (tail, False) if with_codes is None else (with_codes, True)


def _outputs_axis(node: ir.Node) -> int:
    return 1 if node.op_type == "ConvTranspose" else 0


def _output(net: Net, ending: Tail, rank: int) -> Stored:
    """The tensor that the kernel fills: with two spatial axes, whatever the model has."""
    if rank == PLANE + PLANE:
        return ending.made(net, layout.channels_last(rank))
    return deepened(net, ending.made(net, layout.channels_last(rank)), write=False)


def conv_transpose(net: Net, node: ir.Node) -> None:
    """TRANSPOSE_CONV of the whole output, and a Slice where ONNX crops otherwise than SAME."""
    shape = net.shape(node.inputs[1])
    if len(shape) - PLANE not in (1, PLANE):
        raise Refused(f"a convolution of {len(shape) - PLANE} spatial axes has no fast kernel")
    source, group = net.given(node.inputs[0]), integer(node, "group", 1)
    target = net.shape(node.outputs[0])
    x = deepened(net, net.ordered(net.numbers(source), layout.channels_last(len(shape))))
    crop = _Crop.of(node, source.shape[2:], shape[2:], target[2:])
    kernel = _dense(weights.values(net, node.inputs[1]), group, crop)
    dense = kernel.reshape(*kernel.shape[:2], *crop.kernel)
    name = f"{node.name}_kernel"
    kept = net.of_array(dense.transpose(IOHW), name)
    bias = weights.bias(net, given(node, 2), dense.shape[1], None, x)
    ending = activated(net, node.outputs[0])
    whole = (target[0], *crop.whole, target[1])
    same = crop.is_same
    sizes = (target[0], *crop.target, target[1]) if same else whole
    y = _output(net, ending, len(shape))
    made = y.tensor if sizes == y.placed else net.file.tensor(f"{y.tensor}_whole", sizes, "float32")
    net.file.op(
        "TRANSPOSE_CONV",
        [net.listed(np.array(sizes, np.int32)), kept.tensor, x.tensor, bias],
        [made],
        padding=Padding.SAME if same else Padding.VALID,
        strideH=crop.strides[0], strideW=crop.strides[1],
        fusedActivationFunction=ending.activation,
    )  # fmt: skip
    if made != y.tensor:
        begin = np.array((0, *crop.before, 0), np.int32)
        size = np.array(y.placed, np.int32)
        net.file.op("SLICE", [made, net.listed(begin), net.listed(size)], [y.tensor])
    flattened(net, ending.value, y)


class _Crop:
    """What ONNX keeps of the whole output of a transposed convolution; two axes, always."""

    def __init__(
        self, kernel: tuple[int, ...], strides: tuple[int, ...], source: tuple[int, ...],
        before: tuple[int, ...], target: tuple[int, ...],
    ) -> None:  # fmt: skip
        self.kernel, self.strides, self.before, self.target = kernel, strides, before, target
        self.source = source
        rows = zip(source, strides, kernel, strict=True)
        self.whole = tuple((n - 1) * s + k for n, s, k in rows)
        kept = zip(self.whole, before, target, strict=True)
        if any(b < 0 or b + t > w for w, b, t in kept):
            raise Refused("its output padding reaches behind what the kernel covers")

    @classmethod
    def of(
        cls, node: ir.Node, source: tuple[int, ...], kernel: tuple[int, ...],
        target: tuple[int, ...],
    ) -> _Crop:  # fmt: skip
        """From the attributes; a dilated kernel counts with its holes."""
        rank = len(kernel)
        strides = integers(node, "strides") or [1] * rank
        dilations = integers(node, "dilations") or [1] * rank
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        auto = node.attributes.get("auto_pad")
        pads = integers(node, "pads") or [0] * 2 * rank
        extra = integers(node, "output_padding") or [0] * rank
        before = list(pads[:rank])
        if (auto is not None and auto.as_string() not in ("NOTSET", "VALID")) or integers(
            node, "output_shape"
        ):
            total = [
                s * (n - 1) + o + r - t
                for s, n, o, r, t in zip(strides, source, extra, reach, target, strict=True)
            ]
            upper = auto is not None and auto.as_string() == "SAME_UPPER"
            before = [t // 2 if upper else t - t // 2 for t in total]
        ones = [1] * (PLANE - rank)
        return cls(
            (*ones, *reach), (*ones, *strides), (*ones, *source),
            (*(0 for _ in ones), *before), (*ones, *target),
        )  # fmt: skip

    @property
    def is_same(self) -> bool:
        """Whether TFLite's SAME crops the same."""
        rows = zip(self.whole, self.before, self.target, self.source, self.strides, strict=True)
        return all(t == n * s and b == max(w - t, 0) // 2 and w >= t for w, b, t, n, s in rows)


def _dense(kernel: Array, group: int, crop: _Crop) -> Array:
    """The kernel without groups and dilation, zeros in their places: TFLite knows neither."""
    inputs, outputs = kernel.shape[0], kernel.shape[1]
    reach = crop.kernel[-(kernel.ndim - PLANE) :]
    steps = tuple((r - 1) // max(k - 1, 1) for r, k in zip(reach, kernel.shape[2:], strict=True))
    if math.prod(reach) != math.prod(kernel.shape[2:]):
        holes = np.zeros((inputs, outputs, *reach), kernel.dtype)
        holes[(slice(None), slice(None), *(slice(None, None, max(s, 1)) for s in steps))] = kernel
        kernel = holes
    if group == 1:
        return kernel
    dense = np.zeros((inputs, outputs * group, *kernel.shape[2:]), kernel.dtype)
    each = inputs // group
    for g in range(group):
        rows, columns = slice(g * each, (g + 1) * each), slice(g * outputs, (g + 1) * outputs)
        dense[rows, columns] = kernel[rows]
    return dense


OPERATORS: Mapping[str, Callable[[Net, ir.Node], None]] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
}
