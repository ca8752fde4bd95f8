"""Sentences of static, dynamic and weight-only quantization."""

from __future__ import annotations

from collections.abc import Mapping

from core.wording.template import Template, Values


def _alone(v: Values) -> str:
    listed = ", ".join(f"{name} {error:.1g} ({bits} bits)" for name, error, bits in v["layers"])
    return f"Relative logit error of a layer alone in {v['bits']} bits, the largest: {listed}."


def _trials(v: Values) -> str:
    how = {
        "nearest": "to nearest",
        "bias": "with biases corrected",
        "gptq": "by GPTQ, layer after layer",
    }
    listed = ", ".join(f"{error:.2g} {how[trial]}" for trial, error in v["errors"])
    return f"Relative logit error on {v['images']} held-out images: {listed}."


def _widths(v: Values) -> str:
    listed = ", ".join(f"{count} in {bits} bits" for bits, count in v["widths"])
    kind = "packed integers" if v["packed"] else "standard types"
    return (
        f"{v['layers']} layers hold integers ({kind}) and compute in float: {listed}; "
        f"{v['mean']:.1f} bits a weight."
    )


_STAYS = {
    "dynamic.bias_computed": "its bias is computed while the model runs",
    "dynamic.not_constant": "its weight is not a float32 constant",
    "dynamic.transposed_input": "it takes its input transposed",
    "static.bias_computed": "its bias is computed",
    "static.constant_factors": "both of its factors are constants",
    "static.empty_input": "one of its inputs is empty",
    "static.grouped_transposed": "a transposed convolution in groups with a bias",
    "static.limits_computed": "its limits are computed",
    "static.limits_without_zero": "its limits {low:g} to {high:g} leave zero out",
    "static.not_constant": "its weight is not a float32 constant",
    "static.quantizer_fails": "onnxruntime's quantizer fails on it",
    "static.read_by_body": "a body reads what it makes",
    "static.read_by_others": "what comes before it is read by others as well",
    "static.scaled": "its products are scaled (alpha, beta)",
    "static.transposed_input": "its input is transposed",
    "static.untyped_input": "the type of its input is not known",
    "weights.too_small": "{elements} weights are not worth it",
    "weights.unknown_layer": "{why}",
}
SENTENCES: Mapping[str, Template] = {
    **{code: f"stays float: {why}" for code, why in _STAYS.items()},
    "dynamic.quantized": "{layers} fully connected layers now have int8 weights.",
    "static.batch_norms": "{count} batch norms stay float and cost time between integer layers; "
    "fold them first where they can be folded.",
    "static.calibrated": "Calibrated on {images} images ({method}).",
    "static.quantized": "{layers} layers with weights now compute in int8 (activations {kind}).",
    "transposed.bias_computed": "its bias is computed while the model runs",
    "transposed.grouped": "a transposed convolution with groups",
    "transposed.not_constant": "its weights are no constant float32",
    "transposed.padding_follows": "a transposed convolution whose padding follows from its output",
    "transposed.padding_wide": "a transposed convolution with padding wider than its kernel",
    "weights.alone": _alone,
    "weights.no_images": "Without calibration images: weights rounded to nearest, nothing "
    "repaired.",
    "weights.no_room": "All layers in {bits} bits make {share:.2f} of the float file already, so "
    "none gets more; {allowed:.2f} was to be kept to.",
    "weights.trials": _trials,
    "weights.widths": _widths,
}
