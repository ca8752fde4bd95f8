"""The layers of a graph as signatures to be timed, and those that passes would make of them.

A signature is taken from a Conv, ConvTranspose, Gemm or MatMul with constant weights and known
sizes; a dynamic batch counts as one sample. What runtimes fuse behind it belongs to it: a batch
norm vanishes, then an Add of two activations, then a Relu or Clip. Other activations are not
counted: a replacement leaves them as they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import onnx_ir as ir

from core.analysis.shapes import Facts, Shape, facts
from core.analysis.values import sources
from core.graph.operators import BOUNDING, CONVOLUTIONS, PRODUCTS, STANDARD
from core.timings import Chain, LayerSignature

STEPS = 8  # channel counts tried between nothing and all; what lies between is interpolated


def signatures(graph: ir.Model) -> dict[ir.Node, LayerSignature]:
    """Every layer of the main graph whose time can be asked for."""
    known = facts(graph, batch=1)
    found = ((node, _signature(node, known)) for node in graph.graph)
    return {node: signature for node, signature in found if signature is not None}


def worth_timing(graph: ir.Model, multiple: int, precision: str = "f32") -> tuple[Chain, ...]:
    """The layers themselves, narrower ones, and what could replace them; each once.

    Args:
        graph: whose layers.
        multiple: channel counts are tried in steps of this.
        precision: in which they will run, "int8" where a later step makes them so.
    """
    found = [replace(layer, precision=precision) for layer in signatures(graph).values()]
    layers = list(dict.fromkeys(found))
    chains: list[Chain] = [(layer,) for layer in layers]
    for layer in layers:
        chains += replacements(layer, multiple)
    for layer in layers:
        chains += ((narrow,) for narrow in narrower(layer, multiple))
    return tuple(dict.fromkeys(chains))


def narrower(layer: LayerSignature, multiple: int) -> Iterator[LayerSignature]:
    """The layer with fewer channels on either side, in aligned steps."""
    if layer.depthwise:
        times = layer.outputs // layer.inputs
        for count in steps(layer.inputs, multiple):
            yield layer.resized(count, count * times)
    elif layer.group == 1:
        counts = itertools.product(
            steps(layer.inputs, multiple, whole=True), steps(layer.outputs, multiple, whole=True)
        )
        for inputs, outputs in counts:
            yield layer.resized(inputs, outputs)


def steps(channels: int, multiple: int, whole: bool = False, most: int = STEPS) -> list[int]:
    """Multiples below `channels`, at most `most` of them; with `channels` itself if `whole`."""
    stride = multiple * max(1, math.ceil(channels / multiple / most))
    return [*range(stride, channels, stride), *([channels] if whole else [])]


def replacements(layer: LayerSignature, multiple: int) -> list[Chain]:
    """Every decomposition of a plain convolution that has fewer MACs than the layer."""
    if layer.op_type != "Conv" or layer.group != 1 or len(layer.kernel) != 2:
        return []
    if max(layer.kernel) == 1:
        return []
    chains = [
        spatial_svd(layer, rank, rows_first)
        for rows_first in (False, True)
        for rank in svd_ranks(layer, multiple, STEPS, rows_first)
    ]
    chains += [depthwise_pointwise(layer, terms) for terms in range(1, math.prod(layer.kernel))]
    chains += [tucker2(layer, *kept) for kept in tucker_ranks(layer, multiple, STEPS)]
    return [chain for chain in chains if macs(chain) < layer.macs]


def svd_ranks(
    layer: LayerSignature, multiple: int, most: int, rows_first: bool = False
) -> list[int]:
    """Aligned ranks of the two halves, as far as they may save anything."""
    if min(layer.kernel) == 1:
        return []
    first, last = reversed(layer.kernel) if rows_first else layer.kernel
    return steps(min(layer.inputs * first, layer.outputs * last), multiple, most=most)


def tucker_ranks(layer: LayerSignature, multiple: int, most: int) -> list[tuple[int, int]]:
    """(inputs kept, outputs kept), aligned, in proportion to the layer's channels."""
    narrow = min(layer.inputs, layer.outputs)
    shares = [kept / narrow for kept in steps(narrow, multiple, most=most)]
    return [
        (_aligned(layer.inputs * share, multiple), _aligned(layer.outputs * share, multiple))
        for share in shares
    ]


