"""What a recipe makes of a model, in the time of a slider's move: passes only, no verification.

A pass that needs calibration data is left out; then the numbers are bounds, and `exact` is False.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from core import graph as graphs
from core.analysis import cost
from core.candidates.summary import nodes
from core.errors import PassError
from core.graph import Graph
from core.passes.base import Report, Tensors, build
from core.records import Preview, Recipe, Step, StepReport


class NoData:
    """Statistics where there are no images."""

    @property
    def count(self) -> int:
        """None at all."""
        return 0

    def feeds(self) -> Iterator[Tensors]:
        """Nothing."""
        return iter(())

    def activations(self, graph: Graph, names: Sequence[str]) -> Iterator[Tensors]:
        """Nothing."""
        return iter(())


def preview(original: Graph, recipe: Recipe) -> Preview:
    """Apply what can be applied without data to a copy of `original` and count the result."""
    graph, reports, exact = original.clone(), [], True
    for step in recipe.steps:
        before = graph.clone() if len(recipe.steps) > 1 else original
        report, left_out = _try(graph, step)
        if report.reverted:
            graph = before.clone() if before is original else before
            exact = exact and not left_out
        reports.append(report)
    parameters, macs = cost.totals(graph)
    return Preview(
        parameters=parameters,
        macs=macs,
        size_bytes=len(graphs.serialize(graph)),
        nodes=len(nodes(graph)),
        exact=exact,
        report=tuple(reports),
    )


def _try(graph: Graph, step: Step) -> tuple[StepReport, bool]:
    """The report of one step, and whether it was left out for want of data."""
    report, started = Report(), time.perf_counter()
    try:
        chosen = build(step)
        if chosen.needs_data:
            return StepReport(step, reverted="Needs calibration images: known once it ran."), True
        chosen.requires(graph)
        chosen.apply(graph, report, NoData())
    except PassError as error:
        return StepReport(step, skipped=tuple(report.skipped), reverted=error.message), False
    return StepReport(
        step,
        report.changed,
        tuple(report.skipped),
        tuple(report.notes),
        seconds=time.perf_counter() - started,
    ), False
