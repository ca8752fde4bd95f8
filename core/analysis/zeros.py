"""How much of a model's weights is exactly zero: what a dense kernel multiplies all the same."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from core.analysis.cost import weights
from core.analysis.values import constant_tensor
from core.graph import all_graphs

FEWEST_AXES = 2  # a bias of zeros costs nothing


def zero_share(graph: ir.Model) -> float:
    """The share of zeros in matrices and filters of floats; integers hold zeros by rounding."""
    zeros = total = 0
    seen: set[ir.Value] = set()
    for node in (node for inner in all_graphs(graph) for node in inner):
        for value in weights(node):
            tensor = constant_tensor(value)
            if value in seen or tensor is None or len(tensor.shape) < FEWEST_AXES:
                continue
            seen.add(value)
            if tensor.dtype.is_floating_point():
                array = np.asarray(tensor.numpy())
                zeros += int(array.size - np.count_nonzero(array))
                total += int(array.size)
    return zeros / total if total else 0.0
