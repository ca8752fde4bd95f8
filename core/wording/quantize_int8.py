"""Sentences of the repaired quantization to int8."""

from __future__ import annotations

from collections.abc import Mapping

from core.wording.template import Template, Values, interval, kept

_GUESSED = "the model does not say how pixels become inputs: a guess of that tells no range"
_UNCOUNTED = {
    "": "",
    "no labels": "the calibration images have no labels.",
    "by chance": "the net is hardly ever right by the labels of the calibration images.",
}

_LACKING = {
    "no labels": "no annotations to score on",
    "few": "too few annotated images to score on",
    "by chance": "annotations, but the net is hardly ever right by them",
}


def _calibrated(v: Values) -> str:
    end = f", {v['held_out']} of them held out to judge by." if v["held_out"] else "."
    return f"Calibrated on {v['images']} images{end}"


def _weights_alone(v: Values) -> str:
    why = "none could be made up for this input"
    if v["tensor"]:
        why = f"no batch norm tells the range of {v['tensor']!r} (folded, or there is none)"
        why += f", and {_GUESSED}" if v["guessed"] else ""
    return (
        f"Data-free: there are no calibration images and {why}, so only the weights are int8, "
        "rounded to nearest; the file shrinks, the time does not. Add images for int8 arithmetic."
    )


def _arithmetic(v: Values) -> str:
    kind = f"{'s' if v['signed'] else 'u'}{v['bits']}"
    kind += f", s{v['bits']} where they lie around zero" if v["mixed"] else ""
    return (
        f"{v['layers']} layers with weights compute in integers (activations {kind}, weights s8)."
    )


def _made_up(v: Values) -> str:
    more = f" and {v['tensors'] - 1} more tensors" if v["tensors"] > 1 else ""
    return (
        f"Data-free: no batch norm tells the range of {v['tensor']!r}{more} (folded, or there is "
        f"none), so those are {v['margin']:g} times what made-up images reach: too little where "
        "real ones reach further. Give the model before folding, or images, for better ones."
    )


def _equalised(v: Values) -> str:
    ways = (
        "wherever only a ReLU or a joint stands between two layers",
        "where depthwise layers read",
    )
    said = "nothing gained: left as they are"
    if v["layers"]:
        said = f"{v['layers']} layers, {ways[v['way']]}"
    what = "alone" if v["activations_alone"] else "and of weights to nearest"
    return (
        f"Cross-layer equalisation: {said}. Relative logit error by the rounding of activations "
        f"{what} {v['before']:.2g} -> {v['after']:.2g}."
    )


def _other_way(v: Values) -> str:
    """How integers are computed with, where it is not the usual way."""
    if v["first"]:
        return _first(v["first"])
    lone = ["only layers with weights compute in integers"] if v["weighted_alone"] else []
    return ", ".join(lone + ([f"activations are {v['activations']}"] if v["activations"] else []))


def _first(count: int) -> str:
    return "the first layer stays float" if count == 1 else f"the first {count} layers stay float"


def _strays(v: Values) -> str:
    there = f"relative logit error {v['there']:.2g} instead of {v['written']:.2g}"
    head = f"{v['backend']} computes something else than the file says"
    way = _other_way(v)
    return f"{head} ({there}), so {way}: {v['now']:.2g}." if way else f"{head}: {there}."


def _mended(v: Values) -> str:
    stays = _first(v["first"])
    return (
        f"{v['backend']} computes something else than the file says (relative logit error "
        f"{v['there']:.2g} instead of {v['written']:.2g}), so {stays}: {v['now']:.2g}."
    )


def _read_elsewhere(v: Values) -> str:
    said = (
        f"{backend} does not run it" if there == float("inf")
        else f"{backend} {there:.2g} (the file says {written:.2g})"
        for backend, there, written in v["read"]
    )  # fmt: skip
    return (
        f"Read by other runtimes, relative logit error on {v['images']} held-out images: "
        f"{'; '.join(said)}."
    )


