"""16-bit activations for single layers, where a backend computes with them.

The tensor that such a layer reads gets 2^16 levels over its exact extremes: there is nothing to
gain by clipping. Weights stay 8 bits (what the field calls A16W8). ONNX has such tensors since
opset 21; ONNX Runtime's CPU computes these layers in float, accelerators of phones in integers.

Source: Qualcomm, QNN SDK, "Quantization" (16-bit activations, 8-bit weights).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from core.compress.quantization.partition import Selection
from core.compress.quantization.qdq_writer import QuantizationPlan
from core.compress.quantization.qparams import over
from core.compress.quantization.ranges import Range
from core.compress.refit.linear_layers import Layer

OPSET = 21
BITS = 16


def roots(
    selection: Selection, layers: Mapping[str, Layer], names: Iterable[str]
) -> frozenset[str]:
    """The tensors whose grids these layers read."""
    read = (layers[name].input for name in names if name in selection.weighted)
    return frozenset(selection.tensors[tensor] for tensor in read if tensor in selection.tensors)


def widened(
    plan: QuantizationPlan, tensors: Iterable[str], extents: Mapping[str, Range]
) -> QuantizationPlan:
    """The plan with 16 bits for these root tensors."""
    grids = dict(plan.grids)
    for name in tensors:
        old = grids[name]
        grids[name] = over(extents.get(name, old.bounds), old.signed, BITS)
    return replace(plan, grids=grids)
