"""Why int8 did not pay: what stands between integer layers, what stayed float, what got slower."""

from __future__ import annotations

import statistics
from collections import Counter
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

WORTH_TELLING = 0.05  # of the time of all layers
WORTH_SPARING = 0.01
SLOWER = 1.05
BATCH_NORM = "BatchNorm"
WITH_INSTRUCTION = 0.5  # int8 against float, on processors that have one
AT_THE_ENDS = 2  # quantizing the input and dequantizing the output is the least there can be


def quantizing(view: View) -> Iterator[Found]:
    """Time that QuantizeLinear and DequantizeLinear take."""
    layers = _quantizers(view)
    spent, whole = seconds(layers), view.after.layers_s
    if spent < WORTH_TELLING * whole:
        return
    text = (
        f"{count(len(layers), 'quantize or dequantize node')} really ran and took {ms(spent)}, "
        f"{percent(spent, whole)} of the time of all layers."
    )
    if len(layers) <= AT_THE_ENDS:
        text += " They stand at the input and the output, where int8 begins and ends."
        yield Found(spent, Cause("Quantizing at the ends", text))
        return
    between = _islands(view)
    if not view.integer:
        fix = _off(view)
    else:
        fix = _joined(view, between) if between else _least_worth(view)
    yield Found(spent, Cause("Quantizing and dequantizing", text, fix))


def islands(view: View) -> Iterator[Found]:
    """Float layers that both read from and feed integer layers."""
    found = _islands(view)
    if not found:
        return
    spent, kinds = seconds(found), Counter(layer.op_type for layer in found)
    names = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common(3))
    text = (
        f"{count(len(found), 'float layer')} ({names}) between int8 layers: {ms(spent)}, plus the "
        f"conversions around them. {_reason(view, found)}"
    )
    yield Found(spent, Cause("Float islands", text, _joined(view, found)))


def stayed_float(view: View) -> Iterator[Found]:
    """Convolutions and matrix products of a quantized file that the backend ran in float."""
    if not view.after.quantized:
        return
    weighted = [x for x in view.after.layers if x.role == "compute" and has_weights(x)]
    floats = [x for x in weighted if not is_integer(x) and x.precision]
    if not floats:
        return
    spent = seconds(floats)
    text = (
        f"{len(weighted) - len(floats)} of {count(len(weighted), 'layer')} with weights really ran "
        f"in int8; {count(len(floats), 'layer')} ran in float and took {ms(spent)}, "
        f"{percent(spent, view.after.layers_s)} of the time of all layers: {listed(floats)}."
    )
    refused = [x for x in floats if x.stored_integer]
    if len(floats) == len(weighted):
        text += f" {view.label} computes this file in float throughout."
        fix = _off(view)
    elif refused:
        text += f" {_reason(view, refused)}"
        heavy = spent >= WORTH_SPARING * view.after.layers_s
        fix = f"Spare them the conversions: {view.excluding(refused)}." if heavy else ""
    else:
        text += " The file itself keeps them float."
        fix = ""
    yield Found(spent, Cause("Layers that stayed float", text, fix))


def slower_in_integers(view: View) -> Iterator[Found]:
    """Layers whose int8 kernel is slower than the float one."""
    worse = [
        (old, new)
        for old, new in view.both
        if is_integer(new) and not is_integer(old) and new.seconds > SLOWER * old.seconds
    ]
    lost = sum(new.seconds - old.seconds for old, new in worse)
    if lost < WORTH_TELLING * view.before.layers_s:
        return
    worse.sort(key=lambda pair: pair[0].seconds - pair[1].seconds)
    old, new = worse[0]
    kinds = Counter(layer.kind for _, layer in worse).most_common(1)[0]
    text = (
        f"{count(len(worse), 'layer')} run slower in int8 than in float, {ms(lost)} together; most "
        f"are {kinds[0]} ({kinds[1]}). The worst, {new.name}: {ms(old.seconds)} in float, "
        f"{ms(new.seconds)} in int8 ({new.implementation or new.op_type})."
    )
    yield Found(lost, Cause("int8 kernels slower than float ones", text, _spared(view, worse)))


def _spared(view: View, worse: list[tuple[LayerProfile, LayerProfile]]) -> str:
    """Leave float what loses more in int8 than a step to float and back would cost."""
    steps = [x.seconds for x in _quantizers(view)]
    there_and_back = 2 * statistics.median(steps) if steps else 0.0
    named = [
        new
        for old, new in worse
        if has_weights(new)
        and new.seconds - old.seconds > (there_and_back if view.inside(new) else 0.0)
    ]
    if named:
        return (
            f"Leave float what loses more than a step to float and back: {view.excluding(named)}."
        )
    return _off(view) if view.ratio > 1 + SAME else ""


