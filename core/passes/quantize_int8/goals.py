"""How far a quantization goes back to float, for each goal: the words of a user as a search."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from core.analysis import cost
from core.calibration.services import Race
from core.compress.quantization.evaluator import Evaluator
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.mixed_precision import fallback_order, layer_sensitivity
from core.compress.quantization.mixed_precision.layer_sensitivity import Fallback
from core.compress.quantization.mixed_precision.timing_ratio import Ratio, careful, ratio
from core.compress.quantization.partition import Selection, is_weighted
from core.compress.quantization.qdq_writer import QuantizationPlan, written
from core.compress.quantization.scores import Scores
from core.errors import PassPrecondition
from core.passes.base import Graph, Report
from core.records import LayerEffect, Note

SAFE, FASTEST, WITHIN_POINTS, WITHIN_MS = "safe", "fastest", "within_points", "within_ms"
# Of accuracy, that goal safe may be expected to lose. It promises 1, and what some hundred images
# lose strays by most of a point from what is expected.
SAFE_POINTS = 0.2
DESTROYED = 0.25  # relative error of the logits: 6 dB, which no goal called safe hands out
LEAST_TARGET = 1e-4  # no more than 8 bits can give
SLACK = 2.0  # borders between integers and float cost conversions
PLAINLY_FASTER = 0.9  # of the time of the float net
# Of all runs for the errors of single layers, where they are found for the reader's sake alone.
CHARTED_MACS = 300 * 10**9
LONG_MACS = 8 * 10**9  # of a net whose layers are not raced one by one: half a second of one core
RANKED = 3  # times as many layers of a large net are ranked as may go back to float
GOALS = (SAFE, FASTEST, WITHIN_POINTS, WITHIN_MS)


@dataclass(frozen=True)
class Goal:
    """What is wanted.

    Attributes:
        name: one of GOALS.
        target: goal safe: relative error of the logits to get below.
        points: goal within_points: of the metric that stands for the net, that may be lost.
        milliseconds: goal within_ms: of one image on one thread.
    """

    name: str
    target: float
    points: float
    milliseconds: float


@dataclass
class Means:
    """What the search for a goal works with.

    Attributes:
        graph: the prepared float graph, with logits as outputs.
        original: the graph as the user gave it.
        evaluator: measures errors on held-out images.
        build: writes a selection into a graph that can be timed.
        race: times graphs; None where nothing can be timed.
        report: hears what was found.
        images: the calibration images.
        source: the prepared float graph as a user runs it, a final Softmax included.
        real: whether the images that judge are real ones.
        raced: time of the fastest selection to that of float, where it was measured.
    """

    graph: Graph
    original: Graph
    evaluator: Evaluator
    build: Callable[[Selection], Graph]
    race: Race | None
    report: Report
    images: CalibrationSplit
    source: Graph
    real: bool = True
    raced: Ratio | None = None

    def scores(self) -> Scores | None:
        """Counts what is lost; None where a classifier's images have no annotations to count by."""
        if self.evaluator.counts_points and self.images.annotations is None:
            return None
        return Scores(self.source, self.images, self.evaluator.backend)

    def affordable(self, selection: Selection) -> bool:
        """Whether the net is still faster than float; timed where that is not plain anyway."""
        if self.race is None or self._plainly_faster(selection):
            return True
        laps = careful(self.race, [self.original, self.build(selection)])
        return ratio(laps[1], laps[0]).faster

    def _plainly_faster(self, selection: Selection) -> bool:
        """Whether it would be even if each layer in float took SLACK times its share.

        The finished model is timed in any case.
        """
        if self.raced is None:
            return False
        back = self.share(set(self._macs) - set(selection.weighted))
        slowed = self.raced.high + SLACK * back * max(1 - self.raced.low, 0.0)
        return slowed < PLAINLY_FASTER

    def share(self, names: Collection[str]) -> float:
        """Of all layers with weights: by arithmetic, or by their number if that is more."""
        known, every = self._macs, max(sum(self._macs.values()), 1)
        return max(sum(known[n] for n in names) / every, len(names) / max(len(known), 1))

    @property
    def takes_long(self) -> bool:
        """Whether a call takes so long that a layer's time follows its arithmetic."""
        return sum(self._macs.values()) >= LONG_MACS

    @functools.cached_property
    def _macs(self) -> Mapping[str, int]:
        layers = {node.name for node in self.graph.graph if is_weighted(node)}
        return {la.name: la.macs or 0 for la in cost.layers(self.graph) if la.name in layers}

    def seconds(self, selection: Selection) -> tuple[float, float]:
        """Of the float graph, and of the selection; no time at all without a stopwatch."""
        if self.race is None:
            return 0.0, 0.0
        laps = careful(self.race, [self.original, self.build(selection)])
        return laps[0].typical, laps[1].typical


