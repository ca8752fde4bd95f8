"""Growth of the weights: a pass that is for size and makes a file larger is undone.

A weight that others read as well, transposed or whole, is stored once more for each form.
"""

from __future__ import annotations

import onnx_ir as ir

from core.errors import PassPostcondition
from core.graph import Graph, all_graphs, constant
from core.passes.base import Pass

BEARABLE_BYTES = 4096  # scales, zero points and constants of a small net


def refuse_growth(before: Graph, after: Graph, chosen: Pass) -> None:
    """Hold a pass that is for size to it.

    Raises:
        PassPostcondition: the weights take more bytes than before.
    """
    if not chosen.for_size:
        return
    old, new = weight_bytes(before), weight_bytes(after)
    if new > old + BEARABLE_BYTES:
        raise PassPostcondition(
            f"The weights would take {new / old - 1:.0%} more bytes than before ({old:,} -> "
            f"{new:,}): some are read in more than one form, and each would be stored apart."
        )


def weight_bytes(graph: Graph) -> int:
    """Bytes of all constants: initializers and Constant nodes, each once."""
    seen: dict[int, int] = {}
    for inner in all_graphs(graph):
        for value in (*inner.initializers.values(), *_constants(inner)):
            tensor = value.const_value
            if tensor is not None:
                seen[id(tensor)] = tensor.nbytes
    return sum(seen.values())


def _constants(inner: ir.Graph | ir.Function) -> list[ir.Value]:
    made = (node.outputs[0] for node in inner if node.op_type == "Constant")
    return [value for value in made if constant(value) is not None]
