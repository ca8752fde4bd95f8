"""The units of work of one run: what is measured, on what, in which order.

First the sizes, then for each backend the accuracy and the latency of every candidate, and last the
costs of starting up. Each unit is done once; a run that was stopped goes on with the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.backends.base import label as label_of
from core.data import Annotations
from core.errors import CoreError
from core.formats.base.artifacts import Artifacts
from core.measure import (
    LatencyJob,
    Outputs,
    Scorer,
    Setting,
    Source,
    Verifier,
    accuracy_failed,
    evaluate,
    latency,
    no_data,
    sizes,
    startup,
    target,
)
from core.records import Json, Measurement, ModelSummary
from core.records.targets import LOCAL
from core.tasks.base import expected_metric

Emit = Callable[[Sequence[Measurement]], None]
Work = Callable[[Emit, Callable[[Json], None]], None]
ALL_CORES = 0
# What is measured of the original before anything is built, in this order; accuracy, which may
# take long, on the first backend alone.
EARLY = ("sizes", "latency", "accuracy", "startup")


@dataclass(frozen=True)
class Unit:
    """One piece of work.

    Attributes:
        name: unique in the run; under it the unit is marked as done.
        kind: units of a kind take about the same time.
        label: what the progress line says.
        guess_s: how long one takes before any of its kind was done.
        run: does it; emits rows, takes a callback for progress messages.
    """

    name: str
    kind: str
    label: str
    guess_s: float
    run: Work


@dataclass(frozen=True)
class Judges:
    """What is remembered of the baseline from one comparison of a run to the next.

    Attributes:
        artifacts: models in the formats that backends read.
        verifier: compares outputs before anything is timed.
        scorer: counts what candidates get right.
    """

    artifacts: Artifacts
    verifier: Verifier
    scorer: Scorer

    @classmethod
    def of(
        cls,
        source: Source,
        annotations: Annotations | None,
        caches: Path,
        cancelled: Callable[[], bool],
    ) -> Judges:
        """Nothing is known yet; the arguments are those of `Comparison`."""
        artifacts = Artifacts(caches / "artifacts")
        return cls(
            artifacts,
            Verifier(source, cancelled, artifacts),
            Scorer(annotations, source.digest, source.preprocess),
        )


@dataclass(frozen=True)
class Comparison:
    """Models, the first being the baseline, to be measured against each other.

    Attributes:
        models: with the name that a person reads.
        backends: `name` or `name:precision`.
        threads: latency once for each; 0 for all cores.
        source: evaluation images, or none.
        annotations: of the evaluation images, or None.
        caches: where outputs of whole sets are kept.
        budget_s: of one latency comparison.
        cancelled: polled while measuring.
        device: where they are measured.
        judges: of other comparisons on the same images; None for new ones.
    """

    models: tuple[tuple[str, ModelSummary], ...]
    backends: tuple[str, ...]
    threads: tuple[int, ...]
    source: Source
    annotations: Annotations | None
    caches: Path
    budget_s: float
    cancelled: Callable[[], bool]
    device: str = LOCAL
    judges: Judges | None = None

    @property
    def baseline(self) -> ModelSummary:
        """What everything is compared with."""
        return self.models[0][1]

    def units(self) -> Iterator[Unit]:
        """All the work, in order; each row says where it comes from."""
        return (replace(unit, run=self._placed(unit.run)) for unit in self._units())

    def _units(self) -> Iterator[Unit]:
        judges = self.judges or Judges.of(
            self.source, self.annotations, self.caches, self.cancelled
        )
        verifier = judges.verifier
        for name, model in self.models:
            yield self._sizes(name, model)
        for spec in self.backends:
            for name, model in self.models:
                yield self._accuracy(spec, name, model, verifier, judges.scorer)
            for threads in self.threads:
                yield from self._latencies(spec, threads, verifier)
        for spec in self.backends:
            for name, model in self.models:
                yield self._startup(spec, name, model, judges.artifacts)

    def _placed(self, run: Work) -> Work:
        def told(emit: Emit, progress: Callable[[Json], None]) -> None:
            run(lambda rows: emit([self._of_here(row) for row in rows]), progress)

        return told

    def _of_here(self, row: Measurement) -> Measurement:
        """Sizes of the ONNX file come from no backend."""
        if not row.backend:
            return row
        threads = int(row.condition.get("threads", 0))
        return replace(row, target=target(row.backend, threads, self.device))

    def _sizes(self, name: str, model: ModelSummary) -> Unit:
        def run(emit: Emit, _: Callable[[Json], None]) -> None:
            emit(sizes(model))

        return Unit(f"sizes {model.digest}", "sizes", f"Size of {self._who(name, model)}", 0.1, run)

    def _accuracy(
        self, spec: str, name: str, model: ModelSummary, verifier: Verifier, scorer: Scorer
    ) -> Unit:
        def run(emit: Emit, progress: Callable[[Json], None]) -> None:
            if self.source.data is None:
                emit([no_data(model.digest, spec, expected_metric(model, self.annotations))])
                return
            emit(self._scores(spec, model, verifier, scorer, progress))

        guess = 4.0 if self.source.data else 0.1
        label = f"Accuracy of {self._who(name, model)} on {label_of(spec)}"
        return Unit(f"accuracy {spec} {model.digest}", "accuracy", label, guess, run)

    def _scores(
        self,
        spec: str,
        model: ModelSummary,
        verifier: Verifier,
        scorer: Scorer,
        progress: Callable[[Json], None],
    ) -> list[Measurement]:
        setting = Setting.of(spec, ALL_CORES, self.device)

        def outputs(which: ModelSummary) -> Outputs:
            return evaluate(
                which, setting, self.source, verifier, self.caches, progress, self.cancelled
            )

        try:
            after = outputs(model)
            before = after if model.digest == self.baseline.digest else outputs(self.baseline)
            return scorer.rows(before, after)
        except CoreError as error:
            base = self.baseline.digest
            return accuracy_failed(
                model, setting, error, self.source.digest, base, self.annotations
            )

    def _latencies(self, spec: str, threads: int, verifier: Verifier) -> Iterator[Unit]:
        """Each candidate beside the baseline; the baseline alone where no candidate ran."""
        candidates = self.models[1:] or self.models
        ran: set[str] = set()
        for name, model in candidates:
            last = model is candidates[-1][1] and model is not self.baseline

            def run(
                emit: Emit,
                _: Callable[[Json], None],
                model: ModelSummary = model,
                last: bool = last,
            ) -> None:
                ran.update(self._timed(spec, threads, model, verifier, emit))
                if last and self.baseline.digest not in ran:
                    self._timed(spec, threads, self.baseline, verifier, only_times(emit))

            label = f"Latency of {self._who(name, model)} on {label_of(spec)}, {_threads(threads)}"
            unit = f"latency {spec} {threads} {model.digest}"
            yield Unit(unit, f"latency {spec}", label, 0.7 * self.budget_s, run)

    def _timed(
        self, spec: str, threads: int, model: ModelSummary, verifier: Verifier, emit: Emit
    ) -> set[str]:
        """Time a model beside the baseline; the digests of those that ran."""
        setting = Setting.of(spec, threads, self.device)
        job = LatencyJob(self.baseline, model, setting, self.source, self.budget_s)
        found = latency(job, verifier, emit, self.cancelled)
        return {row.candidate for row in found if row.value is not None}

    def _who(self, name: str, model: ModelSummary) -> str:
        """What a person calls a model of the run."""
        return "the original" if model.digest == self.baseline.digest else name

    def _startup(self, spec: str, name: str, model: ModelSummary, artifacts: Artifacts) -> Unit:
        def run(emit: Emit, _: Callable[[Json], None]) -> None:
            setting = Setting.of(spec, device=self.device)
            emit(startup(model, setting, self.source, self.cancelled, artifacts))

        label = f"Time to load {self._who(name, model)} on {label_of(spec)}"
        return Unit(f"startup {spec} {model.digest}", "startup", label, 1.0, run)


def early(units: Iterable[Unit], building: bool) -> list[Unit]:
    """Those of the original's units that come before the candidates, in order.

    Where nothing is to be built there is nothing to be early for but the sizes and the accuracy.
    """
    kinds = EARLY if building else ("sizes", "accuracy")
    found: dict[str, list[Unit]] = {kind: [] for kind in kinds}
    for unit in units:
        kind = unit.kind.partition(" ")[0]
        if kind in found and not (kind == "accuracy" and found[kind]):
            found[kind].append(unit)
    return [unit for kind in kinds for unit in found[kind]]


def only_times(emit: Emit) -> Emit:
    """Only times are passed on: a model beside itself has no ratio to tell of."""
    return lambda rows: emit([row for row in rows if row.metric == "latency_ms"])


def _threads(count: int) -> str:
    if count == ALL_CORES:
        return "all threads"
    return f"{count} thread{'s' * (count > 1)}"
