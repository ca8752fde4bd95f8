"""Sentences of folded batch norms."""

from __future__ import annotations

from collections.abc import Mapping

from core.wording.template import Template

SENTENCES: Mapping[str, Template] = {
    "constant.computed": "is computed while the model runs",
    "constant.input": "is the input {input!r} of the model, which a caller may set",
    "fold.after": "follows {node}, which {why}",
    "fold.after_input": "follows an input of the model",
    "fold.after_output": "follows {node}, whose output is an output of the model too",
    "fold.after_outside": "follows {node}, which is outside this body",
    "fold.after_shared": "follows {node}, whose output other nodes need as it is",
    "fold.as_weights": "takes it as its weights",
    "fold.bias": "has a bias that {why}",
    "fold.feeds": "feeds {node}, which {why}",
    "fold.folded": "{folded} of {found} batch norms folded.",
    "fold.higher_rank": "adds a constant of a higher rank",
    "fold.in_body": "uses it inside a body",
    "fold.in_function": "inside a model-local function, which is left as it is",
    "fold.merged_by_runtimes": "ONNX Runtime, OpenVINO and OpenCV do the same while they load a "
    "model: expect fewer nodes, not less time there.",
    "fold.neither": "{after}; {before}",
    "fold.no_room": "cannot take it over: {why}",
    "fold.no_weights": "has no weights that could take it over",
    "fold.none": "The model holds no batch norm.",
    "fold.norm_computed": "has parameters that are not constants",
    "fold.not_2d": "does not put its channels on the last axis (its output is not known to be 2-D)",
    "fold.odd_norm": "is not a plain batch norm",
    "fold.other_channels": "has another number of channels",
    "fold.output": "its output is an output of the model",
    "fold.overflow": "its folded weights do not fit {type}",
    "fold.pads": "pads its input with zeros, which the shift of the batch norm would spoil",
    "fold.takes_transposed": "takes it transposed",
    "fold.unused": "nothing uses its output",
    "fold.weight": "has a weight that {why}",
    "norm.misfit": "its parameters do not fit together",
    "norm.not_finite": "its parameters are not finite (a negative variance, a NaN or an infinity)",
    "norm.not_spatial": "normalises each position on its own (spatial = 0)",
    "norm.old_opset": "opset {opset} defines batch norms otherwise; convert the model to opset "
    "{first} or later",
    "norm.parameter": "its {parameter} {why}",
    "norm.statistics_used": "its running statistics are used elsewhere",
    "norm.training": "is in training mode: it takes its statistics from the batch",
    "norm.training_outputs": "lists the outputs of training mode",
}
