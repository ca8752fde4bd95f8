"""Image budget: how many images take part where two nets run side by side, layer by layer."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from core.compress.quantization.images import CalibrationSplit, any_batch, images_of, singly
from core.compress.quantization.partition import is_weighted
from core.devices.local import memory

LARGEST_BYTES = 768 << 20  # of what is kept of two nets
NETS = 2
SHARE = 6  # of the memory that is free
SMALLEST_IMAGES = 16


def each_net() -> int:
    """Bytes of what is kept of either net in memory; what is more goes on on disk."""
    return min(memory.budget_bytes() // SHARE, LARGEST_BYTES) // NETS


def affordable(graph: ir.Model, images: CalibrationSplit, most: int) -> int:
    """How many images' tensors fit into the bound: two large tensors of each net."""
    names = [v.name or "" for node in graph.graph if is_weighted(node) for v in node.outputs]
    first = next(images.calibration(1))
    first = next(singly(first)) if any_batch(graph) else first
    values = images.runner(graph, names)(first) if names else first
    largest = max(array.nbytes for array in values.values()) / images_of(first)
    return int(np.clip(each_net() / (2 * largest), min(SMALLEST_IMAGES, most), most))