def no_instruction(view: View) -> Iterator[Found]:
    """No VNNI: an int8 product takes three instructions."""
    same = [(old, new) for old, new in view.both if is_integer(new) and not is_integer(old)]
    before, after = (sum(pair[side].seconds for pair in same) for side in (0, 1))
    if view.fast_int8 or after <= WITH_INSTRUCTION * before:
        return
    text = (
        f"{view.host.cpu or 'This processor'} has no VNNI or other int8 product: the "
        f"{count(len(same), 'layer')} that became int8 went from {ms(before)} to {ms(after)} "
        f"(×{after / before if before else 1:.2f}), where processors with VNNI give ×0.3 to ×0.5."
    )
    fix = ""
    if after >= before:
        fix = f"Switch `{view.quantizer}` off for this machine; `prune_channels` gives time here."
    yield Found(after - WITH_INSTRUCTION * before, Cause("No int8 instructions here", text, fix))


def half_precision(view: View) -> Iterator[Found]:
    """A file of float16 that a CPU computes in float32."""
    casts = [x for x in view.after.layers if x.role == "cast"]
    spent = seconds(casts)
    if not _is_half(view) or any(x.precision == "f16" and has_weights(x) for x in _compute(view)):
        return
    text = (
        f"The weights are stored as float16, but {view.label} computes every layer in "
        f"{_compute(view)[0].precision or 'f32'} on this CPU: half the bytes, the same work"
    )
    text += f", and {count(len(casts), 'cast')} of {ms(spent)} besides." if casts else "."
    fix = f"`{view.quantizer}` instead of convert_precision, if it is time that counts."
    yield Found(spent, Cause("float16 is storage only on a CPU", text, fix))


def _is_half(view: View) -> bool:
    before, after = (
        p.size_bytes / p.parameters if p.parameters else 0.0 for p in (view.before, view.after)
    )
    return after < 3 <= before and not view.after.quantized


def _compute(view: View) -> list[LayerProfile]:
    return [x for x in view.after.layers if x.role == "compute"]


def _islands(view: View) -> list[LayerProfile]:
    """Float compute layers with integer layers above and below."""
    floats = (x for x in _compute(view) if x.precision and not is_integer(x))
    return [layer for layer in floats if view.inside(layer)]


def _joined(view: View, between: list[LayerProfile]) -> str:
    """The switch that makes one stretch of float and integer layers in turns."""
    foldable = any(map(_is_batch_norm, between)) and "fold_batch_norm" not in view.after.passes
    if foldable:
        return f"Put `fold_batch_norm` before {view.quantizer}."
    return f"Leave the int8 layers around them float: {_around(view, between)}."


def _off(view: View) -> str:
    if not any("DequantizeLinear" not in x.op_type for x in _quantizers(view)):
        return "`quantize_int8`, which quantizes activations too: weights alone save bytes only."
    return f"Switch `{view.quantizer}` off for this backend, or ship on another one."


def _quantizers(view: View) -> list[LayerProfile]:
    return [x for x in view.after.layers if x.role == "quantize"]


def _around(view: View, found: list[LayerProfile]) -> str:
    """The switch that leaves the integer layers next to these in float."""
    near: dict[str, LayerProfile] = {}
    for layer in found:
        waiting = list(layer.sources)
        while waiting:
            other = view.nodes.get(waiting.pop())
            if other is None or other.name in near:
                continue
            if other.role == "compute":
                if is_integer(other):
                    near[other.name] = other
            else:
                waiting += other.sources
    return view.excluding(near.values() or found)


def _least_worth(view: View) -> str:
    """Without islands: give up the integer layer that gains least for its conversions."""
    gains = [
        (new.seconds - old.seconds, new)
        for old, new in view.both
        if is_integer(new) and not is_integer(old)
    ]
    if not gains:
        return ""
    least = max(gains, key=lambda gain: gain[0])[1]
    return f"Leave the one that gains least float: {view.excluding([least])}."


def _is_batch_norm(layer: LayerProfile) -> bool:
    return layer.op_type.startswith(BATCH_NORM) or layer.kind == "batch norm"


def _reason(view: View, floats: list[LayerProfile]) -> str:
    """Why the backend computed these in float."""
    slowest = max(floats, key=lambda layer: layer.seconds)
    if _is_batch_norm(slowest):
        return "A batch norm behind a quantized convolution cannot be folded any more."
    if any(layer.kind == slowest.kind for layer in view.integer):
        return f"{view.label} ran other {slowest.kind} layers in int8: these were not quantized."
    return f"{view.label} ran no {slowest.kind} in int8 here."
