"""Why fewer parameters or fewer MACs did not give less time."""

from __future__ import annotations

from collections.abc import Iterator

from core.measure.explain.view import (
    SAME,
    Found,
    View,
    count,
    has_weights,
    is_integer,
    listed,
    ms,
    percent,
    seconds,
)
from core.records import Cause, LayerProfile

WORTH_TELLING = 0.05
OVERHEAD = 0.25
MORE = 1.2
FEWER_MACS = 0.9
ZEROS_ADDED = 0.1
MEMORY_BOUND = 0.35


def reorders(view: View) -> Iterator[Found]:
    """Time spent on moving tensors between layouts."""
    layers = [x for x in view.after.layers if x.role == "reorder"]
    spent, whole = seconds(layers), view.after.layers_s
    before = seconds(x for x in view.before.layers if x.role == "reorder")
    if spent < WORTH_TELLING * whole or spent <= MORE * before:
        return
    text = (
        f"{count(len(layers), 'layout change')} took {ms(spent)}, {percent(spent, whole)} of the "
        f"time of all layers (before: {ms(before)})."
    )
    odd = _odd(view)
    if odd:
        text += (
            f" {count(len(odd), 'convolution')} with channels that are no multiple of {view.block} "
            f"cannot stay in the blocked layout: {listed(odd)}."
        )
        fix = f"Keep channels in blocks: `prune_channels multiple={view.block}`."
    elif view.after.quantized and _has_foldable_norms(view):
        text += " Each batch norm between int8 layers wants the plain layout."
        fix = f"Put `fold_batch_norm` before {view.quantizer}."
    else:
        text += f" {view.label} puts them where its kernels change from one layout to another."
        fix = ""
    yield Found(spent - before, Cause("Layout changes", text, fix))


def odd_channels(view: View) -> Iterator[Found]:
    """Channel counts that fill the last register only partly."""
    known = {x.name for x in view.before.layers if _is_convolution(x) and x.channels % view.block}
    new = [(a, b) for a, b in view.both if b in _odd(view) and b.name not in known]
    if not new or view.after.macs >= FEWER_MACS * view.before.macs:
        return
    took = seconds(b for _, b in new)
    scaled = sum(a.seconds * (b.macs / a.macs if a.macs else 1.0) for a, b in new)
    text = (
        f"{count(len(new), 'convolution')} now have channels that are no multiple of {view.block} "
        f"({listed(b for _, b in new)}); kernels work in blocks of {view.block}. They took "
        f"{ms(seconds(a for a, _ in new))} before and take {ms(took)} now; by their MACs it would "
        f"be {ms(scaled)}."
    )
    lost = [(a, b) for a, b in new if a.implementation != b.implementation]
    if lost:
        old, now = lost[0]
        text += (
            f" {count(len(lost), 'layer')} fell back from {old.implementation} to "
            f"{now.implementation}."
        )
    fix = f"Keep channels in blocks: `prune_channels multiple={view.block}`."
    yield Found(max(took - scaled, 0.0), Cause("Channels that fill no block", text, fix))


def overhead(view: View) -> Iterator[Found]:
    """Time of a call that no layer accounts for."""
    outside = view.after.total_s - view.after.layers_s
    if view.after.busy or outside < OVERHEAD * view.after.total_s:
        return
    text = (
        f"A call takes {ms(view.after.total_s)}, all its layers {ms(view.after.layers_s)}: "
        f"{percent(outside, view.after.total_s)} is spent around them: on calling {view.label}, "
        "on waking threads and on copies."
    )
    if view.after.threads != 1:
        text += f" {view.after.threads or 'All'} threads have to be woken for each layer."
        fix = "Measure with 1 thread."
    else:
        small = [x for x in view.after.layers if x.role == "other"]
        fix = "`simplify`, which removes nodes that compute nothing." if len(small) > 4 else ""
    yield Found(outside, Cause("The call itself", text, fix))


def memory_bound(view: View) -> Iterator[Found]:
    """MACs went, but the layers that are left wait for memory."""
    if not view.before.macs or view.after.macs >= FEWER_MACS * view.before.macs:
        return
    macs = view.after.macs / view.before.macs
    bound = [x for x in view.after.layers if _waits(x)]
    spent, whole = seconds(bound), view.after.layers_s
    if view.ratio <= macs + 0.1 or spent < MEMORY_BOUND * whole or _grew(view):
        return
    kinds = sorted({x.kind for x in bound}, key=lambda k: -seconds(x for x in bound if x.kind == k))
    text = (
        f"MACs fell to {100 * macs:.0f} %, a call to {100 * view.ratio:.0f} %: "
        f"{percent(spent, whole)} of the layers' time ({ms(spent)}) is {', '.join(kinds[:3])}, "
        "which move bytes rather than multiply."
    )
    fix = "Shrink the tensors that they move: `prune_channels scope=all`."
    yield Found(spent, Cause("What is left waits for memory", text, fix))


def already_fused(view: View) -> Iterator[Found]:
    """The pass folded what the runtime folds by itself."""
    gone = view.before.batch_norms - view.after.batch_norms
    ran = [x for x in view.before.layers if x.kind == "batch norm" and x.role == "compute"]
    fused = view.before.batch_norms - len(ran)
    if gone <= 0 or fused <= 0:
        return
    lighter = view.after.macs < FEWER_MACS * view.before.macs
    if view.after.quantized or lighter or abs(view.ratio - 1) > 2 * SAME:
        return
    text = (
        f"{view.label} folds {fused} of {count(view.before.batch_norms, 'batch norm')} by itself "
        f"when it loads the original: {len(view.before.layers)} layers ran before and "
        f"{len(view.after.layers)} after."
    )
    fix = "Folding pays before `quantize_int8`: later it cannot be done."
    yield Found(0.0, Cause("The runtime had fused it already", text, fix))


def zeros(view: View) -> Iterator[Found]:
    """Zeros are multiplied like any other number."""
    if view.after.zero_share < view.before.zero_share + ZEROS_ADDED:
        return
    weighted = [x for x in view.after.layers if x.role == "compute" and has_weights(x)]
    old = seconds(x for x in view.before.layers if x.role == "compute" and has_weights(x))
    text = (
        f"{100 * view.after.zero_share:.0f} % of the weights are zero, and {view.label} multiplies "
        f"all of them: layers with weights took {ms(old)} before and {ms(seconds(weighted))} after."
    )
    fix = "Remove whole channels instead: `prune_channels`, which makes tensors smaller."
    yield Found(seconds(weighted), Cause("Zeros are computed all the same", text, fix))


def _has_foldable_norms(view: View) -> bool:
    norms = any(x.kind == "batch norm" and x.role == "compute" for x in view.after.layers)
    return norms and "fold_batch_norm" not in view.after.passes


def _odd(view: View) -> list[LayerProfile]:
    """Convolutions whose output channels fill no whole number of blocks."""
    return [x for x in view.after.layers if _is_convolution(x) and x.channels % view.block]


def _is_convolution(layer: LayerProfile) -> bool:
    return layer.role == "compute" and has_weights(layer) and layer.kind != "fully connected"


def _waits(layer: LayerProfile) -> bool:
    return layer.role in ("compute", "reorder", "cast", "quantize") and (
        layer.kind.startswith("depthwise") or (not has_weights(layer) and not is_integer(layer))
    )


def _grew(view: View) -> bool:
    """Whether such layers take longer than before: then it is their kernel and not the memory."""
    waiting = [(a, b) for a, b in view.both if _waits(b)]
    return seconds(b for _, b in waiting) > MORE * seconds(a for a, _ in waiting)
