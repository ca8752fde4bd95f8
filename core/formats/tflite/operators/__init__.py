"""Operators: one module for each family, each with a table of what it writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from core.formats.tflite.net import Net
from core.formats.tflite.operators import (
    activation,
    arithmetic,
    convolution,
    layouts,
    normalisation,
    pooling,
    product,
    quantization,
    reduction,
    resizing,
    slicing,
)

OPERATORS: Mapping[str, Callable[[Net, ir.Node], None]] = {
    **convolution.OPERATORS,
    **product.OPERATORS,
    **pooling.OPERATORS,
    **activation.OPERATORS,
    **arithmetic.OPERATORS,
    **reduction.OPERATORS,
    **normalisation.OPERATORS,
    **layouts.OPERATORS,
    **slicing.OPERATORS,
    **resizing.OPERATORS,
    **quantization.OPERATORS,
}