def met(
    goal: Goal, means: Means, plan: QuantizationPlan, floats: frozenset[str]
) -> QuantizationPlan | None:
    """The plan that meets the goal best; None where the float model does.

    Args:
        goal: what is wanted.
        means: to search with.
        plan: the fastest one, repaired.
        floats: names that are float already.
    """
    found = _met(goal, means, plan, floats)
    if found is not None and not means.report.effects:
        if layer_sensitivity.macs(means.graph, found) <= CHARTED_MACS:
            _list(
                layer_sensitivity.sensitivities(means.graph, found, means.evaluator), means.report
            )
        else:
            means.report.note(Note.of("int8.not_measured_alone", layers=len(found.weights)))
    return found


def _met(
    goal: Goal, means: Means, plan: QuantizationPlan, floats: frozenset[str]
) -> QuantizationPlan | None:
    if goal.name == SAFE:
        found = _safest(_safe(goal.target, means), means, plan, floats)
        _say(found, means.report)
        if found.error > DESTROYED:
            means.report.note(
                Note.of("int8.no_mix_keeps", error=found.error, floats=len(found.floats))
            )
            return None
        return found.plan
    if goal.name == WITHIN_POINTS:
        return _within_points(goal.points, means, plan, floats)
    if goal.name == WITHIN_MS:
        return _within_ms(goal.milliseconds, means, plan, floats)
    return plan


def _safe(target: float, means: Means) -> float:
    """The target, or less where so much of it would cost more accuracy than safe may."""
    if not means.real or not means.evaluator.counts_points:
        return target
    return min(target, max(means.evaluator.bearable(SAFE_POINTS), LEAST_TARGET))


def _safest(
    target: float, means: Means, plan: QuantizationPlan, floats: frozenset[str]
) -> Fallback:
    """Below the target with as little time lost as can be; else as near to it as is affordable."""
    error = means.evaluator.error(written(means.graph, plan))
    if error <= target:
        return Fallback(plan, (), error, {})
    mixes = _mixes(means, plan, floats, layer_sensitivity.STEPS[-1], error)
    most = mixes.at(mixes.most)
    reached = most is not None and most.error <= target  # else nothing in between does
    found = mixes.fewest(lambda mix: mix.error <= target) if reached else None
    if found is not None and means.affordable(found.plan.selection):
        return found
    return layer_sensitivity.fall_back(
        means.graph,
        plan,
        means.evaluator,
        floats,
        target,
        means.affordable,
        mixes.ranked,
        mixes.errors,
    )


