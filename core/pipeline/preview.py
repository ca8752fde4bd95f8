"""What a recipe makes of a model's counts, in the time of a slider's move."""

from __future__ import annotations

from core import graph as graphs
from core.analysis import cost
from core.graph import Graph
from core.pipeline import runner
from core.pipeline.summary import nodes
from core.records import Preview, Recipe


def preview(original: Graph, recipe: Recipe) -> Preview:
    """Count what `recipe` leaves of `original`; nothing is run and nothing is verified."""
    graph, report, exact = runner.preview(original, recipe)
    parameters, macs = cost.totals(graph)
    return Preview(
        parameters=parameters,
        macs=macs,
        size_bytes=graphs.file_bytes(graph),
        nodes=len(nodes(graph)),
        exact=exact,
        report=report,
    )
