"""Bit allocation: how many bits each layer's weights get in a file of a given size.

A layer's sensitivity is the relative error of the logits when its weights alone are rounded, to the
fewest bits, by GPTQ and with its bias corrected. Rounding errors of different layers are nearly
independent, so they add up; with each further bit the grid is twice as fine and the squared error
falls to a quarter. Which width for which layer is then a knapsack with one choice for each layer,
    min sum_i e_i 4^-(b_i - low)   with   sum_i bytes_i(b_i) <= room   (`compress.knapsack`).

What is approximate: that errors add up, and the quarter (measured: 0.22 to 0.32 for each bit).

Source: Wu et al. 2020, arXiv:2004.09602, section 6 (sensitivity).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from core.compress import knapsack
from core.compress.knapsack import Offer
from core.compress.quantization import input_covariance
from core.compress.quantization.evaluator import Evaluator
from core.compress.quantization.gptq import in_rows
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.partition import weights_only
from core.compress.quantization.qdq_writer import QuantizationPlan, written
from core.compress.quantization.qparams import Weight
from core.compress.quantization.staged_graph import Stages
from core.compress.refit.linear_layers import Layer
from core.compress.refit.normal_equations import Matrix

Quantize = Callable[[str, Layer, Matrix], Weight]

IMAGES = 16  # that judge each layer: ranks need fewer than errors do
PER_BIT = 0.25


def sensitivities(
    graph: ir.Model, layers: Mapping[str, Layer], images: CalibrationSplit, quantize: Quantize
) -> dict[str, float]:
    """Layer -> relative error of the logits when its weights alone are rounded.

    Args:
        graph: the float graph, with logits as outputs.
        layers: node name -> layer of `graph`.
        images: calibration images.
        quantize: rounds a layer to the fewest bits, given the second moment of its inputs.
    """
    evaluator = Evaluator(graph, images).few(IMAGES)
    stages, found = Stages(graph, evaluator.feeds, evaluator.runner), {}
    for grams in input_covariance.grams(graph, layers, [*layers], images):
        while grams:
            name, gram = grams.popitem()
            layer, moments = layers[name], gram.moments()
            weight = quantize(name, layer, moments.second)
            lost = layer.matrix() - in_rows(layer, weight)
            shift = np.einsum("goi,gi->go", lost, moments.mean_in).reshape(-1)
            mended = replace(weight, bias=layer.bias() + shift)
            alone = QuantizationPlan(weights_only([name]), {}, {name: mended})
            outputs = stages.changed(name, functools.partial(written, plan=alone))
            found[name] = evaluator.error_of(outputs)
    return {name: found[name] for name in layers}


def allocate(
    errors: Mapping[str, float], sizes: Mapping[str, Mapping[int, int]], room: int
) -> dict[str, int]:
    """Layer -> bits, so that the sum of the errors is least.

    Args:
        errors: layer -> error at the fewest bits.
        sizes: layer -> bits -> bytes.
        room: bytes there are on top of all layers at the fewest bits; where there are none, that
            is what they get.
    """
    widths = {name: sorted(sizes[name]) for name in errors}
    menus = [
        [
            # Where more bits need fewer bytes, as padding has it, that is no room for other layers.
            Offer(max(sizes[name][b], sizes[name][low]), errors[name] * PER_BIT ** (b - low))
            for b in offered
        ]
        for name, offered in widths.items()
        for low in offered[:1]
    ]
    smallest = sum(sizes[name][offered[0]] for name, offered in widths.items())
    chosen = knapsack.exact(menus, smallest + room)
    return {
        name: offered[index] for (name, offered), index in zip(widths.items(), chosen, strict=True)
    }
