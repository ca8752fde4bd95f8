"""Which layers a row of recipes changes, and what each recipe makes of them: shapes only."""

from __future__ import annotations

from collections.abc import Sequence

from core.analysis.layer_signatures import signatures
from core.graph import Graph
from core.pipeline import runner
from core.records import Recipe
from core.timings import Chain, LayerSignature


def ladder(graph: Graph, recipes: Sequence[Recipe]) -> tuple[Chain, ...]:
    """For each recipe, the layers that not all recipes leave alike, in the order of the graph.

    A layer that one of the recipes removes altogether, or whose sizes are not known, is left out.
    """
    rungs = [_layers(runner.preview(graph, recipe)[0]) for recipe in recipes]
    if not rungs:
        return ()
    names = [name for name in rungs[0] if all(name in rung for rung in rungs)]
    changed = [name for name in names if len({rung[name] for rung in rungs}) > 1]
    return tuple(tuple(rung[name] for name in changed) for rung in rungs)


def _layers(graph: Graph) -> dict[str, LayerSignature]:
    """Layers by the name of their output, which no pass that only cuts channels changes."""
    return {node.outputs[0].name or "": layer for node, layer in signatures(graph).items()}
