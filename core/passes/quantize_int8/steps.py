"""The steps of a quantization in their order, each with what it gave on held-out images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from core.calibration.services import Lap, Race, Runtime
from core.compress.quantization import (
    activation_16bit,
    bias_correction,
    calibrate,
    effort,
    input_covariance,
    staged_graph,
)
from core.compress.quantization.calibrate import layers_of
from core.compress.quantization.evaluator import Evaluator, headless
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.mixed_precision import layer_search, layer_sensitivity
from core.compress.quantization.mixed_precision.timing_ratio import Ratio, careful, ratio
from core.compress.quantization.observers import observe
from core.compress.quantization.partition import Selection, select
from core.compress.quantization.qdq_writer import QuantizationPlan, written
from core.compress.quantization.qparams import Weight
from core.compress.quantization.shared_weights import completed
from core.compress.quantization.stand_in import stand_in
from core.compress.quantization.target_scheme import Scheme
from core.compress.refit.linear_layers import Layer
from core.errors import BackendUnavailable, UnsupportedModel
from core.graph.opset import raised
from core.passes.base import Graph, Report
from core.passes.quantize_int8.equalising import equalised
from core.passes.quantize_int8.fitting import Way, fitted, say_outcome
from core.passes.quantize_int8.goals import LEAST_TARGET, SAFE, Goal, Means, met
from core.passes.quantize_int8.progress import Progress
from core.records import Note

CORRECTION_IMAGES, LEAST_CORRECTION = 64, 8
QUICK_IMAGES = 8
MENDED_FROM = 5e-4  # relative error of the logits of a classifier: 33 dB
MENDED_FROM_POINTS = 0.02  # of accuracy that noise of such a size is expected to cost
ROUNDED_AS = 4  # images that go through the net while a layer is rounded, about


@dataclass(frozen=True)
class Settings:
    """The parameters of the pass that the steps read."""

    scheme: Scheme
    goal: Goal
    ranges: str
    equalise: bool
    rounding: str
    correct_bias: bool
    exclude: frozenset[str]
    wide: frozenset[str]


@dataclass
class Work:
    """One quantization under way.

    Attributes:
        source: the prepared float graph.
        original: the graph as the user gave it, which the result must not be slower than.
        real: whether the images are real ones.
        backend: computes the outputs that are judged; None: ONNX Runtime in this process.
    """

    real: ClassVar[bool] = True
    source: Graph
    original: Graph
    settings: Settings
    report: Report
    images: CalibrationSplit
    race: Race | None
    backend: Runtime | None = None
    judged: Graph = field(init=False)
    evaluator: Evaluator = field(init=False)
    progress: Progress = field(init=False)
    _raced: Ratio | None = None  # the fastest selection, beside float
    _rounded_once: dict[str, Weight] = field(default_factory=dict)  # for graphs that are raced

    def __post_init__(self) -> None:
        self.progress = Progress(self.report)
        self.images.ran = self.progress.ran
        if self.race is not None:
            self.race = self._told(self.race)
        self.judged = headless(self.source)
        self.evaluator = Evaluator(
            self.judged, self.images, backend=self.backend, labels=self.images.labels
        )

    def run(self) -> QuantizationPlan | None:
        """The plan; None if integers cannot win here."""
        self.progress.stage("Racing which layers stay float", 0.0, 0.15, 1)
        selection, floats = self._choose()
        if selection is None:
            return None
        selection, floats = self._fitted(selection, floats)
        plan = self._wide(self._repaired(selection), self.settings.wide)
        if self.settings.goal.name == SAFE and self.settings.scheme.target.wide:
            plan = self._widened(plan)
        layers = len(plan.selection.weighted)
        each = layer_sensitivity.RANKING_IMAGES * staged_graph.MOST // 2
        self.progress.stage(
            "Sensitive layers", 0.8, 0.97, layers * each + 4 * self.evaluator.images
        )
        means = Means(
            self.judged, self.original, self.evaluator, self._stand_in, self.race, self.report,
            self.images, self.source, self.real, self._raced,
        )  # fmt: skip
        found = met(self.settings.goal, means, plan, floats)
        if found is not None:
            say_outcome(written(self.judged, found), self.evaluator, self.real, self.report)
        return found

    def write(self, plan: QuantizationPlan) -> Graph:
        """The plan in the graph as it was, its final Softmax included."""
        return written(self.source, plan)

    def _wide(self, plan: QuantizationPlan, names: Iterable[str]) -> QuantizationPlan:
        """The plan with 16-bit activations for these layers."""
        layers = layers_of(self.judged)
        both = completed(list(names), [layers[name].node for name in plan.selection.weighted])
        tensors = activation_16bit.roots(plan.selection, layers, sorted(both))
        if not tensors:
            return plan
        seen = observe(self.images.values(self.judged, list(tensors)), list(tensors))
        return activation_16bit.widened(plan, tensors, {name: o.extent for name, o in seen.items()})

    def _widened(self, plan: QuantizationPlan) -> QuantizationPlan:
        """16-bit activations for the most sensitive layers, as few as reach the target."""
        error, target = self.evaluator.error(written(self.judged, plan)), self.settings.goal.target
        if error <= target:
            return plan
        try:
            judged, source = (raised(g, activation_16bit.OPSET) for g in (self.judged, self.source))
        except UnsupportedModel as failure:
            self.report.note(Note.of("int8.no_wide", reason=failure.message))
            return plan
        ranked = list(layer_sensitivity.sensitivities(self.judged, plan, self.evaluator))
        best = plan
        for count in layer_sensitivity.STEPS:
            trial = self._wide(plan, ranked[:count])
            now = self.evaluator.error(written(judged, trial))
            if now < error * 0.9:
                best, error, chosen = trial, now, ranked[:count]
            if error <= target:
                break
        if best is not plan:
            self.judged, self.source = judged, source
            self.report.note(Note.of("int8.wide", layers=chosen, error=error))
        return best

    def _told(self, race: Race) -> Race:
        def told(
            contestants: Sequence[Graph], sessions: int = 1, brief: bool = False
        ) -> Sequence[Lap]:
            kinds = "graph" if len(contestants) == 1 else "graphs"
            self.progress.say(f"Timing {len(contestants)} {kinds} in turns")
            return race(contestants, sessions=sessions, brief=brief)

        return told

    def holds(self, result: Graph) -> bool:
        """Whether the finished graph, with its own numbers, is faster than float as promised."""
        if self.race is None:
            return True
        self.progress.stage("Timing the finished model", 0.97, 1.0, 1)
        laps = careful(self.race, [self.original, result])
        found = ratio(laps[1], laps[0])
        self.report.note(
            Note.of("int8.finished", backend=self.settings.scheme.backend, ratio=found)
            if laps[1].seconds
            else Note.of("int8.finished_does_not_run", reason=laps[1].reason)
        )
        return found.faster

    def _repaired(self, selection: Selection) -> QuantizationPlan:
        """All steps of the repair on this selection."""
        ranges = 2 * effort.calibration(self.judged, self.images.count) + 8 * self.evaluator.images
        self.progress.stage("Ranges of the activations", 0.15, 0.45, ranges)
        if self.settings.equalise:
            made = equalised(
                self.judged, self.source, selection, self.settings.scheme,
                self.settings.rounding == "gptq", self.evaluator, self.images, self.report,
            )  # fmt: skip
            self.judged, self.source, seen = made.judged, made.source, made.seen
        else:
            most = effort.calibration(self.judged, self.images.count)
            seen = calibrate.seen(self.judged, selection, self.images, most)
        layers = layers_of(self.judged)
        plan, error, method = calibrate.best_ranges(
            self.judged, selection, seen, layers, self.settings.scheme, self.evaluator,
            self.settings.ranges,
        )  # fmt: skip
        self.report.note(Note.of("int8.ranges", method=method, error=error))
        if not self._worth_mending(error):
            self.report.note(Note.of("int8.nothing_to_mend"))
            return plan
        summed = effort.calibration(self.judged, input_covariance.IMAGES) + self.evaluator.images
        summed += ROUNDED_AS * len(layers)
        self.progress.stage("Rounding the weights", 0.45, 0.7, summed)
        plan, error = self._round(plan, error, layers)
        walked = 3 * self._corrected_on * len(layers)
        self.progress.stage("Correcting biases", 0.7, 0.8, walked)
        return self._correct(plan, error, layers)[0]

    @property
    def _corrected_on(self) -> int:
        """Images that biases are corrected on: a mean over places too, so that few will do."""
        return effort.images(self.judged, CORRECTION_IMAGES, effort.COMPARED_MACS, LEAST_CORRECTION)

    def _worth_mending(self, error: float) -> bool:
        """Whether a repair has anything to win; on a small net it costs too little to ask."""
        if effort.calibration(self.judged, self.images.count) == self.images.count:
            return True
        if not self.real or not self.evaluator.counts_points:
            return error > LEAST_TARGET
        return error > MENDED_FROM or self.evaluator.expected(error) > MENDED_FROM_POINTS

    def _fitted(
        self, selection: Selection, floats: frozenset[str]
    ) -> tuple[Selection, frozenset[str]]:
        """What computes in integers, and how, so that the backend is true to the file."""
        usual = Way(selection, floats, self.settings.scheme)
        way = fitted(self.source, usual, self.evaluator, self._quick, self.report)
        self.settings = replace(self.settings, scheme=way.scheme)
        return way.selection, way.floats

    def _quick(self, way: Way, graph: Graph | None = None) -> Graph:
        """Extremes of a few images, weights to nearest, nothing mended."""
        graph, names = graph or self.judged, way.selection.roots
        seen = observe(self.images.values(graph, names, QUICK_IMAGES), names)
        layers = layers_of(graph)
        found = calibrate.extents(graph, way.selection, seen, way.scheme, "minmax", 100.0)
        plan = QuantizationPlan(way.selection, calibrate.grids(found, way.scheme))
        weights = calibrate.weights(layers, way.selection, plan.grids, way.scheme)
        return written(graph, replace(plan, weights=weights))

    def _choose(self) -> tuple[Selection | None, frozenset[str]]:
        pinned = self.settings.exclude
        everything = select(self.source, pinned)
        if self.race is None or not everything.weighted:
            return everything if everything.weighted else None, pinned
        try:
            choice = layer_search.fastest(
                self.source, self.original, pinned, self._stand_in, self.race
            )
        except BackendUnavailable as error:
            self.report.note(Note.of("int8.not_here", reason=error.message))
            self.race = None
            return everything, pinned
        self._say_choice(choice)
        self._raced = choice.ratio
        return (choice.selection if choice.ratio.faster else None), choice.floats

    def _say_choice(self, choice: layer_search.Choice) -> None:
        where = self.settings.scheme.backend
        if choice.reason:
            self.report.note(Note.of("int8.none_timed", backend=where, reason=choice.reason))
            return
        ratios = {"ratio": choice.ratio, "full_ratio": choice.full_ratio}
        self.report.note(Note.of("int8.raced", backend=where, moves=choice.moves, **ratios))

    def _stand_in(self, selection: Selection) -> Graph:
        """The selection written with made-up ranges: as fast as the real one."""
        made = stand_in(
            self.source, selection, self.settings.scheme, self.settings.wide, self._rounded_once
        )
        self._rounded_once |= made.weights
        return written(self.source, made)

    def _round(
        self, plan: QuantizationPlan, error: float, layers: dict[str, Layer]
    ) -> tuple[QuantizationPlan, float]:
        if self.settings.rounding != "gptq":
            return plan, error
        weights: dict[str, Weight] = {}
        names = list(plan.selection.weighted)
        for moments in input_covariance.grams(self.judged, layers, names, self.images):
            weights |= calibrate.weights(
                layers, plan.selection, plan.grids, self.settings.scheme, moments,
                self.settings.correct_bias, lambda count: self.progress.ran(count * ROUNDED_AS),
            )  # fmt: skip
            self.progress.say(f"Rounding the weights: {len(weights)} of {len(names)} layers")
        return self._kept("gptq", plan, weights, error)

    def _correct(
        self, plan: QuantizationPlan, error: float, layers: dict[str, Layer]
    ) -> tuple[QuantizationPlan, float]:
        if not self.settings.correct_bias:
            return plan, error
        trial = bias_correction.corrected(
            self.judged, plan, layers, self.images, self._corrected_on
        )
        return self._kept("bias", plan, dict(trial.weights), error)

    def _kept(
        self, step: str, plan: QuantizationPlan, weights: dict[str, Weight], before: float
    ) -> tuple[QuantizationPlan, float]:
        trial = replace(plan, weights=weights)
        after = self.evaluator.error(written(self.judged, trial))
        kept = after < before
        self.report.note(
            Note.of("int8.step", step=step, before=before, after=after, kept=bool(kept))
        )
        return (trial, after) if kept else (plan, before)