def _aligned(channels: float, multiple: int) -> int:
    return max(multiple, round(channels / multiple) * multiple)


def macs(chain: Iterable[LayerSignature]) -> int:
    """Multiply-accumulates of a chain."""
    return sum(layer.macs for layer in chain)


def parameters(chain: Iterable[LayerSignature]) -> int:
    """Weights and biases of a chain."""
    return sum(layer.parameters for layer in chain)


def spatial_svd(layer: LayerSignature, rank: int, rows_first: bool = False) -> Chain:
    """K x 1 to `rank` channels, then 1 x k, or the other way round."""
    early, late = (1, 0) if rows_first else (0, 1)
    first = replace(_along(layer, early), outputs=rank, fused=())
    return first, replace(_along(layer, late), inputs=rank, size=first.output_size)


def _along(layer: LayerSignature, axis: int) -> LayerSignature:
    """The layer with its kernel, strides, dilations and pads along one axis only."""

    def kept(pair: tuple[int, ...], other: int) -> tuple[int, int]:
        return (pair[0], other) if axis == 0 else (other, pair[1])

    top, left, bottom, right = layer.pads
    return replace(
        layer,
        kernel=kept(layer.kernel, 1),
        strides=kept(layer.strides, 1),
        dilations=kept(layer.dilations, 1),
        pads=(top, 0, bottom, 0) if axis == 0 else (0, left, 0, right),
    )


