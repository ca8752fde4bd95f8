"""Compute with 8-bit integers: calibrated, repaired without training, and only where it is faster.

x is stored as round(x / scale) + zero_point, see `core.compress.quantization.qparams`. The order:

1. what stays float so that the net is fastest, by racing whole graphs on the backend;
2. cross-layer equalisation (kept only if it helps the activations on held-out images);
3. the range of every activation, by the method that loses least on held-out images;
4. rounding that keeps each layer's outputs (GPTQ) instead of each weight;
5. bias correction, layer after layer;
6. sensitive layers back to float, as the goal asks: until the logits are close enough ("safe"),
   until no more than so many points are lost, or as long as there is time (see `goals`).

The result is faster than the float graph beyond the noise of the race, or there is none.

What comes after the last layer with weights (Softmax, box decoding), shape arithmetic and unknown
operators stay float. AdaRound was left out: after 4 and 5 there is little left for it to win at 8
bits, and it needs gradients.

Source: Jacob et al. 2018, arXiv:1712.05877; Nagel et al. 2021, arXiv:2106.08295; Frantar et al.
2022, arXiv:2210.17323.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from core.calibration import targets
from core.calibration.services import Runtime, Services
from core.compress.quantization import gptq, shared_weights
from core.compress.quantization.activation_16bit import OPSET
from core.compress.quantization.batches import misread
from core.compress.quantization.calibrate import layers_of
from core.compress.quantization.evaluator import first_difference
from core.compress.quantization.images import CalibrationSplit, any_batch, singly
from core.compress.quantization.needs import of_a_repair
from core.compress.quantization.partition import is_weighted, reading_inputs, select, weights_only
from core.compress.quantization.prepare import prepared, refuse_sequences
from core.compress.quantization.qdq_writer import QuantizationPlan, written
from core.compress.quantization.stand_in import stand_in
from core.compress.quantization.target_scheme import LARGEST, Scheme, scheme
from core.compress.refit.needs import Needs, Workload
from core.errors import PassPrecondition
from core.graph.operators import is_quantized
from core.passes.base import SIZE, TIME, Gentler, Graph, Pass, Report, Tries, adopt, parameter
from core.passes.quantize_int8.data_free import DataFree
from core.passes.quantize_int8.goals import GOALS, SAFE, WITHIN_MS, WITHIN_POINTS, Goal
from core.passes.quantize_int8.readers import agreed, readers_of, runtime_of
from core.passes.quantize_int8.saying import say_data, say_scheme, say_skipped
from core.passes.quantize_int8.steps import Settings, Work
from core.records import Note


@dataclass(frozen=True)
class QuantizeInt8(Pass):
    """Int8 weights and activations that keep the accuracy and are not slower."""

    label: ClassVar[str] = "Quantize to int8, repaired"
    help: ClassVar[str] = (
        "Computes in 8-bit integers: about a quarter of the file and less time. Layers that would "
        "lose accuracy or time stay float. Calibration images set the ranges; without any, the "
        "batch norms do. OpenCV does not run int8 faster."
    )
    gives: ClassVar[str] = (
        "int8 with repair (channels equalised, ranges chosen by error, GPTQ rounding, bias "
        "correction), layers that lose time or accuracy left float"
    )
    limits: ClassVar[str] = "CPUs without fast int8 gain less; OpenCV gains nothing"
    order: ClassVar[int] = 69
    family: ClassVar[str] = "Precision"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "int8 safe": {"goal": "safe"},
        "int8 fastest": {"goal": "fastest"},
        "int8 within points": {"goal": "within_points"},
        "int8 within ms": {"goal": "within_ms"},
    }
    presets_say: ClassVar[Mapping[str, str]] = {
        "int8 safe": "Keeps the accuracy: layers that would lose it stay float, as long as the "
        "model stays faster than fp32.",
        "int8 fastest": "Keeps the time low: every layer that int8 makes faster is int8, whatever "
        "that costs in accuracy.",
        "int8 within points": "The fastest mix of int8 and float that loses no more accuracy than "
        "you allow.",
        "int8 within ms": "The most accurate mix of int8 and float that takes no more time than "
        "you allow.",
    }
    pays: ClassVar[Mapping[str, Tries]] = {
        TIME: ({"goal": "safe"}, {"goal": "fastest"}),
        SIZE: ({"goal": "safe"}, {"goal": "fastest"}),
    }

    backend: str = parameter(
        targets.reference(),
        "For",
        "The runtime that you will ship on: the file is written as it computes int8 fastest.",
        choices=tuple(targets.int8()),
    )
    goal: str = parameter(
        "safe",
        "Goal",
        "Which layers go back to float. safe: sensitive ones, while the model stays faster than "
        "fp32. fastest: none. within_points: as many as it takes to lose no more than the points "
        "below. within_ms: as many as the time below allows.",
        choices=GOALS,
    )
    points: float = parameter(
        1.0,
        "Points to lose at most",
        "How much may be lost of top-1, mIoU or mAP, in percentage points (from 75 % to 74 % is 1 "
        "point): counted where the calibration images have annotations. Without any, the share "
        "of pixels or boxes that may change; for a classifier it is estimated from the model's own "
        "confidence.",
        unit="points",
        low=0.5,
        high=10.0,
        step=0.5,
        only_with=("goal", (WITHIN_POINTS,)),
    )
    milliseconds: float = parameter(
        10.0,
        "Time for one image",
        "On one thread of this machine. Time that is left over is spent on accuracy.",
        unit="ms",
        low=0.0,
        high=1000.0,
        only_with=("goal", (WITHIN_MS,)),
    )
    activations: str = parameter(
        "auto",
        "Activations",
        "The integer type of what layers pass on. u8 (0 to 255) is fast on x86, s8 (−128 to 127) "
        "on ARM; auto takes what suits the backend and this machine. u16 keeps accuracy where 8 "
        "bits do not, at the speed of float.",
        choices=("auto", "u8", "s8", "u16"),
        expert=True,
    )
    ranges: str = parameter(
        "auto",
        "Ranges",
        "How the range of an activation is found on the calibration images. minmax: all values. "
        "percentile: without rare extremes. mse: by the least squared error. auto: the best of "
        "them on images held out.",
        choices=("auto", "minmax", "percentile", "mse"),
        expert=True,
    )
    equalise: bool = parameter(
        True,
        "Equalise layers",
        "Scales channels between layers so that each has its share of the activation's grid; kept "
        "where that brings the logits closer.",
        expert=True,
    )
    rounding: str = parameter(
        "gptq",
        "Rounding",
        "gptq rounds each weight so that the layer's outputs stay; nearest is quicker.",
        choices=("gptq", "nearest"),
        expert=True,
    )
    correct_bias: bool = parameter(
        True, "Correct biases", "Adds back what quantization shifts on average.", expert=True
    )
    per_channel: bool = parameter(
        True,
        "Scale per channel",
        "Each output channel of a weight has a scale of its own, instead of one for all: more "
        "accurate.",
        expert=True,
    )
    target: float = parameter(
        0.005,
        "Largest logit error",
        "With the goal safe: layers go back to float until the squared error of the logits, "
        "relative to their size, is below this.",
        low=0.0,
        high=1.0,
        step=0.001,
        expert=True,
        only_with=("goal", (SAFE,)),
    )
    exclude: tuple[str, ...] = parameter(
        (), "Leave alone", "Names of layers that stay float.", expert=True
    )
    wide: tuple[str, ...] = parameter(
        (),
        "16-bit activations",
        "Names of layers that read 16 bits instead of 8: accuracy at float speed on PCs, at that "
        "of integers on phones.",
        expert=True,
    )

    def requires(self, graph: Graph) -> None:
        """Refuse what is quantized already or holds no float32 weights."""
        if is_quantized(graph):
            raise PassPrecondition(
                "The model is already quantized; quantizing twice would only lose accuracy. Start "
                "from the float model."
            )
        refuse_sequences(graph)
        if not any(is_weighted(node) for node in graph.graph):
            raise PassPrecondition(
                "The model has no convolution or fully connected layer with float32 weights to "
                "quantize (convert the precision after quantizing, not before)."
            )

    def gentler(self) -> Iterator[Gentler]:
        """The goal that keeps the accuracy."""
        if self.goal != SAFE:
            yield Gentler(replace(self, goal=SAFE))

    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Choose, calibrate, repair, write."""
        source = self._source(graph)
        made_up = services.made_up() if not services.count else None
        if not services.count and made_up is None:
            self._weights_alone(graph, source, report)
            return
        seen = made_up or services
        _same_outputs(graph, source, seen)
        backend = runtime_of(seen, self.backend)
        try:
            self._quantize(graph, source, report, services, made_up, backend)
        finally:
            if backend is not None:
                backend.close()

    def _quantize(
        self,
        graph: Graph,
        source: Graph,
        report: Report,
        services: Services,
        made_up: Services | None,
        backend: Runtime | None,
    ) -> None:
        images = CalibrationSplit(
            made_up or services, as_written=not targets.runs_in_process(self.backend)
        )
        if made_up is None:
            say_data(images, services.count, report)
        race = services.stopwatch(self.backend) if targets.here(self.backend) else None
        if race is None:
            report.note(Note.of("int8.not_raced"))
        kept = _misread(source) - frozenset(self.exclude)
        for name in sorted(kept):
            backends = " and ".join(map(targets.label, _losing()))
            report.skip(name, Note.of("int8.loses_stem_bias", backends=backends))
        guessed = made_up is not None and made_up.preprocess is None
        if guessed:
            entrances = reading_inputs(source) - kept - frozenset(self.exclude)
            for name in sorted(entrances):
                report.skip(name, Note.of("int8.unknown_pixels"))
            kept |= entrances
        given = source, graph.clone(), self._settings(kept), report, images, race, backend
        work: Work = Work(*given)
        if made_up:
            work = DataFree(*given, unfolded=services.original, guessed=guessed)
            if (self.goal == SAFE or guessed) and (tensor := work.lacking()):
                self._weights_alone(graph, source, report, tensor, guessed)
                return
        plan = work.run()
        if plan is not None:
            others = readers_of(made_up or services, self.backend)
            plan = agreed(work.judged, plan, work.evaluator, others, report)
        say_skipped(source, plan.selection if plan else None, self.exclude, self.wide, report)
        result = work.write(plan) if plan else None
        if plan is None or result is None or not work.holds(result):
            report.note(Note.of("int8.float_is_best", backend=self.backend))
            return
        adopt(graph, result)
        report.changed = len(plan.selection.weighted)
        say_scheme(work.settings.scheme, report)

    def integers_on(self) -> str:
        """The backend that it is for, where that can be timed here."""
        timed = targets.here(self.backend) and self.activations != "u16"
        return self.backend if timed else ""

    def needs(self, graph: Graph, work: Workload) -> Needs:
        """See `core.compress.quantization.needs`."""
        return of_a_repair(graph, work)

    def preview(self, graph: Graph, report: Report) -> bool:
        """The same rewriting with made-up ranges; which layers stay float is not known yet."""
        source = self._source(graph)
        selection = select(source, _misread(source) | frozenset(self.exclude))
        if selection.weighted:
            adopt(graph, written(source, stand_in(source, selection, self._scheme())))
            report.changed = len(selection.weighted)
        return False

    def _weights_alone(
        self, graph: Graph, source: Graph, report: Report, tensor: str = "", guessed: bool = False
    ) -> None:
        """Int8 weights alone: without images nothing is known of the range of `tensor`."""
        layers = {n: la for n, la in layers_of(source).items() if n not in self.exclude}
        if self.equalise:
            report.note(Note.of("int8.not_equalised"))
        heads = shared_weights.firsts(layer.node for layer in layers.values())
        made = {
            name: replace(gptq.quantized(layers[name], LARGEST), packed=True)
            for name in set(heads.values())
        }
        weights = {
            n: shared_weights.like(made[heads[n]], layers[heads[n]], layers[n]) for n in layers
        }
        adopt(graph, written(source, QuantizationPlan(weights_only(list(layers)), {}, weights)))
        report.changed = len(layers)
        report.note(Note.of("int8.weights_alone", tensor=tensor, guessed=guessed))

    def _source(self, graph: Graph) -> Graph:
        return prepared(graph, OPSET) if self.activations == "u16" or self.wide else prepared(graph)

    def _scheme(self) -> Scheme:
        target = targets.int8()[self.backend]
        if self.activations == "u16":
            return Scheme(self.backend, per_channel=self.per_channel, bits=16, target=target)
        return scheme(self.backend, target, self.activations, self.per_channel)

    def _settings(self, kept: frozenset[str]) -> Settings:
        return Settings(
            self._scheme(), Goal(self.goal, self.target, self.points, self.milliseconds),
            self.ranges, self.equalise, self.rounding, self.correct_bias,
            kept | frozenset(self.exclude), frozenset(self.wide),
        )  # fmt: skip


def _losing() -> list[str]:
    """Targets that lose the bias of a first convolution where the batch is free."""
    return [name for name, facts in targets.int8().items() if facts.loses_stem_bias]


def _misread(source: Graph) -> frozenset[str]:
    """Convolutions to keep float whatever the recipe is for: its file is opened elsewhere too."""
    return misread(source) if _losing() else frozenset()


def _same_outputs(old: Graph, new: Graph, services: Services) -> None:
    """Raise PassPrecondition if the prepared graph computes something else."""
    feeds = next(iter(services.feeds()))
    feeds = next(singly(feeds)) if any_batch(old) else feeds
    name = first_difference(old, new, services.runner, feeds)
    if name:
        raise PassPrecondition(
            f"Brought to the form that quantizing needs (opset {new.opset_imports['']}), the "
            f"model computes something else in {name!r}. Export it again with a newer opset."
        )


PASS = QuantizeInt8