def _within_points(
    points: float, means: Means, plan: QuantizationPlan, floats: frozenset[str]
) -> QuantizationPlan | None:
    if not means.real:
        raise PassPrecondition(
            "Points of accuracy cannot be told from made-up images: give calibration images, or "
            "choose the goal safe."
        )
    evaluator, report, target = means.evaluator, means.report, 0.0
    scores = means.scores()
    if evaluator.counts_points:
        target = evaluator.bearable(points)
        report.note(Note.of(
            "int8.bears", points=points, target=target, images=evaluator.images,
            uncounted=scores.uncounted if scores else "no labels",
            labelled=scores.images if scores else 0,
        ))  # fmt: skip
        scores = None if scores is None or scores.uncounted else scores
    elif scores is None or not scores.counts_points:
        raise PassPrecondition(
            "Points of accuracy need outputs that are scored: classes, a map of classes, or boxes "
            "in a layout that is known. Choose the goal safe."
        )

    def fits(mix: Fallback) -> bool:
        if scores is None or mix.error == float("inf"):
            return mix.error <= target
        return scores.lost(written(means.source, mix.plan)) <= points

    found = _mixes(means, plan, floats).fewest(fits)
    if found is None:
        report.note(Note.of("int8.no_mix_within", points=points))
        return None
    _say(found, report)
    if found.floats and not means.affordable(found.plan.selection):
        report.note(Note.of("int8.no_mix_is_faster", points=points))
        return None
    if scores is not None:
        _say_counted(scores, scores.lost(written(means.source, found.plan)), report)
    if evaluator.counts_points:
        kept = evaluator.agreeing(written(means.graph, found.plan))
        report.note(Note.of("int8.agrees", error=found.error, agreeing=kept))
    return found.plan


def _say_counted(scores: Scores, lost: float, report: Report) -> None:
    """What was counted, and by what."""
    report.note(Note.of(
        "int8.counted", images=scores.images, lost=lost, one=100 / scores.images,
        metric=scores.short, uncounted=scores.uncounted,
    ))  # fmt: skip


def _within_ms(
    limit: float, means: Means, plan: QuantizationPlan, floats: frozenset[str]
) -> QuantizationPlan | None:
    report = means.report
    if means.race is None:
        report.note(Note.of("int8.not_clocked"))
        return plan
    before, now = (1000 * s for s in means.seconds(plan.selection))
    report.note(Note.of("int8.times", float_ms=before, int8_ms=now))
    if before <= limit:
        report.note(Note.of("int8.float_is_accurate", limit=limit))
        return None
    if now > limit:
        report.note(Note.of("int8.out_of_reach", limit=limit))
        return plan
    known: dict[tuple[str, ...], bool] = {}

    def fits(mix: Fallback) -> bool:
        if mix.floats not in known:
            spent = 1000 * means.seconds(mix.plan.selection)[1]
            known[mix.floats] = not mix.floats or spent <= limit
        return known[mix.floats]

    found = _mixes(means, plan, floats).most_fitting(fits)
    if found is None or (found.floats and not means.affordable(found.plan.selection)):
        return plan
    _say(found, report)
    return found.plan


def _mixes(
    means: Means,
    plan: QuantizationPlan,
    floats: frozenset[str],
    most: int = 0,
    error: float | None = None,
) -> fallback_order.Mixes:
    """Layers back to float in the order of error saved per time lost; at most so many, if given."""
    ranked = layer_sensitivity.sensitivities(means.graph, plan, means.evaluator, RANKED * most)
    if means.takes_long and means.race is not None:
        priced = {name: means.share({name}) for name in ranked}
    else:
        priced = fallback_order.prices(
            means.graph,
            plan,
            floats,
            list(ranked),
            means.build,
            means.race,
            most or fallback_order.PRICED,
        )
    names = fallback_order.order(ranked, priced)
    names = names[: most + 1] if most else names
    return fallback_order.Mixes(means.graph, plan, means.evaluator, floats, names, ranked, error)


def _list(sensitivities: Mapping[str, float], report: Report) -> None:
    """Each layer's error, for the chart."""
    report.effects += [LayerEffect((name,), "int8", error) for name, error in sensitivities.items()]


def _say(result: Fallback, report: Report) -> None:
    _list(result.sensitivities, report)
    if 0 < len(result.sensitivities) < len(result.plan.weights):
        every = len(result.plan.weights) + len(result.floats)
        report.note(Note.of("int8.ranked", ranked=len(result.sensitivities), layers=every))
    worst = list(result.sensitivities.items())[:3]
    if worst:
        report.note(Note.of("int8.sensitive_layers", layers=worst))
    for name in result.floats:
        report.skip(name, Note.of("int8.sensitive"))
    if result.floats:
        report.note(Note.of("int8.with_floats", error=result.error))
