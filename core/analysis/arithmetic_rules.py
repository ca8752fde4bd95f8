"""How labels pass operators that compute: each states which channels are one.

A rule reads the labels of its node's inputs, joins what must live together, and states the labels
of the outputs. It raises NoRule where it does not know; then everything it touches is frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from core.analysis.edits import set_int
from core.analysis.labels import Alive, Axes, Flow, Labels, NoRule
from core.analysis.values import axes_of
from core.records import Note

Rule = Callable[[ir.Node, Flow], None]


def unary(node: ir.Node, flow: Flow) -> None:
    """Element by element: the labels go through."""
    axes = flow.of(node, 0)
    flow.put(node.outputs[0], list(axes))
    for mask in node.outputs[1:]:
        flow.put(mask, list(axes))


def elementwise(node: ir.Node, flow: Flow) -> None:
    """Broadcast, axes aligned from the right; a size of 1 meets any size."""
    positions = [i for i, v in enumerate(node.inputs) if v is not None]
    shapes = [flow.shape(node, i) for i in positions]
    sides = [flow.of(node, i) for i in positions]
    rank = max(len(s) for s in shapes)
    result: Axes = []
    for axis in range(-rank, 0):
        here = [
            (shape[axis], side[axis])
            for shape, side in zip(shapes, sides, strict=True)
            if axis >= -len(shape)
        ]
        result.append(_meet(node, flow, here))
    moving = [i for i in positions if not flow.is_constant(node, i)]
    if node.op_type in {"Add", "Sub", "Sum"} and len(moving) > 1:
        flow.streams.extend(labels for labels in result if labels is not None)
    if node.op_type in {"Div", "Pow"}:
        flow.divisors.extend(labels for labels in sides[-1] if labels is not None)
    flow.put(node.outputs[0], result)


def _meet(
    node: ir.Node, flow: Flow, here: Sequence[tuple[int | str, Labels | None]]
) -> Labels | None:
    wide = [labels for size, labels in here if size != 1]
    if not wide:
        flow.freeze_all(
            [labels for _, labels in here], Note.of("channels.broadcast", operator=node.op_type)
        )
        return None
    for size, labels in here:
        if size == 1:
            flow.freeze(labels, Note.of("channels.broadcast", operator=node.op_type))
    joined = wide[0]
    for other in wide[1:]:
        joined = flow.join(joined, other, Note.of("channels.meets", operator=node.op_type))
    return joined


def conv(node: ir.Node, flow: Flow) -> None:
    """Dense, depthwise and grouped convolution; channels per group are cut alike in every group."""
    x, weight = flow.of(node, 0), flow.weight(node, 1)
    _only_channels(node, flow, x, weight)
    group = node.attributes.get_int("group", 1)
    inward = x[1]
    if group == 1:
        y = flow.produce(node, 1, 0)
        _consume(node, flow, inward, weight[1])
    elif weight[1] is None and flow.shape(node, 1)[1] == 1:
        y = _depthwise(node, flow, inward, group)
    else:
        y = _grouped(node, flow, inward, group)
    _bias(node, flow, y)
    flow.put(node.outputs[0], [x[0], y, *[None] * (len(x) - 2)])


def conv_transpose(node: ir.Node, flow: Flow) -> None:
    """As conv, with the weight's first two axes exchanged; groups other than depthwise freeze."""
    x, weight = flow.of(node, 0), flow.weight(node, 1)
    _only_channels(node, flow, x, weight)
    group = node.attributes.get_int("group", 1)
    if group == 1:
        y = flow.produce(node, 1, 1)
        _consume(node, flow, x[1], weight[0])
    elif flow.shape(node, 1)[1] == 1 and flow.shape(node, 1)[0] == group:
        y = _depthwise(node, flow, x[1], group)
    else:
        raise NoRule(Note.of("channels.grouped_transposed"))
    _bias(node, flow, y)
    flow.put(node.outputs[0], [x[0], y, *[None] * (len(x) - 2)])


def _only_channels(node: ir.Node, flow: Flow, x: Axes, weight: Axes) -> None:
    if len(x) < 3 or len(weight) != len(x):
        raise NoRule(Note.of("channels.rank", operator=node.op_type))
    flow.freeze_all(
        [x[0], *x[2:], *weight[2:]], Note.of("channels.other_axis", operator=node.op_type)
    )


def _consume(node: ir.Node, flow: Flow, inward: Labels | None, taps: Labels | None) -> None:
    flow.join(inward, taps, Note.of("channels.read_from_uncut", operator=node.op_type))


