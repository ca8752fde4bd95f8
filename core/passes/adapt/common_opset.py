"""Opset -> 17, which every runtime here reads, by onnx's own converter."""

from __future__ import annotations

from core.errors import PassPrecondition, UnsupportedModel
from core.graph import Graph
from core.graph.opset import at_opset
from core.passes.adapt.base import Rewrite
from core.passes.base import adopt, lift_constants

COMMON = 17


def apply(graph: Graph) -> int:
    """Convert the whole graph, up or down.

    Raises:
        PassPrecondition: the converter does not know how.
    """
    if graph.opset_imports.get("", COMMON) == COMMON:
        return 0
    try:
        converted = at_opset(graph, COMMON)
    except UnsupportedModel as error:
        raise PassPrecondition(error.message) from None
    lift_constants(converted)
    adopt(graph, converted)
    return len(graph.graph)


REWRITE = Rewrite(f"Opset {COMMON}", apply, 90)
