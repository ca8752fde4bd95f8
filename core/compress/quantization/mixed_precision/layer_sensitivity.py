"""Layer sensitivity: what each costs in accuracy, and which go back to float for it.

A layer's sensitivity is the relative error of the logits when it alone is quantized: its weight and
the tensor it reads, all else float. Errors of different layers are nearly independent, so they add
up to about the error of the whole; where they do not, the search below still measures the whole.

Layers return to float in the order of sensitivity, in growing bundles, until the whole error is
below a target or nothing is left to gain.

Source: Wu et al. 2020, arXiv:2004.09602, section 6 (partial quantization); Nagel et al. 2021,
arXiv:2106.08295, section 3.6.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from core.analysis import cost
from core.compress.quantization import effort
from core.compress.quantization.evaluator import Evaluator
from core.compress.quantization.partition import CARRYING, JOINING, Selection, is_weighted, select
from core.compress.quantization.qdq_writer import QuantizationPlan, written
from core.compress.quantization.shared_weights import completed
from core.compress.quantization.staged_graph import Stages

STEPS = (1, 2, 4, 8)
RANKING_IMAGES, LEAST_IMAGES = 16, 4
RANKING_MACS = 16 * 10**9  # of all images together, for each layer


@dataclass(frozen=True)
class Fallback:
    """What going back to float gave.

    Attributes:
        plan: the plan that was settled on.
        floats: names of the layers that went back.
        error: of the plan, on held-out images.
        sensitivities: layer -> relative error when it alone is quantized.
    """

    plan: QuantizationPlan
    floats: tuple[str, ...]
    error: float
    sensitivities: Mapping[str, float]


def macs(graph: ir.Model, plan: QuantizationPlan) -> int:
    """Multiply-accumulates that `sensitivities` takes, about: half the net for each layer."""
    return len(plan.selection.weighted) * _images(graph) * (cost.totals(graph)[1] or 0) // 2


def _images(graph: ir.Model) -> int:
    return effort.images(graph, RANKING_IMAGES, RANKING_MACS, LEAST_IMAGES)


def sensitivities(
    graph: ir.Model, plan: QuantizationPlan, evaluator: Evaluator, most: int = 0
) -> dict[str, float]:
    """Layer -> the error of quantizing it alone, largest first.

    Args:
        graph: the prepared float graph, with logits as outputs.
        plan: everything quantized.
        evaluator: measures errors on held-out images.
        most: of a large net, only so many layers: those that stray most by the end of their stage.
    """
    images = _images(graph)
    evaluator = evaluator.few(images)
    stages = Stages(graph, evaluator.feeds, evaluator.runner)

    def alone(name: str, piece: ir.Model) -> ir.Model:
        weighted = [node for node in piece.graph if is_weighted(node)]
        others = {node.name or "" for node in weighted} - completed({name}, weighted)
        selection = select(piece, frozenset(others), frozenset(), frozenset())
        return written(piece, restricted(plan, selection))

    # What leads to an integer output alone, which no logits are, moves none of them.
    found = {name: 0.0 for name in plan.selection.weighted if not stages.holds(name)}
    changes = [(n, functools.partial(alone, n)) for n in plan.selection.weighted if n not in found]
    if images < RANKING_IMAGES and stages.count > 1 and 0 < most < len(changes):
        near = dict(stages.strays(changes))
        worst = sorted(near, key=lambda name: -near[name])[:most]
        changes = [(name, change) for name, change in changes if name in set(worst)]
    for name, outputs in stages.each(changes):
        found[name] = evaluator.error_of(outputs)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def restricted(plan: QuantizationPlan, selection: Selection) -> QuantizationPlan:
    """The plan for fewer nodes; tensors keep their grids."""
    grids = {root: plan.grid(root) for root in selection.roots if root in plan.selection.tensors}
    weights = {name: plan.weights[name] for name in selection.weighted}
    return QuantizationPlan(selection, grids, weights)


def fall_back(
    graph: ir.Model,
    plan: QuantizationPlan,
    evaluator: Evaluator,
    pinned: frozenset[str],
    target: float,
    affordable: Callable[[Selection], bool],
    ranked: Mapping[str, float] | None = None,
    known: Mapping[frozenset[str], float] | None = None,
) -> Fallback:
    """Leave the most sensitive layers float until the error meets `target`.

    Args:
        graph: the prepared float graph, with logits as outputs.
        plan: everything quantized.
        evaluator: measures errors on held-out images.
        pinned: names that are float already.
        target: relative error of the logits to get below.
        affordable: whether a selection is still fast enough.
        ranked: sensitivities, where they are known already.
        known: layers left float -> error, where that was measured already.
    """

    def error_of(floats: frozenset[str], trial: QuantizationPlan) -> float:
        found = (known or {}).get(floats)
        return evaluator.error(written(graph, trial)) if found is None else found

    error = error_of(frozenset(), plan)
    if error <= target:
        return Fallback(plan, (), error, {})
    ranked = ranked or sensitivities(graph, plan, evaluator)
    best, floats = plan, frozenset[str]()
    for count in STEPS:
        if count >= len(ranked):
            break
        trial_floats = frozenset(list(ranked)[:count])
        selection = without(graph, pinned | trial_floats)
        if not selection.weighted or not covered(plan, selection) or not affordable(selection):
            continue
        trial = restricted(plan, selection)
        now = error_of(trial_floats, trial)
        if now < error * 0.9:
            best, floats, error = trial, trial_floats, now
        if error <= target:
            break
    return Fallback(best, tuple(sorted(floats)), error, ranked)


def without(graph: ir.Model, floats: frozenset[str]) -> Selection:
    """Everything but these in integers."""
    return select(graph, floats, JOINING, CARRYING)


def covered(plan: QuantizationPlan, selection: Selection) -> bool:
    """Whether the plan has a grid for every tensor that the selection needs."""
    return all(root in plan.selection.tensors for root in selection.roots)