def _familiar(v: Values) -> str:
    so = f"is {100 * v['known']:.1f} % sure of its answers on"
    if v["right"] is not None:
        so = f"is right about {100 * v['right']:.1f} % and {100 * v['known']:.1f} % sure of"
    return (
        f"The net {so} the calibration images, as nets are on images that they were trained on. "
        "So its confidence is taken from copies of them, enlarged by 5 %, of which it is "
        f"{100 * v['copies']:.1f} % sure; images that it was not trained on say more."
    )


def _expected(v: Values) -> str:
    loss = interval(v["loss"], 1)
    by = (
        f"by the net's own confidence and the errors on {v['images']} held-out images (relative "
        f"{v['error']:.2g})"
    )
    if v["loss"][0] <= v["promised"]:
        return f"Expected loss: {loss} points of accuracy, {by}."
    return (
        f"This may lose more than {v['promised']:g} point of accuracy: {loss} are expected, {by}."
    )


def _bears(v: Values) -> str:
    why = _UNCOUNTED.get(
        v["uncounted"], f"{v['labelled']} labelled images are too few to count on."
    )
    return (
        f"{v['points']:g} points of accuracy bear a relative logit error of {v['target']:.2g}: "
        f"expected of noise on the logits of {v['images']} held-out images, by the net's own "
        f"confidence.{f' An expectation, not a count: {why}' if why else ''}"
    )


def _counted(v: Values) -> str:
    trained = "too few if the net was trained on these images"
    if (metric := v.get("metric", "top-1")) == "top-1":
        return (
            f"Counted on {v['images']} labelled calibration images: {v['lost']:.2f} points lost "
            f"(one image is {v['one']:.2f}; {trained})."
        )
    if not v["uncounted"]:
        return (
            f"Counted on {v['images']} annotated calibration images: {v['lost']:.2f} points of "
            f"{metric} lost ({trained})."
        )
    return (
        f"Counted on {v['images']} calibration images: {metric} {100 - v['lost']:.2f} %. There are "
        f"{_LACKING[v['uncounted']]}, so what changes counts as lost."
    )


def _sensitive(v: Values) -> str:
    listed = ", ".join(f"{name} {error:.1g}" for name, error in v["layers"])
    return f"Most sensitive layers (relative logit error alone): {listed}."


def _raced(v: Values) -> str:
    ratio, where = interval(v["ratio"], 2), v["backend"]
    if not v["moves"]:
        return f"Measured on {where}: int8 takes {ratio} of the float time."
    return (
        f"Measured on {where}: everything in int8 takes {interval(v['full_ratio'], 2)} of the "
        f"float time; {ratio} when {', '.join(v['moves'])}."
    )


def _finished(v: Values) -> str:
    return (
        f"Measured on {v['backend']}: the finished model takes {interval(v['ratio'], 2)} of the "
        "float time."
    )


def _wide(v: Values) -> str:
    layers = ", ".join(v["layers"])
    return f"16-bit activations for {layers}: relative logit error {v['error']:.2g}."


def _step(v: Values) -> str:
    what = {"gptq": "Rounding by reconstruction (GPTQ)", "bias": "Bias correction"}[v["step"]]
    return f"{what}: relative logit error {v['before']:.2g} -> {v['after']:.2g}{kept(v['kept'])}."


def _absorbed(v: Values) -> str:
    return (
        "Data-free: cross-layer equalisation and bias absorption, relative logit error on made-up "
        f"images {v['before']:.2g} -> {v['after']:.2g}{kept(v['kept'])}."
    )