def _depthwise(node: ir.Node, flow: Flow, inward: Labels | None, group: int) -> Labels:
    """One filter (or several) per input channel: they go together, and the group count follows."""
    outward = flow.produce(node, 1, 0)
    times = len(outward) // group
    if inward is None or len(inward) * times != len(outward):
        flow.freeze(outward, Note.of("channels.depthwise"))
        flow.freeze(inward, Note.of("channels.depthwise"))
        return outward
    y = np.repeat(inward, times)
    flow.unite(y, outward)

    def edit(alive: Alive) -> None:
        if not alive(inward).all():
            set_int(node, "group", int(alive(inward).sum()))

    flow.edits.append(edit)
    return outward


def _grouped(node: ir.Node, flow: Flow, inward: Labels | None, group: int) -> Labels:
    """Every group loses as many channels, which is all that its equal blocks of weights ask for.

    A weight that is shared or computed is cut at the same places in every group.
    """
    y = flow.produce(node, 1, 0)
    for labels in (y, inward):
        if labels is not None and len(labels) % group:
            raise NoRule(Note.of("channels.undivided"))
    taps = flow.weight(node, 1)[1]
    if inward is not None and taps is not None and flow.by_group(node, 1, inward, group):
        flow.balanced += [(y, group), (inward, group)]
        return y
    _tie_groups(node, flow, y, group)
    if inward is not None:
        _tie_groups(node, flow, inward, group)
    _consume(node, flow, None if inward is None else inward[: len(inward) // group], taps)
    return y


def _tie_groups(node: ir.Node, flow: Flow, labels: Labels, group: int) -> None:
    if len(labels) % group:
        raise NoRule(Note.of("channels.undivided"))
    rows = labels.reshape(group, -1)
    for row in rows[1:]:
        flow.unite(rows[0], row)


def _bias(node: ir.Node, flow: Flow, y: Labels) -> None:
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = flow.of(node, 2)
        flow.join(
            bias[-1] if bias else None, y, Note.of("channels.bias_computed", operator=node.op_type)
        )


def gemm(node: ir.Node, flow: Flow) -> None:
    """Y = A B + C, with either factor transposed."""
    a = flow.of(node, 0)
    if len(a) != 2:
        raise NoRule(Note.of("channels.rank", operator=node.op_type))
    if node.attributes.get_int("transA", 0):
        a = a[::-1]
    turned = bool(node.attributes.get_int("transB", 0))
    weight = flow.weight(node, 1)
    y = flow.produce(node, 1, 0 if turned else 1)
    _consume(node, flow, a[1], weight[1 if turned else 0])
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        _gemm_bias(node, flow, y)
    flow.put(node.outputs[0], [a[0], y])


def _gemm_bias(node: ir.Node, flow: Flow, y: Labels) -> None:
    shape, labels = flow.shape(node, 2), flow.of(node, 2)
    flow.freeze_all(labels[:-1], Note.of("channels.bias_rows"))
    if not shape or shape[-1] == 1:
        flow.freeze_all(labels, Note.of("channels.bias_broadcast"))
    else:
        flow.join(labels[-1], y, Note.of("channels.bias_computed", operator=node.op_type))


def matmul(node: ir.Node, flow: Flow) -> None:
    """Y = A B over the last two axes; the axes in front broadcast."""
    a, b = flow.of(node, 0), flow.of(node, 1)
    if len(a) < 2 or len(b) < 2:
        raise NoRule(Note.of("channels.vector"))
    _consume(node, flow, a[-1], b[-2])
    if len(b) == 2 and _is_weight(node, flow, 1):
        y: Labels | None = flow.produce(node, 1, 1)
    else:
        y = b[-1]
    rows = a[-2]
    if len(a) == 2 and _is_weight(node, flow, 0):
        rows = flow.produce(node, 0, 0)
    sizes = flow.shape(node, 0)[:-2], flow.shape(node, 1)[:-2]
    front: Axes = []
    for axis in range(-max(len(s) for s in sizes), 0):
        here = [
            (s[axis], axes[axis - 2])
            for s, axes in zip(sizes, (a, b), strict=True)
            if axis >= -len(s)
        ]
        front.append(_meet(node, flow, here))
    flow.put(node.outputs[0], [*front, rows, y])


def _is_weight(node: ir.Node, flow: Flow, position: int) -> bool:
    try:
        flow.weight(node, position)
    except NoRule:
        return False
    return True


def batch_norm(node: ir.Node, flow: Flow) -> None:
    """Scale, shift, mean and variance live with their channel."""
    if any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        raise NoRule(Note.of("channels.training_mode"))
    x = flow.of(node, 0)
    if len(x) < 2:
        raise NoRule(Note.of("channels.rank", operator=node.op_type))
    for position in range(1, 5):
        (labels,) = flow.of(node, position) or [None]
        flow.join(x[1], labels, Note.of("channels.of_uncut", operator=node.op_type))
    flow.put(node.outputs[0], list(x))


def instance_norm(node: ir.Node, flow: Flow) -> None:
    """Each channel is normalised by itself: scale and shift live with it."""
    x = flow.of(node, 0)
    flow.freeze_all(x[2:], Note.of("channels.normalised", operator=node.op_type))
    for position in (1, 2):
        (labels,) = flow.of(node, position) or [None]
        flow.join(x[1], labels, Note.of("channels.of_uncut", operator=node.op_type))
    flow.put(node.outputs[0], list(x))


def layer_norm(node: ir.Node, flow: Flow) -> None:
    """The normalised axes are averaged over: none of their channels may go."""
    x = flow.of(node, 0)
    first = node.attributes.get_int("axis", -1) % len(x)
    flow.freeze_all(x[first:], Note.of("channels.averaged", operator=node.op_type))
    for position in range(1, len(node.inputs)):
        flow.freeze_all(
            flow.of(node, position), Note.of("channels.averaged", operator=node.op_type)
        )
    flow.put(node.outputs[0], list(x))
    for statistic in node.outputs[1:]:
        flow.put(statistic, [*x[:first], *[None] * (len(x) - first)])


def softmax(node: ir.Node, flow: Flow) -> None:
    """Channels normalised together stay; before opset 13 those are all axes from `axis` on."""
    x = flow.of(node, 0)
    late = flow.opset >= 13
    axis = node.attributes.get_int("axis", -1 if late else 1) % max(len(x), 1)
    flow.freeze_all(
        [x[axis]] if late else x[axis:], Note.of("channels.normalised", operator=node.op_type)
    )
    flow.put(node.outputs[0], list(x))


def pool(node: ir.Node, flow: Flow) -> None:
    """Rows and columns are pooled, channels stay."""
    x = flow.of(node, 0)
    if any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        raise NoRule(Note.of("channels.pool_indices"))
    flow.freeze_all(x[2:], Note.of("channels.pooled", operator=node.op_type))
    flow.put(node.outputs[0], [*x[:2], *[None] * (len(x) - 2)])


def reduce(node: ir.Node, flow: Flow) -> None:
    """What is reduced over cannot be cut; the other axes stay."""
    x = flow.of(node, 0)
    given = "axes" in node.attributes or (len(node.inputs) > 1 and node.inputs[1] is not None)
    axes = axes_of(node, flow.contents(node)) if given else None
    if given and axes is None:
        raise NoRule(Note.of("channels.axes_computed", operator=node.op_type))
    noop = node.attributes.get_int("noop_with_empty_axes", 0)
    if not axes:
        axes = [] if noop else list(range(len(x)))
    gone = {a % len(x) for a in axes}
    flow.freeze_all([x[a] for a in gone], Note.of("channels.reduced", operator=node.op_type))
    if node.attributes.get_int("keepdims", 1):
        flow.put(node.outputs[0], [None if a in gone else v for a, v in enumerate(x)])
    else:
        flow.put(node.outputs[0], [v for a, v in enumerate(x) if a not in gone])


_NAMES: dict[Rule, str] = {
    unary: """Relu Clip Sigmoid Tanh HardSigmoid HardSwish LeakyRelu Elu Celu Selu Softplus Softsign
        Erf Gelu Mish Swish ThresholdedRelu Abs Neg Exp Log Sqrt Reciprocal Floor Ceil Round Sign
        Identity Dropout Cast Not""",
    elementwise: """Add Sub Mul Div Min Max Pow Sum Mean PRelu Where Equal Greater Less
        GreaterOrEqual LessOrEqual And Or""",
    pool: "MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool",
    reduce: """ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2
        ReduceSumSquare ReduceLogSum ReduceLogSumExp""",
    softmax: "Softmax LogSoftmax Hardmax",
    conv: "Conv",
    conv_transpose: "ConvTranspose",
    gemm: "Gemm",
    matmul: "MatMul",
    batch_norm: "BatchNormalization",
    instance_norm: "InstanceNormalization",
    layer_norm: "LayerNormalization",
}
ARITHMETIC = {name: rule for rule, names in _NAMES.items() for name in names.split()}
