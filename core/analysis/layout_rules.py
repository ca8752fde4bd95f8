"""How labels pass operators that move channels about: Concat, Split, Reshape, Transpose, ...

Where an operator hard-codes a channel count (a Reshape target, Pad amounts, Split sizes), the rule
also leaves an edit that rewrites it once channels are gone.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from core.analysis.arithmetic_rules import Rule
from core.analysis.edits import override
from core.analysis.labels import Alive, Axes, Flow, Labels, NoRule
from core.analysis.reshape_labels import carry
from core.analysis.values import Known, axes_of
from core.records import Note


def concat(node: ir.Node, flow: Flow) -> None:
    """Labels one after the other on the axis of the concatenation, joined on the others."""
    sides = [flow.of(node, i) for i in range(len(node.inputs))]
    axis = node.attributes["axis"].as_int() % len(sides[0])
    result: Axes = list(sides[0])
    for side in sides[1:]:
        for a, labels in enumerate(side):
            if a != axis:
                result[a] = flow.join(result[a], labels, Note.of("channels.concat_uncut"))
    result[axis] = _in_a_row(node, flow, [s[axis] for s in sides], axis)
    flow.put(node.outputs[0], result)


def _in_a_row(node: ir.Node, flow: Flow, parts: list[Labels | None], axis: int) -> Labels | None:
    if all(p is None for p in parts):
        return None
    sizes = [flow.shape(node, i)[axis] for i in range(len(parts))]
    row: list[Labels] = []
    for part, size in zip(parts, sizes, strict=True):
        if part is None and not isinstance(size, int):
            flow.freeze_all(parts, Note.of("channels.concat_dynamic"))
            return None
        kept = Note.of("channels.concat_part")
        row.append(part if part is not None else flow.fixed(int(size), kept))
    return np.concatenate(row)


def transpose(node: ir.Node, flow: Flow) -> None:
    """Labels follow their axis."""
    x = flow.of(node, 0)
    perm = node.attributes.get("perm")
    order = list(perm.as_ints()) if perm is not None else list(range(len(x)))[::-1]
    flow.put(node.outputs[0], [x[a] for a in order])


def squeeze(node: ir.Node, flow: Flow) -> None:
    """Axes of size 1 go."""
    x, shape = flow.of(node, 0), flow.shape(node)
    given = "axes" in node.attributes or len(node.inputs) > 1
    axes = axes_of(node, flow.contents(node))
    if given and axes is None:
        raise NoRule(Note.of("channels.of_axes_computed", operator=node.op_type))
    if axes is None and any(isinstance(d, str) for d in shape):
        raise NoRule(Note.of("channels.squeeze_dynamic"))
    gone = (
        {a % len(x) for a in axes}
        if axes is not None
        else {a for a, d in enumerate(shape) if d == 1}
    )
    flow.freeze_all([x[a] for a in gone], Note.of("channels.squeezed"))
    flow.put(node.outputs[0], [v for a, v in enumerate(x) if a not in gone])


def unsqueeze(node: ir.Node, flow: Flow) -> None:
    """Axes of size 1 come."""
    x, axes = flow.of(node, 0), axes_of(node, flow.contents(node))
    if axes is None:
        raise NoRule(Note.of("channels.of_axes_computed", operator=node.op_type))
    rank = len(x) + len(axes)
    added, rest = {a % rank for a in axes}, iter(x)
    flow.put(node.outputs[0], [None if a in added else next(rest) for a in range(rank)])


def flatten(node: ir.Node, flow: Flow) -> None:
    """A reshape into two axes that needs no target."""
    x, shape = flow.of(node, 0), flow.shape(node)
    axis = node.attributes.get_int("axis", 1)
    axis = axis + len(x) if axis < 0 else axis
    out = flow.facts.shape(node.outputs[0])
    if out is None:
        raise NoRule(Note.of("channels.flatten_unknown"))
    first = carry(flow, shape[:axis], x[:axis], (out[0],))
    flow.put(node.outputs[0], [*first, *carry(flow, shape[axis:], x[axis:], (out[1],))])


def reshape(node: ir.Node, flow: Flow) -> None:
    """Labels follow their elements; channel counts in the target are rewritten."""
    x, shape = flow.of(node, 0), flow.shape(node)
    out = flow.facts.shape(node.outputs[0])
    target = flow.facts.content(node.inputs[1]) if len(node.inputs) > 1 else None
    if out is None or target is None:
        raise NoRule(Note.of("channels.shape_computed", operator=node.op_type))
    if all(labels is None for labels in x):
        flow.put(node.outputs[0], [None] * len(out))
        return
    result = carry(flow, shape, x, out)
    flow.put(node.outputs[0], result)
    _resize_by(node, flow, 1, target, result)


def resize(node: ir.Node, flow: Flow) -> None:
    """Rows and columns change; a channel axis must keep its size."""
    x, shape = flow.of(node, 0), flow.shape(node)
    out = flow.facts.shape(node.outputs[0])
    if out is None or len(out) != len(x) or "axes" in node.attributes:
        raise NoRule(Note.of("channels.resize_computed"))
    if any(labels is not None and out[a] != shape[a] for a, labels in enumerate(x)):
        raise NoRule(Note.of("channels.resize_channels"))
    flow.put(node.outputs[0], list(x))
    sizes = flow.facts.content(node.inputs[3]) if len(node.inputs) > 3 else None
    if sizes is not None and sizes.size:
        _resize_by(node, flow, 3, sizes, x)


def expand(node: ir.Node, flow: Flow) -> None:
    """Broadcast to a shape: a channel axis of that size may pass, and is counted again."""
    x, shape = flow.of(node, 0), flow.shape(node)
    target = flow.facts.content(node.inputs[1])
    out = flow.facts.shape(node.outputs[0])
    if target is None or out is None:
        raise NoRule(Note.of("channels.shape_computed", operator=node.op_type))
    lead = len(out) - len(x)
    result: Axes = [*[None] * lead, *x]
    for axis, labels in enumerate(x):
        if labels is not None and shape[axis] != out[lead + axis]:
            flow.freeze(labels, Note.of("channels.broadcast", operator=node.op_type))
            result[lead + axis] = None
    flow.put(node.outputs[0], result)
    _resize_by(node, flow, 1, target, result[len(out) - target.size :])


def _resize_by(node: ir.Node, flow: Flow, position: int, sizes: Known, axes: Axes) -> None:
    tracked = {a: v for a, v in enumerate(axes) if v is not None}
    if not tracked:
        return
    if sizes.dtype == object and flow.opset < 9:
        raise NoRule(Note.of("channels.shape_partly_computed", operator=node.op_type))
    flow.retargeted.add((node, position))

    def edit(alive: Alive) -> None:
        changes = {
            a: int(alive(v).sum())
            for a, v in tracked.items()
            if not alive(v).all() and sizes[a] != -1
        }
        if changes:
            override(node, position, sizes, changes)

    flow.edits.append(edit)


def depth_to_space(node: ir.Node, flow: Flow) -> None:
    """Blocks of channels become pixels: the channels of one output channel go together."""
    x = flow.of(node, 0)
    labels, block = x[1], node.attributes["blocksize"].as_int() ** 2
    result: Labels | None = None
    if labels is not None:
        first = node.attributes.get_string("mode", "DCR") == "DCR"
        rows = labels.reshape(block, -1) if first else labels.reshape(-1, block).T
        for row in rows[1:]:
            flow.unite(rows[0], row)
        result = np.ascontiguousarray(rows[0])
    flow.put(node.outputs[0], [x[0], result, *x[2:]])


def space_to_depth(node: ir.Node, flow: Flow) -> None:
    """Pixels become blocks of channels."""
    x = flow.of(node, 0)
    times = node.attributes["blocksize"].as_int() ** 2
    labels = x[1]
    flow.put(node.outputs[0], [x[0], None if labels is None else np.tile(labels, times), *x[2:]])


LAYOUT: dict[str, Rule] = {
    "Concat": concat,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Flatten": flatten,
    "Reshape": reshape,
    "Resize": resize,
    "Upsample": resize,
    "Expand": expand,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
