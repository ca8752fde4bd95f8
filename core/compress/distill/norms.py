"""The statistics of batch norms, measured again on images.

A graph whose layers were cut or replaced feeds its batch norms other numbers than those that they
were trained on. Mean and variance of each are taken anew, as averages over batches: one pass for
all norms, since each normalises by its own batch on the way.

Source: Sun et al. 2019, "Hybrid 8-bit floating point", NeurIPS, section 3 (batch norm re-tuning);
Li et al. 2020, arXiv:2007.02491 (EagleEye: adaptive batch normalization after pruning).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir

from core.compress.distill.network import Network
from core.compress.distill.operators import Array, Tensor


def measure(network: Network, batches: Iterable[Mapping[str, Tensor]], last: str) -> int:
    """Give every batch norm of `network` the statistics of `batches`.

    Args:
        network: the net.
        batches: inputs.
        last: an output of the net: what lies behind it is not run.

    Returns:
        How many batch norms there are.
    """
    import torch

    sums: dict[str, Array] = {}
    count: Counter[str] = Counter()

    def observe(node: ir.Node, x: Tensor) -> None:
        others = [i for i in range(x.dim()) if i != 1]
        for value, array in zip(
            node.inputs[3:5], (x.mean(others), x.var(others, correction=0)), strict=True
        ):
            name = value.name if value is not None and value.name else ""
            sums[name] = sums.get(name, 0.0) + array.numpy().astype(np.float64)
            count[name] += 1

    network.norms_by_batch, network.norm_observer = True, observe
    try:
        with torch.no_grad():
            for feeds in batches:
                network(feeds, [last])
    finally:
        network.norms_by_batch, network.norm_observer = False, None
    for name, total in sums.items():
        network.set_constant(name, (total / count[name]).astype(np.float32))
    return len(sums) // 2


def names(graph: ir.Model) -> list[str]:
    """Initializers that hold statistics of batch norms."""
    return [
        value.name or ""
        for node in graph.graph
        if node.op_type == "BatchNormalization"
        for value in node.inputs[3:5]
        if value is not None and value.is_initializer()
    ]