def tucker2(layer: LayerSignature, first: int, last: int) -> Chain:
    """1 x 1 to `first` channels, the kernel on those to `last` channels, 1 x 1 to the outputs."""
    one = {"kernel": (1, 1), "strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0)}
    narrow = replace(layer, outputs=first, fused=(), **one)  # type: ignore[arg-type]
    core = replace(layer, inputs=first, outputs=last, fused=())
    widen = replace(layer, inputs=last, size=core.output_size, **one)  # type: ignore[arg-type]
    return narrow, core, widen


def depthwise_pointwise(layer: LayerSignature, terms: int) -> Chain:
    """`terms` depthwise kernels for each input channel, then 1 x 1.

    A depthwise convolution with a multiplier is slow in most runtimes: the input is repeated and
    each channel gets one kernel.
    """
    wide = layer.inputs * terms
    depthwise = replace(layer, inputs=wide, outputs=wide, group=wide, fused=())
    pointwise = replace(
        layer,
        inputs=wide,
        kernel=(1, 1),
        strides=(1, 1),
        dilations=(1, 1),
        pads=(0, 0, 0, 0),
        size=depthwise.output_size,
    )
    if terms == 1:
        return depthwise, pointwise
    repeat = LayerSignature(
        "Concat", layer.inputs, wide, size=layer.size, batch=layer.batch, precision=layer.precision
    )
    return repeat, depthwise, pointwise


def _signature(node: ir.Node, known: Facts) -> LayerSignature | None:
    if node.domain not in STANDARD or len(node.inputs) < 2:
        return None
    if sources(node.inputs[1]) is None:
        return None
    shapes = known.shape(node.inputs[0]), known.shape(node.inputs[1])
    given, weight = (_whole(shape) for shape in shapes)
    if given is None or weight is None:
        return None
    if node.op_type in CONVOLUTIONS:
        return _convolution(node, given, weight, known)
    if node.op_type in PRODUCTS:
        return _product(node, given, weight, known)
    return None


def _whole(shape: Shape | None) -> tuple[int, ...] | None:
    """The shape if every dimension is a number."""
    if shape is None or any(isinstance(d, str) for d in shape):
        return None
    return tuple(int(d) for d in shape)


def _convolution(
    node: ir.Node, given: tuple[int, ...], weight: tuple[int, ...], known: Facts
) -> LayerSignature | None:
    kernel = weight[2:]
    rank = len(kernel)
    if not rank or len(given) != rank + 2:
        return None
    group = node.attributes.get_int("group", 1)
    across = weight[1] * group if node.op_type == "ConvTranspose" else weight[0]
    layer = LayerSignature(
        op_type=node.op_type,
        inputs=given[1],
        outputs=across,
        kernel=kernel,
        strides=_ints(node, "strides", (1,) * rank),
        dilations=_ints(node, "dilations", (1,) * rank),
        group=group,
        size=given[2:],
        batch=given[0],
        precision=_precision(node),
        fused=_fused(node, known),
    )
    pads = _pads(node, layer, known)
    return None if pads is None else replace(layer, pads=pads)


def _ints(node: ir.Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(node.attributes.get_ints(name, default))


def _pads(node: ir.Node, layer: LayerSignature, known: Facts) -> tuple[int, ...] | None:
    """Begins, then ends; from `auto_pad` where that decides. None where the output disagrees."""
    rank = len(layer.kernel)
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    pads = _ints(node, "pads", (0,) * 2 * rank) if mode == "NOTSET" else (0,) * 2 * rank
    out = _whole(known.shape(node.outputs[0]))
    if mode in ("SAME_UPPER", "SAME_LOWER") and out is not None and layer.op_type == "Conv":
        axes = zip(layer.size, out[2:], layer.kernel, layer.strides, layer.dilations, strict=True)
        total = [max(0, (o - 1) * s + (k - 1) * d + 1 - n) for n, o, k, s, d in axes]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = tuple(small + large if mode == "SAME_UPPER" else large + small)
    fits = replace(layer, pads=pads).output_size
    return pads if out is None or fits == out[2:] else None


def _product(
    node: ir.Node, given: tuple[int, ...], weight: tuple[int, ...], known: Facts
) -> LayerSignature | None:
    if len(weight) != 2 or len(given) < 2 or node.attributes.get_int("transA", False):
        return None
    across = node.op_type == "Gemm" and node.attributes.get_int("transB", False)
    inputs, outputs = reversed(weight) if across else weight
    return LayerSignature(
        node.op_type, inputs, outputs, size=given[1:-1], batch=given[0],
        precision=_precision(node), fused=_fused(node, known),
    )  # fmt: skip


def _precision(node: ir.Node) -> str:
    producers = [value.producer() for value in node.inputs[:2] if value is not None]
    behind = [producer.op_type if producer is not None else "" for producer in producers]
    return "int8" if behind == ["DequantizeLinear"] * 2 else "f32"


def _fused(node: ir.Node, known: Facts) -> tuple[str, ...]:
    """What runtimes fuse behind a layer: [BatchNormalization] [Add] [Relu | Clip]."""
    found: list[str] = []
    following = _only_user(node)
    if following is not None and following.op_type == "BatchNormalization":
        following = _only_user(following)
    if following is not None and _joins(following, known):
        found.append("Add")
        following = _only_user(following)
    if following is not None and following.op_type in BOUNDING:
        found.append(following.op_type)
    return tuple(found)


def _only_user(node: ir.Node) -> ir.Node | None:
    value = node.outputs[0]
    users = [usage.node for usage in value.uses()]
    return users[0] if len(users) == 1 and not value.is_graph_output() else None


def _joins(node: ir.Node, known: Facts) -> bool:
    """Whether a node adds two activations of one shape."""
    if node.op_type != "Add" or any(sources(value) is not None for value in node.inputs):
        return False
    shapes = [known.shape(value) for value in node.inputs]
    return len(shapes) == 2 and shapes[0] is not None and shapes[0] == shapes[1]
