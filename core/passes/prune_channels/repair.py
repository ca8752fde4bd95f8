"""After the cut: refit what is left to what the whole network computed on calibration images."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from core.analysis.channels import ChannelMap
from core.compress.pruning.study import Study
from core.compress.refit.linear_layers import find
from core.compress.refit.refit_plan import Stand
from core.compress.refit.sequential_refit import FEW, STRONG, Refit, refit
from core.compress.refit.telling import part
from core.passes.base import Graph, Report

CHOSEN = 0.5  # share of the time after which the channels are chosen


def stands(graph: Graph, channels: ChannelMap, atoms: Collection[int]) -> dict[str, Stand]:
    """Which channels of the original each layer's output keeps; asked before the cut."""
    alive, found = channels.alive(atoms), {}
    made = {v.name: v for node in graph.graph for v in node.outputs}
    for layer in find(graph):
        axes = channels.flow.axes.get(made[layer.output], [])
        labels = axes[layer.channel_axis] if axes else None
        keep = None if labels is None else np.flatnonzero(alive(labels))
        found[layer.output] = Stand(layer.output, keep)
    return found


def repair(graph: Graph, kept: dict[str, Stand], study: Study, report: Report) -> None:
    """Refit and say how it went."""
    done = refit(graph, kept, study.reference, tell=part(report.tell, CHOSEN, 1.0))
    images = study.reference.images
    if images < FEW:
        report.note(
            f"Only {images} calibration images: the refit is held back by a stronger ridge "
            f"({STRONG}). With {FEW} or more it repairs more."
        )
    report.note(_sentence(done, images))
    for fit in done:
        if fit.reason:
            report.skip(fit.layer, f"not refitted: {fit.reason}")


def _sentence(done: Sequence[Refit], images: int) -> str:
    better = [fit for fit in done if not fit.reason]
    if not better:
        return "No layer could be refitted to the calibration images."
    before, after = (float(np.median([getattr(f, n) for f in better])) for n in ("before", "after"))
    together = sum(fit.joint for fit in done)
    also = f" {together} of them were fitted together with the layer before." if together else ""
    return (
        f"{len(better)} of {len(done)} layers refitted on {images} calibration images; the error "
        f"of a layer on images held back went from {before:.1%} to {after:.1%} (median).{also}"
    )
