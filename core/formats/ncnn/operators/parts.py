"""Parts: tensors cut, put together, repeated and padded along axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from core.formats.ncnn.attributes import Rule, given, listed, number
from core.formats.ncnn.layers import Parameter
from core.formats.ncnn.net import Array, Blob, Net
from core.formats.ncnn.operators.pooling import AS_TOLD, MAXIMUM
from core.formats.ncnn.refusal import Refused
from core.formats.ncnn.sizes import MOST_AXES, Shape, along, around, natural, within

STARTS, ENDS, AXES = 9, 10, 11  # of Crop
TO_THE_END = np.iinfo(np.int32).max
MOST_RUNS = 64  # pieces that a Gather is put together from
PADDINGS = {"constant": 0, "edge": 1, "reflect": 2}
Sized = tuple[Blob, Shape]  # a blob, and the ONNX shape of what it holds


def concat(net: Net, node: ir.Node) -> None:
    """Concat."""
    axis = node.attributes.get_int("axis", 1)
    if len(node.inputs) == 1:
        net.put(node.outputs[0], net.blob(node.inputs[0]))
        return
    shapes = [net.shape(value) for value in node.inputs]
    forms = [along(shape, axis) for shape in shapes]
    sources = [net.formed(v, form) for v, (form, _) in zip(node.inputs, forms, strict=True)]
    out, place = along(net.shape(node.outputs[0]), axis)
    net.put(node.outputs[0], net.add("Concat", node.name or "", sources, out, {0: place}))


def split(net: Net, node: ir.Node) -> None:
    """Split, by sizes or evenly."""
    axis = node.attributes.get_int("axis", 0)
    form, place = along(net.shape(node.inputs[0]), axis)
    sizes = [net.shape(value)[axis] for value in node.outputs]
    source = net.formed(node.inputs[0], form)
    forms = [(*form[:place], size, *form[place + 1 :]) for size in sizes]
    parts = net.several("Slice", node.name or "", (source,), forms, {0: sizes, 1: place})
    for value, part in zip(node.outputs, parts, strict=True):
        net.put(value, part)


def slice_(net: Net, node: ir.Node) -> None:
    """Slice with constant limits; steps are taken by pools of one element."""
    shape = net.shape(node.inputs[0])
    net.shape(node.outputs[0])
    starts, ends = (listed(net, node, name, i) or [] for name, i in (("starts", 1), ("ends", 2)))
    axes = listed(net, node, "axes", 3) or list(range(len(starts)))
    steps = listed(net, node, "steps", 4) or [1] * len(starts)
    rows = zip(axes, starts, ends, steps, strict=True)
    taken = {axis % len(shape): _range(shape[axis], *limits) for axis, *limits in rows}
    made = _ranges(net, node.name or "", (net.blob(node.inputs[0]), shape), taken)
    net.put(node.outputs[0], made[0])


def _range(size: int, start: int, end: int, step: int) -> range:
    """The places that a slice takes; one that goes backwards may end in front of the first."""
    stop = None if step < 0 and end < -size else end
    return range(size)[slice(start, stop, step)]


def _ranges(net: Net, name: str, given: Sized, taken: Mapping[int, range]) -> Sized:
    """What lies in these ranges of these axes."""
    blob, shape = given
    low = {axis: (min(r[0], r[-1]), max(r[0], r[-1]) + 1) for axis, r in taken.items()}
    cut = {axis: ends for axis, ends in low.items() if ends != (0, shape[axis])}
    blob, shape = cropped(net, name, (blob, shape), cut)
    steps = {axis: abs(r.step) for axis, r in taken.items() if abs(r.step) > 1 and len(r) > 1}
    last = tuple(range(len(shape) - 2, len(shape)))
    if tuple(sorted(steps)) == last and len(natural(shape)) == MOST_AXES - 1:
        blob, shape = _stepped(net, name, (blob, shape), natural(shape), steps)
    else:
        for axis, step in steps.items():
            blob, shape = _stepped(net, name, (blob, shape), around(shape, axis), {axis: step})
    for axis, r in taken.items():
        if r.step < 0 and len(r) > 1:
            form, place = along(shape, axis)
            source = net.as_form(blob, form)
            blob = net.add("Flip", name, (source,), form, {0: [place]})
    return blob, shape


def _stepped(net: Net, name: str, given: Sized, form: Shape, steps: Mapping[int, int]) -> Sized:
    """Every n-th element: a maximum over windows of one. One axis is the middle one of the form."""
    blob, shape = given
    out = tuple((s - 1) // steps[i] + 1 if i in steps else s for i, s in enumerate(shape))
    high, wide = (*steps.values(), 1) if len(steps) == 1 else [steps[i] for i in sorted(steps)]
    parameters = {0: MAXIMUM, 1: 1, 11: 1, 2: wide, 12: high, 5: AS_TOLD}
    made = (form[0], (form[1] - 1) // high + 1, (form[2] - 1) // wide + 1)
    return net.add("Pooling", name, (net.as_form(blob, form),), made, parameters), out


def cropped(net: Net, name: str, given: Sized, cut: Mapping[int, tuple[int, int]]) -> Sized:
    """What lies between two places of each of these axes."""
    blob, shape = given
    if not cut:
        return given
    form, places = within(shape, list(cut))
    ends = [cut[axis] for axis in sorted(cut)]
    out = list(form)
    whole = list(shape)
    for place, axis, (start, end) in zip(places, sorted(cut), ends, strict=True):
        out[place] = whole[axis] = end - start
    parameters = {STARTS: [s for s, _ in ends], ENDS: [e for _, e in ends], AXES: list(places)}
    made = net.add("Crop", name, (net.as_form(blob, form),), tuple(out), parameters)
    return made, tuple(whole)


def gather(net: Net, node: ir.Node) -> None:
    """Gather with constant indices, as the runs of neighbours that they are."""
    shape = net.shape(node.inputs[0])
    axis = node.attributes.get_int("axis", 0) % len(shape)
    indices = net.known(node.inputs[1], "list of indices").reshape(-1) % shape[axis]
    runs = _runs(indices)
    if len(runs) > MOST_RUNS:
        raise Refused(f"its {indices.size} indices make {len(runs)} pieces, more than {MOST_RUNS}")
    name, source = node.name or "", (net.blob(node.inputs[0]), shape)
    parts = [_ranges(net, name, source, {axis: run}) for run in runs]
    if len(parts) == 1:
        net.put(node.outputs[0], parts[0][0])
        return
    forms = [along(part, axis) for _, part in parts]
    sources = [net.as_form(blob, form) for (blob, _), (form, _) in zip(parts, forms, strict=True)]
    whole = (*shape[:axis], indices.size, *shape[axis + 1 :])
    out, place = along(whole, axis)
    net.put(node.outputs[0], net.add("Concat", name, sources, out, {0: place}))


def _runs(indices: Array) -> list[range]:
    """Indices as ranges of even steps."""
    found: list[range] = []
    for index in map(int, indices):
        last = found[-1] if found else None
        if last is not None and len(last) == 1 and index != last[0]:
            step = index - last[0]
            found[-1] = range(last[0], index + (1 if step > 0 else -1), step)
        elif last is not None and len(last) > 1 and index == last[-1] + last.step:
            found[-1] = range(last[0], index + (1 if last.step > 0 else -1), last.step)
        else:
            found.append(range(index, index + 1))
    return found


def expand(net: Net, node: ir.Node) -> None:
    """Expand and Tile."""
    shape, target = net.shape(node.inputs[0]), net.shape(node.outputs[0])
    shape = (*(1,) * (len(target) - len(shape)), *shape)
    blob, name = net.blob(node.inputs[0]), node.name or ""
    for axis in range(len(target)):
        if shape[axis] != target[axis]:
            form = around(shape, axis)
            source = net.as_form(blob, form)
            times = target[axis] // shape[axis]
            out = (form[0], form[1] * times, form[2])
            blob = net.add("Tile", name, (source,), out, {0: 1, 1: times})
            shape = (*shape[:axis], target[axis], *shape[axis + 1 :])
    net.put(node.outputs[0], blob)


def pad(net: Net, node: ir.Node) -> None:
    """Pad by a constant, by the edge or by reflection; negative pads cut."""
    shape, name = net.shape(node.inputs[0]), node.name or ""
    mode = node.attributes.get_string("mode", "constant")
    if mode not in PADDINGS:
        raise Refused(f"ncnn has no padding of mode {mode!r}")
    pads = listed(net, node, "pads", 1) or []
    axes = listed(net, node, "axes", 3) if given(node, 3) is not None else None
    kept = [axis % len(shape) for axis in axes] if axes is not None else list(range(len(shape)))
    value = number(net, node, "value", 2, 0.0)
    sides = {axis: (pads[i], pads[i + len(kept)]) for i, axis in enumerate(kept)}
    cut = {
        axis: (max(-before, 0), shape[axis] - max(-after, 0))
        for axis, (before, after) in sides.items() if before < 0 or after < 0
    }  # fmt: skip
    sized = cropped(net, name, (net.blob(node.inputs[0]), shape), cut)
    more = {axis: (max(a, 0), max(b, 0)) for axis, (a, b) in sides.items() if a > 0 or b > 0}
    net.put(node.outputs[0], padded(net, name, sized, more, PADDINGS[mode], value)[0])


def padded(
    net: Net, name: str, given: Sized, more: Mapping[int, tuple[int, int]], kind: int, value: float
) -> Sized:
    """More elements before and behind these axes: all at once where ncnn can, else one by one."""
    blob, shape = given
    if not more:
        return given
    whole = tuple(s + sum(more.get(axis, (0, 0))) for axis, s in enumerate(shape))
    form = natural(shape)
    places = {axis - (len(shape) - len(form)): sides for axis, sides in more.items()}
    images = len(form) < MOST_AXES and min(places) >= max(len(form) - 2, 0)
    if images or (kind == 0 and len(form) < MOST_AXES and min(places) >= 0):
        return _padding(net, name, blob, form, places, kind, value), whole
    for axis, sides in more.items():
        blob = _padding(net, name, blob, around(shape, axis), {1: sides}, kind, value)
        shape = (*shape[:axis], whole[axis], *shape[axis + 1 :])
    return blob, whole


def _padding(
    net: Net, name: str, blob: Blob, form: Shape, places: Mapping[int, tuple[int, int]],
    kind: int, value: float,
) -> Blob:  # fmt: skip
    """One Padding layer of a form of up to three axes."""
    keys = {0: (2, 3), 1: (0, 1), 2: (7, 8)}  # innermost axis first: before, behind
    parameters: dict[int, Parameter] = {4: kind, 5: float(value), 7: 0, 8: 0}
    out = list(form)
    for place, sides in places.items():
        parameters |= dict(zip(keys[len(form) - 1 - place], sides, strict=True))
        out[place] += sum(sides)
    return net.add("Padding", name, (net.as_form(blob, form),), tuple(out), parameters)


OPERATORS: Mapping[str, Rule] = {
    "Concat": concat, "Split": split, "Slice": slice_, "Gather": gather, "Expand": expand,
    "Tile": expand, "Pad": pad,
}  # fmt: skip
