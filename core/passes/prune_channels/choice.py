"""Which atoms of each group go: ranked by a criterion, as many as the ratio or the budget says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from core.analysis import selection
from core.analysis.channels import ChannelMap, Group
from core.analysis.layer_signatures import signatures
from core.compress.pruning import costs
from core.compress.pruning.allocation import allocate
from core.compress.pruning.loss_curves import curve
from core.compress.pruning.obs_ranking import Ranking
from core.compress.pruning.study import Study
from core.errors import PassPrecondition
from core.passes.base import Report
from core.records import Note
from core.timings import LayerTimes

Counts = dict[Group, int]
Orders = Mapping[Group, tuple[int, ...]]
Kernels = Callable[[ChannelMap, Callable[[int], Counts], Report, float], int]  # the best multiple


@dataclass(frozen=True)
class Knowledge:
    """What is known of the groups that may be cut.

    Attributes:
        orders: the atoms of each group, first to go first.
        curves: atoms removed -> error of the outputs; of a group's own scale without images.
        measured: whether the curves rest on images.
    """

    orders: Orders
    curves: Mapping[Group, Mapping[int, float]]
    measured: bool


def by_magnitude(groups: Sequence[Group], order: int) -> Knowledge:
    """Ranked by the norm of their filters; a group's curve is the share of the norm that goes."""
    orders, curves = {}, {}
    for group in groups:
        scores = selection.magnitude(group, order)
        ranked = np.argsort(scores, kind="stable")
        orders[group] = tuple(group.atoms[i] for i in ranked)
        gone = np.cumsum(scores[ranked] ** 2) / max(float((scores**2).sum()), 1e-20)
        curves[group] = {0: 0.0} | {i + 1: float(e) for i, e in enumerate(gone)}
    return Knowledge(orders, curves, False)


def by_images(
    groups: Sequence[Group], study: Study, criterion: str, counts: Counts | None
) -> Knowledge:
    """Ranked on calibration images.

    Args:
        groups: that may be cut.
        study: of the graph on the images.
        criterion: obs, activation, l1 or l2.
        counts: what each group loses, if that is known; else curves are measured.
    """
    mine = {group: study.group(group) for group in groups}
    plain = by_magnitude(groups, 2 if criterion == "l2" else 1)
    orders: dict[Group, tuple[int, ...]] = dict(plain.orders)
    if criterion == "activation":
        for group, twin in mine.items():
            ranked = np.argsort(study.activity(twin), kind="stable")
            orders[group] = tuple(group.atoms[i] for i in ranked)
    forced = {} if criterion == "obs" else {mine[g]: order for g, order in orders.items()}
    if criterion != "obs" and counts is not None:
        return Knowledge(orders, plain.curves, True)
    depths = {} if counts is None else {mine[g]: count for g, count in counts.items()}
    rankings = study.rankings(list(mine.values()), forced, depths)
    orders |= {g: rankings[t].order for g, t in mine.items() if t in rankings}
    curves: dict[Group, Mapping[int, float]] = dict(plain.curves)
    if counts is None:
        curves |= _measured(mine, study, rankings)
    return Knowledge(orders, curves, True)


def _measured(
    mine: Mapping[Group, Group], study: Study, rankings: Mapping[Group, Ranking]
) -> dict[Group, Mapping[int, float]]:
    effects = study.effects(rankings)
    return {g: curve(rankings[t], effects[t]) for g, t in mine.items() if t in effects}


def uniform(groups: Sequence[Group], ratio: float, multiple: int, whole: bool = False) -> Counts:
    """The same share of every group; `whole`: of all together, what rounding gives is taken."""
    kept = selection.kept_counts(groups, ratio, multiple, whole)
    return {g: len(g.atoms) - k for g, k in kept.items()}


def within_budget(
    known: Knowledge,
    budget: costs.Budget,
    target: float,
    multiple: int,
    report: Report,
) -> Counts:
    """What each group loses so that no more than `target` of the budget is left."""
    curves = {
        g: {c: known.curves[g][c] for c in selection.removals(g, multiple)} for g in known.orders
    }
    counts, met = allocate(curves, budget, target)
    left = budget.total(counts) / max(budget.total({}), 1e-20)
    if not met:
        report.note(Note.of("prune.budget_unmet", target=target, left=left))
    return counts


def budget_of(
    kind: str, channels: ChannelMap, timings: LayerTimes | None, arithmetic: str = "f32"
) -> costs.Budget:
    """What the user wants to cut, as a function of what the groups lose.

    Args:
        kind: what is counted.
        channels: of the graph.
        timings: measured times, for a budget of latency.
        arithmetic: in which the layers were timed.

    Raises:
        PassPrecondition: latency is asked for, and nothing was measured.
    """
    if kind == "macs":
        return costs.macs(channels)
    if kind in ("bytes", "parameters"):
        return costs.elements(channels, kind == "bytes")
    if timings is None:
        raise PassPrecondition(
            "A latency budget needs measured layer times: name the backend, as in "
            "--budget latency:onnxruntime:0.7, so that they are measured first."
        )
    budget, unknown = costs.latency(channels, _seconds(channels.flow.graph, timings, arithmetic))
    if not budget.total({}):
        raise PassPrecondition(
            f"None of the {len(unknown)} layers has a measured time on "
            f"{timings.target.spec}; measure them, or choose another budget."
        )
    return budget


def _seconds(
    graph: ir.Model, timings: LayerTimes, arithmetic: str
) -> Callable[[ir.Node, int, int], float | None]:
    known = {node: replace(s, precision=arithmetic) for node, s in signatures(graph).items()}

    def seconds(node: ir.Node, inputs: int, outputs: int) -> float | None:
        layer = known.get(node)
        if layer is None:
            return None
        if layer.depthwise:
            outputs = inputs * (layer.outputs // layer.inputs)
        found = timings.estimate(layer.resized(inputs, outputs))
        return found.seconds if found is not None else None

    return seconds
