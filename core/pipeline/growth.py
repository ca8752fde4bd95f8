"""Growth of the weights: a pass that is for size and makes a file larger is undone.

A weight that others read as well, transposed or whole, is stored once more for each form.
"""

from __future__ import annotations

from core.errors import PassPostcondition
from core.graph import Graph, all_graphs, constant, weight_bytes
from core.passes.base import Pass

BEARABLE_BYTES = 4096  # scales, zero points and constants of a small net


def refuse_growth(before: Graph, after: Graph, chosen: Pass) -> None:
    """Hold a pass that is for size to it.

    Raises:
        PassPostcondition: the weights take more bytes than before.
    """
    if not chosen.for_size:
        return
    old, new = constant_bytes(before), constant_bytes(after)
    if new > old + BEARABLE_BYTES:
        raise PassPostcondition(
            f"The weights would take {new / old - 1:.0%} more bytes than before ({old:,} -> "
            f"{new:,}): some are read in more than one form, and each would be stored apart."
        )


def constant_bytes(graph: Graph) -> int:
    """Bytes of all constants: initializers, and what lies in Constant nodes."""
    made = (node.outputs[0] for inner in all_graphs(graph) for node in inner
            if node.op_type == "Constant")  # fmt: skip
    arrays = (constant(value) for value in made)
    return weight_bytes(graph) + sum(array.nbytes for array in arrays if array is not None)
