"""Sentences of pruning: of channels, and of single weights."""

from __future__ import annotations

from collections.abc import Mapping

from core.wording.template import Template, Values, interval

_LOST = {
    "ranking": "channels were ranked by the L1 norm of their filters",
    "budget": "the budget was spread by those norms",
    "refit": "the layers that are left were not refitted",
}


def _no_images(v: Values) -> str:
    lost = ", ".join(_LOST[one] for one in v["lost"])
    return (
        f"No calibration images: {lost}. Expect to lose much more accuracy than with images; they "
        "need no labels."
    )


def _removed(v: Values) -> str:
    share = v["removed"] / v["channels"]
    return (
        f"{v['removed']} of {v['channels']} channels removed ({share:.0%}) from {v['cut']} of "
        f"{v['groups']} groups; {v['tensors']} tensors became smaller."
    )


def rounding(multiple: int) -> str:
    """What counts are rounded to; 0 for a multiple by the width of each group."""
    return (
        f"a multiple of {multiple}" if multiple else "multiples that suit the width of each group"
    )


def _rounded(v: Values) -> str:
    return f"keeps its {v['channels']} channels: rounded to {rounding(v['multiple'])}"


def _refitted(v: Values) -> str:
    together = v["together"]
    also = f" {together} of them were fitted together with the layer before." if together else ""
    return (
        f"{v['refitted']} of {v['layers']} layers refitted on {v['images']} calibration images; "
        f"the error of a layer on images held back went from {v['before']:.1%} to "
        f"{v['after']:.1%} (median).{also}"
    )


def _integers(v: Values) -> str:
    return (
        f"Kept channels are multiples of {v['multiple']}: int8 follows, and on {v['backend']} it "
        f"takes {interval(v['times'], 2)} of the time that it takes with multiples by the width of "
        "each group."
    )


SENTENCES: Mapping[str, Template] = {
    "prune.budget_unmet": "The budget asks for {target:.0%}; the groups that may be cut give no "
    "less than {left:.0%}.",
    "prune.emptied": "would leave a tensor without channels",
    "prune.few_images": "Only {images} calibration images: the refit is held back by a stronger "
    "ridge ({ridge}). With {enough} or more it repairs more.",
    "prune.group": "{group}: {before} -> {after}",
    "prune.integers": _integers,
    "prune.no_images": _no_images,
    "prune.no_such_layer": "no prunable layer has this name",
    "prune.none_refitted": "No layer could be refitted to the calibration images.",
    "prune.not_refitted": "not refitted: {reason}",
    "prune.not_timed": "Roundings of the channels could not be timed in int8: {reason}",
    "prune.nothing": "Nothing was removed, as asked.",
    "prune.refitted": _refitted,
    "prune.removed": _removed,
    "prune.rounded": _rounded,
    "prune.stream": "part of a residual stream; the scope is inner",
    "refit.bias_alone": "only its bias: more was no better",
    "refit.no_better": "no better on held-out images",
    "sparse.computed_weight": "its weight is computed while the model runs",
    "sparse.no_faster": "No CPU backend here runs zeros faster; the file keeps its size and zips "
    "smaller.",
    "sparse.nothing": "The graph has no weights that can be pruned; nothing was changed.",
    "sparse.odd_inputs": "its {inputs} inputs per output are not a multiple of 4",
    "sparse.quantized_weight": "its weight is quantized",
    "sparse.reshaped_weight": "its weight is reshaped on the way: axes not known",
    "sparse.zeros": "{zeros} of {weights} weights are zero now ({share:.0%}).",
}
