"""How labels pass operators that take or add a stretch of channels: Split, Slice, Gather, Pad.

Each hard-codes where the stretch lies, so each leaves an edit that counts again.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from core.analysis.arithmetic_rules import Rule
from core.analysis.edits import override, set_input, set_ints
from core.analysis.labels import Alive, Axes, Flow, Labels, NoRule
from core.analysis.values import as_slice, slice_steps, whole
from core.records import Note


def split(node: ir.Node, flow: Flow) -> None:
    """Each output takes its stretch of the labels; the sizes are rewritten."""
    x, shape = flow.of(node, 0), flow.shape(node)
    axis = node.attributes.get_int("axis", 0) % len(x)
    labels = x[axis]
    if labels is None:
        for value in node.outputs:
            flow.put(value, list(x))
        return
    cuts = np.cumsum(_split_sizes(node, flow, len(labels)))[:-1]
    pieces = np.split(labels, cuts)
    if len(shape) != len(x) or len(pieces) != len(node.outputs):
        raise NoRule(Note.of("channels.split_parts"))
    for value, piece in zip(node.outputs, pieces, strict=True):
        flow.put(value, [*x[:axis], piece, *x[axis + 1 :]])

    def edit(alive: Alive) -> None:
        if alive(labels).all():
            return
        counts = [int(alive(p).sum()) for p in pieces]
        if "num_outputs" in node.attributes:
            node.attributes.pop("num_outputs")
        if flow.opset < 13:
            set_ints(node, "split", counts)
        else:
            set_input(node, 1, np.array(counts, np.int64))

    flow.edits.append(edit)
    flow.retargeted.add((node, 1))


def _split_sizes(node: ir.Node, flow: Flow, total: int) -> list[int]:
    if "split" in node.attributes:
        return [int(s) for s in node.attributes["split"].as_ints()]
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        sizes = whole(flow.facts.content(node.inputs[1]))
        if sizes is None:
            raise NoRule(Note.of("channels.split_computed"))
        return sizes
    parts = len(node.outputs)
    chunk = -(-total // parts)
    return [chunk] * (parts - 1) + [total - chunk * (parts - 1)]


def slice_(node: ir.Node, flow: Flow) -> None:
    """A stretch of the labels; its ends are counted again. Strides over channels freeze."""
    x = flow.of(node, 0)
    result: Axes = list(x)
    steps = slice_steps(node, flow.contents(node), len(x))
    if steps is None:
        raise NoRule(Note.of("channels.slice_computed"))
    moved: dict[int, tuple[int, int, Labels]] = {}
    for axis, (start, end, step) in steps.items():
        labels = x[axis]
        if labels is None:
            continue
        stop = len(labels)
        begin, finish, _ = as_slice(start, end, step).indices(stop)
        if step != 1 or finish <= begin:
            flow.freeze(labels, Note.of("channels.slice_stride"))
            result[axis] = None
            continue
        result[axis] = labels[begin:finish]
        moved[axis] = (begin, finish, labels)
    flow.put(node.outputs[0], result)
    if moved:
        flow.edits.append(lambda alive: _recut(node, steps, moved, alive))
        flow.retargeted.update((node, i) for i in range(1, 5))


def _recut(
    node: ir.Node,
    steps: dict[int, tuple[int, int, int]],
    moved: dict[int, tuple[int, int, Labels]],
    alive: Alive,
) -> None:
    if all(alive(labels).all() for _, _, labels in moved.values()):
        return
    rows = []
    for axis, (start, end, step) in steps.items():
        if axis in moved:
            begin, finish, labels = moved[axis]
            before = int(alive(labels[:begin]).sum())
            start, end = before, before + int(alive(labels[begin:finish]).sum())
        rows.append((start, end, axis, step))
    columns = [list(c) for c in zip(*rows, strict=True)]
    if "starts" in node.attributes:
        for name, numbers in zip(("starts", "ends", "axes"), columns, strict=False):
            set_ints(node, name, numbers)
        return
    for position, numbers in enumerate(columns, start=1):
        set_input(node, position, np.array(numbers, np.int64))


def gather(node: ir.Node, flow: Flow) -> None:
    """A constant vector of indices picks labels, and is renumbered."""
    x = flow.of(node, 0)
    axis = node.attributes.get_int("axis", 0) % max(len(x), 1)
    picked = flow.facts.content(node.inputs[1])
    rank = len(flow.shape(node, 1))
    labels = x[axis] if x else None
    if labels is None or picked is None or whole(picked) is None or rank != 1:
        flow.freeze(labels, Note.of("channels.gathered"))
        flow.put(node.outputs[0], [*x[:axis], *[None] * rank, *x[axis + 1 :]])
        return
    chosen = labels
    indices = picked.astype(np.int64) % len(chosen)
    flow.put(node.outputs[0], [*x[:axis], chosen[indices], *x[axis + 1 :]])

    def edit(alive: Alive) -> None:
        kept = alive(chosen)
        if not kept.all():
            number = np.cumsum(kept) - 1
            set_input(node, 1, number[indices[kept[indices]]])

    flow.edits.append(edit)
    flow.retargeted.add((node, 1))


def pad(node: ir.Node, flow: Flow) -> None:
    """Channels added by padding are labels of their own; how many is counted again."""
    x = flow.of(node, 0)
    amounts = _pad_amounts(node, flow, len(x))
    result: Axes = list(x)
    zones: dict[int, tuple[Labels, Labels]] = {}
    for axis, labels in enumerate(x):
        before, after = amounts[axis], amounts[axis + len(x)]
        if labels is None or (before == 0 and after == 0):
            continue
        if not isinstance(before, int) or not isinstance(after, int) or min(before, after) < 0:
            flow.freeze(labels, Note.of("channels.pad_unknown"))
            result[axis] = None
        elif node.attributes.get_string("mode", "constant") != "constant":
            flow.freeze(labels, Note.of("channels.pad_mode"))
            result[axis] = None
        else:
            zones[axis] = flow.fresh(before), flow.fresh(after)
            result[axis] = np.concatenate([zones[axis][0], labels, zones[axis][1]])
    flow.put(node.outputs[0], result)
    if zones:
        flow.edits.append(lambda alive: _repad(node, amounts, zones, alive))
        flow.retargeted.add((node, 1))


def _pad_amounts(node: ir.Node, flow: Flow, rank: int) -> list[int | str]:
    if "pads" in node.attributes:
        return [int(p) for p in node.attributes["pads"].as_ints()]
    known = flow.facts.content(node.inputs[1])
    if known is None:
        raise NoRule(Note.of("channels.pad_computed"))
    amounts: list[int | str] = known.tolist()
    if len(node.inputs) < 4 or node.inputs[3] is None:
        return amounts
    axes = whole(flow.facts.content(node.inputs[3]))
    if axes is None or whole(known) is None:
        raise NoRule(Note.of("channels.pad_axes_computed"))
    spread: list[int | str] = [0] * (2 * rank)
    for i, axis in enumerate(axes):
        spread[axis % rank] = amounts[i]
        spread[axis % rank + rank] = amounts[i + len(axes)]
    return spread


def _repad(
    node: ir.Node,
    amounts: list[int | str],
    zones: dict[int, tuple[Labels, Labels]],
    alive: Alive,
) -> None:
    rank = len(amounts) // 2
    numbers = list(amounts)
    for axis, (before, after) in zones.items():
        numbers[axis] = int(alive(before).sum())
        numbers[axis + rank] = int(alive(after).sum())
    if numbers == amounts:
        return
    if "pads" in node.attributes:
        set_ints(node, "pads", [int(n) for n in numbers])
        return
    changes = {i: int(n) for i, n in enumerate(numbers) if n != amounts[i]}
    known = np.array(amounts, object)
    if len(node.inputs) > 3:
        node.resize_inputs(3)
    override(node, 1, known, changes)


STRETCH: dict[str, Rule] = {"Split": split, "Slice": slice_, "Gather": gather, "Pad": pad}