SENTENCES: Mapping[str, Template] = {
    "float.depthwise": "depthwise layers stay float",
    "float.depthwise_and_joins": "depthwise layers and joins stay float",
    "float.first": lambda v: _first(v["layers"]),
    "float.grouped": "grouped layers stay float",
    "float.half_of_depthwise": "the first half of the depthwise layers stays float",
    "float.joins": "sums and concatenations stay float",
    "float.kind": "{operator} stays float",
    "float.last": "the last layer stays float",
    "float.norms": "batch norms stay float",
    "int8.absorbed": _absorbed,
    "int8.agrees": "Relative logit error {error:.2g}; {agreeing:.1f} % of the held-out images keep "
    "their first class.",
    "int8.arithmetic": _arithmetic,
    "int8.bears": _bears,
    "int8.calibrated": _calibrated,
    "int8.counted": _counted,
    "int8.equalised": _equalised,
    "int8.expected_loss": _expected,
    "int8.familiar": _familiar,
    "int8.faster_float": "stays float: the net is faster so",
    "int8.few_images": "{images} images are few; 100 or more give steadier ranges.",
    "int8.finished": _finished,
    "int8.finished_does_not_run": "The finished model does not run there: {reason}",
    "int8.float_is_accurate": "Float is within {limit:g} ms already, and nothing is more accurate.",
    "int8.float_is_best": "So the model was left as it is: fp32 is the best for {backend} here.",
    "int8.from_norms": "Data-free: {told} of {ranges} ranges are six deviations of the batch norms "
    "to each side, or what a ReLU6 or Sigmoid lets through; {biases} biases are corrected by the "
    "inputs that the norms let expect. Relative logit error on made-up images {before:.2g} -> "
    "{after:.2g}.",
    "int8.loses_stem_bias": "stays float: {backends} loses the bias of a first int8 convolution "
    "where the batch is free",
    "int8.made_up": _made_up,
    "int8.mended": _mended,
    "int8.misread": "{backend} misreads this file: relative logit error {there:.2g} instead of "
    "{written:.2g} on held-out images. For {backend}, build it with that as the backend.",
    "int8.no_kernel": "stays float: no integer kernel for it, or no constant weight",
    "int8.no_mix_is_faster": "Within {points:g} points no mix of int8 and float is faster than "
    "fp32.",
    "int8.no_mix_keeps": "No mix of int8 and float that was tried keeps what the net computes: "
    "relative logit error {error:.2g} on held-out images with {floats} layers back in float. Goal "
    "fastest takes it all the same.",
    "int8.no_mix_within": "No mix of int8 and float stays within {points:g} points.",
    "int8.no_vnni": "This processor has no VNNI and adds products in pairs of 16 bits; weights "
    "were kept small enough for no pair to overflow.",
    "int8.no_wide": "No 16-bit activations: {reason}",
    "int8.none_held_out": "Too few images to hold any out: errors are on the calibration images.",
    "int8.none_timed": "No int8 graph could be timed on {backend}: {reason}",
    "int8.not_clocked": "Nothing can be timed here, so the time asked for could not be looked at.",
    "int8.not_equalised": "Not equalised: weights with one scale per channel gain nothing by it.",
    "int8.not_here": "Not raced, so int8 may be slower there: {reason}",
    "int8.not_measured_alone": "What each of the {layers} layers costs alone was not measured: "
    "nothing here depends on it, and each takes several runs of the net.",
    "int8.not_raced": "Not raced against fp32: there is no clock of the target here, so measure it "
    "there.",
    "int8.nothing_to_mend": "Weights are rounded to nearest: so small an error needs no repair.",
    "int8.out_of_reach": "{limit:g} ms are out of reach here; this is the fastest that was found.",
    "int8.outcome_there": "{backend}'s own outputs on {images} held-out images: relative logit "
    "error {there:.2g}; the file says {written:.2g}.",
    "int8.outputless": "{backend} gives no outputs for int8 ({reason}), so errors are those of the "
    "file as ONNX Runtime reads it.",
    "int8.raced": _raced,
    "int8.ranges": "Ranges by {method}: relative logit error {error:.2g}.",
    "int8.ranked": "The {ranked} layers that stray most near by were ranked to the end of the net, "
    "out of {layers}; what the others cost was not measured.",
    "int8.read_elsewhere": _read_elsewhere,
    "int8.sensitive": "stays float: quantizing it costs too much accuracy",
    "int8.sensitive_layers": _sensitive,
    "int8.step": _step,
    "int8.strays": _strays,
    "int8.times": "One image on one thread takes {float_ms:.3g} ms in float, {int8_ms:.3g} ms in "
    "the fastest mix.",
    "int8.unknown_pixels": "stays float: the model does not say how pixels become inputs, so their "
    "range is unknown",
    "int8.weights_alone": _weights_alone,
    "int8.wide": _wide,
    "int8.with_floats": "With these back in float: relative logit error {error:.2g}.",
}
