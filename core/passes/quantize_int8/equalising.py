"""Which channels are equalised, by what it does to the rounding of the activations.

Scaling channels between layers gives each its share of the activation's grid and makes the weights
that read them uneven. Rounding by reconstruction with a scale for each channel mends most of what
that costs, so graphs are compared with their weights in float; any other rounding is part of the
comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from core.compress.quantization import calibrate, cross_layer_equalization, effort
from core.compress.quantization.cross_layer_equalization import Link
from core.compress.quantization.evaluator import Evaluator
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.observers import Observer, observe
from core.compress.quantization.partition import Selection
from core.compress.quantization.qdq_writer import QuantizationPlan, written
from core.compress.quantization.target_scheme import Scheme
from core.passes.base import Graph, Report
from core.records import Note

JUDGES = 32  # images
TRIALS = 64  # images that tell the ranges of a trial
SETTLED = 64  # the same of what is settled on, if it was tried with fewer
GAIN = 0.95  # of the error, to be worth a change
ENOUGH = 0.3  # of the error: no other way is tried then
WAYS = (0, 1)  # wherever only a ReLU or a joint stands between, or where depthwise layers read


@dataclass(frozen=True, eq=False)
class Levelled:
    """A graph whose channels may have been scaled.

    Attributes:
        judged: the float graph with logits as outputs.
        source: the same with its own outputs.
        seen: what was observed of each tensor that will have a grid.
    """

    judged: Graph
    source: Graph
    seen: Mapping[str, Observer]


def equalised(
    judged: Graph,
    source: Graph,
    selection: Selection,
    scheme: Scheme,
    mended: bool,
    evaluator: Evaluator,
    images: CalibrationSplit,
    report: Report,
) -> Levelled:
    """Both graphs, equalised in the way that helps most, or as they were.

    Args:
        judged: the float graph with logits as outputs.
        source: the same with its own outputs.
        selection: what will compute in integers.
        scheme: and how.
        mended: whether the weights are rounded by reconstruction afterwards.
        evaluator: measures errors on held-out images.
        images: the calibration images; all are used: few do not show how far each channel reaches.
        report: hears what was found.
    """
    every = effort.calibration(judged, images.count)
    best = Levelled(judged, source, calibrate.seen(judged, selection, images, every))
    found = cross_layer_equalization.links(judged)
    few = evaluator.few(effort.images(judged, JUDGES, effort.COMPARED_MACS))
    if not found:
        return best
    reach = _reach(found, best.seen, judged, images)
    floats = mended and scheme.per_channel
    some = effort.images(judged, TRIALS, effort.COMPARED_MACS)
    seen = best.seen if some == TRIALS else calibrate.seen(judged, selection, images, some)
    start = replace(best, seen=seen)
    least = before = _error(start, selection, scheme, floats, few)
    chosen = {"layers": 0, "way": 0}
    for way in WAYS:
        trial, twin = judged.clone(), source.clone()
        changed = cross_layer_equalization.equalise(_chosen(trial, way), reach)
        if not changed or least < ENOUGH * before:
            continue
        most = every if some == TRIALS else some
        made = Levelled(trial, twin, calibrate.seen(trial, selection, images, most))
        error = _error(made, selection, scheme, floats, few)
        if error < GAIN * least:
            cross_layer_equalization.equalise(_chosen(twin, way), reach)
            best, least = made, error
            chosen = {"layers": len(changed), "way": way}
    if best.judged is not judged and some < TRIALS:
        best = replace(best, seen=calibrate.seen(best.judged, selection, images, SETTLED))
    errors = {"before": before, "after": least, "activations_alone": floats}
    report.note(Note.of("int8.equalised", **chosen, **errors))
    return best


def _reach(
    found: Sequence[Link], seen: Mapping[str, Observer], graph: Graph, images: CalibrationSplit
) -> Mapping[str, Observer]:
    """Extremes per channel of every tensor between linked layers; some have no grid."""
    more = list(dict.fromkeys(link.tensor for link in found if link.tensor not in seen))
    return {**seen, **observe(images.values(graph, more), more)} if more else seen


def _chosen(graph: Graph, way: int) -> list[Link]:
    links = cross_layer_equalization.links(graph)
    return [link for link in links if link.free] if way else links


def _error(
    made: Levelled, selection: Selection, scheme: Scheme, floats: bool, evaluator: Evaluator
) -> float:
    """Error with activations on the grids that fit them best, weights in float or to nearest."""
    extents = calibrate.extents(made.judged, selection, made.seen, scheme, "mse", 100.0)
    plan = QuantizationPlan(selection, calibrate.grids(extents, scheme, made.seen))
    if not floats:
        layers = calibrate.layers_of(made.judged)
        plan = replace(plan, weights=calibrate.weights(layers, selection, plan.grids, scheme))
    return evaluator.error_as_written(written(made.judged, plan))
