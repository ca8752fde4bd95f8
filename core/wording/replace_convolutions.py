"""Sentences of replaced convolutions."""

from __future__ import annotations

from collections.abc import Mapping

from core.wording.template import Template, Values

_LESS = {
    "macs": "of aligned rank has fewer MACs",
    "bytes": "of aligned rank is smaller",
    "latency": "was measured faster on the backend of the budget",
}


def _amount(cost: float, unit: str) -> str:
    if unit == "seconds":
        return f"{cost * 1e6:,.0f} us"
    return f"{cost / 1e6:,.2f} M{' MACs' if unit == 'MACs' else 'B'}"


def _replaced(v: Values) -> str:
    return (
        f"{v['layers']} convolutions replaced: {_amount(v['before'], v['unit'])} -> "
        f"{_amount(v['after'], v['unit'])} (x{v['after'] / v['before']:.2f}), counted over all "
        "layers."
    )


def _layer(v: Values) -> str:
    return (
        f"{v['layer']}: {v['inputs']} -> {v['outputs']}, {_product(v['kernel'])} became "
        f"{v['form']}, rank {_product(v['rank'])}; {_amount(v['before'], v['unit'])} -> "
        f"{_amount(v['after'], v['unit'])}, its output off by {v['error']:.1%} before refitting"
    )


def _product(sizes: list[int]) -> str:
    return " x ".join(map(str, sizes))


SENTENCES: Mapping[str, Template] = {
    "replace.beyond_tolerance": "every cheaper replacement changes its output by more than "
    "{tolerance:.0%} (the best by {least:.0%})",
    "replace.computed_weight": "its weights are computed while the model runs, or quantized",
    "replace.depthwise": "is depthwise already",
    "replace.given_weight": "its weight is the input {input!r} of the model, which a caller may "
    "set",
    "replace.grouped": "has {groups} groups",
    "replace.in_body": "is inside the body of a control-flow node",
    "replace.layer": _layer,
    "replace.no_images": "No calibration images: nothing was refitted, which costs far more "
    "accuracy than with some hundred images.",
    "replace.no_such_layer": "no convolution has this name",
    "replace.none_cheaper": lambda v: f"no replacement {_LESS[v['budget']]}",
    "replace.none_fits": "No convolution of this model can be replaced; nothing was changed.",
    "replace.none_worth": "Nothing was replaced: no replacement is worth it under this budget.",
    "replace.not_needed": "the budget is met without it, at less error elsewhere",
    "replace.not_plain": "its bias or its input is not what a plain convolution has",
    "replace.pointwise": "its kernel is 1 x 1: there is nothing to take apart",
    "replace.replaced": _replaced,
    "replace.single_line": "its kernel is a single row or column already",
    "replace.spatial_axes": "has {axes} spatial axes; replacements are known for two",
    "replace.transposed": "is a transposed convolution, for which no replacement is known",
    "replace.unknown_size": "the size of its input is not known before the model runs; freeze the "
    "dimensions",
    "replace.unreached": "A speed-up of {speedup:g} was not reached: that is all that the layers "
    "allow within the tolerance.",
    "replace.untimed": "it was not timed on the backend of the budget",
}
