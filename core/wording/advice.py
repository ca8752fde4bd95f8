"""Sentences of advice on the architecture: arithmetic on the graph, nothing of it measured."""

from __future__ import annotations

from collections.abc import Mapping

from core.wording.template import Template, Values, counted, many


def _separable(v: Values) -> str:
    before, after = map(counted, v["parameters"])
    start = f"Written as depthwise + pointwise, {many(v['layers'], 'dense convolution')} would take"
    if v["macs"] is None:
        return (
            f"{start} the network from {before} to {after} parameters, once it is trained anew. "
            "How many MACs that saves is unknown, since the input size is open."
        )
    most = ", ".join(f"{name} ({counted(a)} -> {counted(b)} MACs)" for name, a, b in v["most"])
    macs = " to ".join(map(counted, v["macs"]))
    return (
        f"{start} the network from {macs} MACs and from {before} to {after} parameters, once it "
        f"is trained anew. Most is saved at {most}."
    )


def _no_shortcuts(v: Values) -> str:
    merges = f" ({v['elsewhere']} elsewhere)" if v["elsewhere"] else ""
    return (
        f"{v['run']} convolutions follow one another with no shortcut around any of them{merges}. "
        "Networks this deep are hard to train without shortcuts; an Add around every second or "
        "third layer costs no parameters and no MACs."
    )


def _odd_channels(v: Values) -> str:
    layers = v["layers"]
    some = ", ".join(f"{name} ({channels})" for name, channels in v["first"])
    more = f" and {layers - len(v['first'])} more" if layers > len(v["first"]) else ""
    return (
        f"{many(layers, 'inner convolution')} {'has' if layers == 1 else 'have'} a number of "
        f"channels that is not a multiple of {v['multiple']}, so vector kernels work on padding: "
        f"{some}{more}."
    )


def _large_dense(v: Values) -> str:
    names = ", ".join(f"{name} ({counted(parameters)})" for name, parameters in v["largest"])
    return (
        f"Fully connected layers hold {v['share']:.0f} % of the parameters: {names}. Global "
        "average pooling before the last one would remove most of them."
    )


def _exported(v: Values) -> str:
    parts = [("norms", "batch norm"), ("dropouts", "dropout")]
    found = " and ".join(many(v[name], thing) for name, thing in parts if v[name])
    return (
        f"This file was exported in training mode ({found}): an answer depends on what else is in "
        "the batch, or on chance, and a batch norm in that mode cannot be folded. Export it again "
        "in evaluation mode, in PyTorch after model.eval()."
    )


def _saved(v: Values) -> str:
    what = "parameters" if v["macs"] is None else "MACs"
    before, after = v[what.lower()]
    return f"{100 * (before - after) / before:.3g} % fewer {what}"


SENTENCES: Mapping[str, Template] = {
    "advice.heavy_first": "The first convolution, {layer}, takes {share:.0f} % of all MACs. With a "
    "stride of 2 it, and every layer up to the next stride, would take a quarter.",
    "advice.large_dense": _large_dense,
    "advice.no_norms": "The file holds {convolutions} convolutions and no batch norm. Either they "
    "were folded before the export, as they should be, or the network was trained without them: "
    "the file cannot tell. A network trains more easily with batch norms, and folded ones cost "
    "nothing.",
    "advice.no_shortcuts": _no_shortcuts,
    "advice.norms_fold": lambda v: (
        f"{v['ready']} of {many(v['found'], 'batch norm')} directly "
        f"{'follows' if v['ready'] == 1 else 'follow'} a layer and can be folded into its weights: "
        "no output changes."
    ),
    "advice.norms_in_training": lambda v: (
        f"{many(v['found'], 'batch norm')} cannot be folded: the file was exported in training "
        "mode."
    ),
    "advice.norms_stay": lambda v: (
        f"{many(v['found'], 'batch norm')} cannot be folded: each stands before an activation or "
        "behind a Concat, not directly behind a layer, and goes on scaling and shifting every "
        "element."
    ),
    "advice.odd_channels": _odd_channels,
    "advice.separable": _separable,
    "advice.told": lambda v: str(v["text"]),
    "training.exported": _exported,
}

TITLES: Mapping[str, Template] = {
    "advice.heavy_first": "Heavy first layer",
    "advice.large_dense": "Large fully connected layers",
    "advice.no_norms": "No batch norm in the file",
    "advice.no_shortcuts": "Shortcuts missing",
    "advice.norms_fold": "Batch norms",
    "advice.norms_in_training": "Batch norms",
    "advice.norms_stay": "Batch norms",
    "advice.odd_channels": "Odd channel counts",
    "advice.separable": "Depthwise + pointwise would shrink it",
    "advice.told": "{title}",
}

FIGURES: Mapping[str, Template] = {
    "advice.heavy_first": "{share:.3g} % of the MACs",
    "advice.large_dense": "{share:.3g} % of the parameters",
    "advice.no_norms": "{convolutions} convolutions",
    "advice.no_shortcuts": "{run} convolutions in a row",
    "advice.norms_fold": "{ready} to fold",
    "advice.norms_in_training": "{found} in training mode",
    "advice.norms_stay": "{found} to stay",
    "advice.odd_channels": lambda v: many(v["layers"], "convolution"),
    "advice.separable": _saved,
    "advice.told": "{figure}",
}
