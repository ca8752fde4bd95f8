"""After the cut: refit what is left to what the whole network computed on calibration images."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from core.analysis.channels import ChannelMap
from core.compress.pruning.study import Study
from core.compress.refit.linear_layers import find
from core.compress.refit.refit_plan import ChannelMapping
from core.compress.refit.sequential_refit import FEW, STRONG, Refit, refit
from core.compress.refit.telling import part
from core.passes.base import Graph, Report
from core.records import Note

CHOSEN = 0.5  # share of the time after which the channels are chosen


def channel_mappings(
    graph: Graph, channels: ChannelMap, atoms: Collection[int]
) -> dict[str, ChannelMapping]:
    """Which channels of the original each layer's output keeps; asked before the cut."""
    alive, found = channels.alive(atoms), {}
    made = {v.name: v for node in graph.graph for v in node.outputs}
    for layer in find(graph):
        axes = channels.flow.axes.get(made[layer.output], [])
        labels = axes[layer.channel_axis] if axes else None
        keep = None if labels is None else np.flatnonzero(alive(labels))
        found[layer.output] = ChannelMapping(layer.output, keep)
    return found


def repair(graph: Graph, kept: dict[str, ChannelMapping], study: Study, report: Report) -> None:
    """Refit and say how it went."""
    done = refit(graph, kept, study.reference, tell=part(report.tell, CHOSEN, 1.0))
    images = study.reference.images
    if images < FEW:
        report.note(Note.of("prune.few_images", images=images, ridge=str(STRONG), enough=FEW))
    report.note(_outcome(done, images))
    for fit in done:
        if fit.reason:
            report.skip(fit.layer, Note.of("prune.not_refitted", reason=fit.reason))


def _outcome(done: Sequence[Refit], images: int) -> Note:
    better = [fit for fit in done if not fit.reason]
    if not better:
        return Note.of("prune.none_refitted")
    return Note.of(
        "prune.refitted", refitted=len(better), layers=len(done), images=images,
        before=float(np.median([fit.before for fit in better])),
        after=float(np.median([fit.after for fit in better])),
        together=sum(fit.joint for fit in done),
    )  # fmt: skip
