"""One run from start to end: build the candidates, measure them, keep every row as it comes.

Runs in a process of its own (`job`), which outlives the web server and holds the run's lease
(`queue`) while it lives.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from core.data import Annotations, model_at, open_set
from core.devices.local import lock
from core.errors import CoreError, ModelError, no_room
from core.measure import Cancelled, Source, host
from core.pipeline import failures
from core.pipeline.client import Workshop
from core.recipes import ORIGINAL, key, original
from core.records import (
    ExperimentSpec,
    Json,
    Measurement,
    ModelSummary,
    Outcome,
    Recipe,
    Run,
    RunProgress,
    State,
)
from core.runs import builds, layer_times
from core.runs.home import Home
from core.runs.images import ImageSource, sources
from core.runs.pace import OutOfTime, Progress
from core.runs.plan import Comparison, Emit, Judges, Unit, early, only_times
from core.runs.store import Store

EARLY_BUDGET_S = 2.0  # of one latency: it is timed again beside every candidate
LOOK_EVERY_S = 0.5  # whether it was cancelled
Watch = Callable[[RunProgress], None]


class Job:
    """The work on one run."""

    def __init__(self, home: Home, store: Store, run: Run, watch: Watch | None = None) -> None:
        """Prepare the work; `watch` hears of every progress as well."""
        self._home, self._store, self._run = home, store, run
        self._watch = watch or (lambda progress: None)
        self._checked_s, self._stop = 0.0, False
        self._label = "Waiting for the machine"
        builds = len(recipes(run.spec))
        units = builds * len(run.spec.backends) * (2 + len(run.spec.threads))
        self._progress = Progress(builds, units)
        self._known = {key(o.recipe.steps): o for o in run.outcomes}
        self._judged: tuple[Annotations | None, Judges] | None = None

    def execute(self) -> State:
        """Work until done, cancelled or failed; the state is in the store as well."""
        try:
            self._store.set_host(self._run.id, host(self._run.spec.device))
            last = self._work()
        except Cancelled:
            return self._end(State.CANCELLED, "stopped; what was measured is kept")
        except CoreError as error:
            return self._failed(error)
        except OSError as error:
            full = no_room(error)
            if full is None:
                raise
            return self._failed(full)
        return self._end(State.DONE, last)

    def _work(self) -> str:
        """Make every candidate that is not there yet, then measure all; what to say at the end."""
        with Workshop() as workshop:
            asked = enumerate(recipes(self._run.spec))
            outcomes = [self._made(workshop, *which) for which in asked]
        models = distinct_models(self._run.model, outcomes)
        self._measure(list(self._comparison(models).units()))
        return ""

    def _made(self, workshop: Workshop, position: int, recipe: Recipe) -> Outcome:
        """The recipe at a position of the run, made unless it is there; the original is timed."""
        self._check()
        found = self._known.get(key(recipe.steps))
        if found is None or not is_there(found):
            self._tell(self._making(recipe), always=True)
            calibration, _ = self._images()
            found = self._built(workshop, recipe, calibration)
            self._store.add_outcome(self._run.id, position, found)
        self._progress.built += 1
        if position == 0:
            self._measure_early(found)
        return found

    def _measure_early(self, baseline: Outcome) -> None:
        """What is known of the original before the candidates are built, which may take minutes."""
        if baseline.summary is None:
            return
        finished = self._store.finished(self._run.id)
        own = replace(baseline.summary, size_bytes=self._run.model.size_bytes)
        alone = self._comparison(((ORIGINAL, own),))
        alone = replace(alone, budget_s=min(alone.budget_s, EARLY_BUDGET_S))
        building = self._run.spec.goal is not None or len(recipes(self._run.spec)) > 1
        for unit in early(alone.units(), building):
            if unit.name not in finished:
                start = time.monotonic()
                self._do(unit, functools.partial(self._keep_early, unit))
                most_s = alone.budget_s if unit.kind.startswith("latency") else math.inf
                self._progress.was_early(unit, time.monotonic() - start, most_s)

    def _keep_early(self, unit: Unit, rows: Sequence[Measurement]) -> None:
        """Rows of the original alone; its latency is told as well, for who watches the words."""
        latency = unit.kind.startswith("latency")
        (only_times(self._keep) if latency else self._keep)(rows)
        for row in rows:
            if row.metric == "latency_ms" and row.value is not None:
                self._tell(f"{unit.label}: {row.value:.4g} ms", always=True)

    def _built(self, workshop: Workshop, recipe: Recipe, calibration: ImageSource) -> Outcome:
        """The candidate as it was built before, by any run, or built now."""

        def progress(message: Json) -> None:
            said = message.get("notice") or message.get("current", "")
            self._tell(f"{self._making(recipe)}: {said}", always="notice" in message)

        memo = builds.Memo(self._home, self._run.spec.model, recipe, calibration.digest)
        found = memo.read()
        if found is not None and is_there(found):
            return renamed(found, recipe)
        try:
            times = layer_times.table(
                recipe,
                self._run.model.path,
                workshop,
                self._home.caches / "layer_times",
                functools.partial(self._stage, workshop, calibration),
                self._run.spec.threads[0] if self._run.spec.threads else 1,
                functools.partial(self._tell_timed, recipe),
                self._cancelled,
            )
            found = workshop.build(
                self._run.model.path,
                recipe,
                calibration.path,
                self._home.models,
                progress,
                self._check,
                times,
            )
        except CoreError as error:
            return Outcome(recipe, None, None, error.reason, late=isinstance(error, OutOfTime))
        memo.write(found)
        return found

    def _stage(
        self, workshop: Workshop, calibration: ImageSource, recipe: Recipe, times: Path
    ) -> Path | None:
        """The file that the first steps of a recipe make, of which layers are to be timed."""
        model, models = self._run.model.path, self._home.models
        found = workshop.build(
            model, recipe, calibration.path, models, check=self._check, timings=times
        )
        return found.candidate.path if found.candidate else None

    def _images(self) -> tuple[ImageSource, ImageSource]:
        """Calibration and evaluation images."""
        return sources(self._home, self._run.spec.calibration, self._run.spec.evaluation)

    def _measure(self, units: list[Unit]) -> None:
        """Do what is not done yet of these pieces of work."""
        finished = self._store.finished(self._run.id)
        self._progress.measuring(units, finished)
        for unit in units:
            if unit.name in finished:
                continue
            start = time.monotonic()
            self._do(unit)
            self._progress.finished(unit, time.monotonic() - start)

    def _do(self, unit: Unit, keep: Emit | None = None) -> None:
        self._check()
        self._label = unit.label
        self._tell(unit.label, always=True)
        unit.run(keep or self._keep, functools.partial(self._tell_share, unit.label))
        self._store.finish(self._run.id, unit.name)

    def _comparison(self, models: tuple[tuple[str, ModelSummary], ...]) -> Comparison:
        spec = self._run.spec
        _, images = self._images()
        source = Source(images.path, images.digest, self._run.model.preprocess, spec.images)
        if self._judged is None:
            annotations = open_set(images.path).annotations if images.path else None
            judges = Judges.of(source, annotations, self._home.caches, self._cancelled)
            self._judged = annotations, judges
        annotations, judges = self._judged
        return Comparison(
            models=tuple((name, model_at(model, spec.dims)) for name, model in models),
            backends=spec.backends,
            threads=spec.threads,
            source=source,
            annotations=annotations,
            caches=self._home.caches,
            budget_s=spec.latency_budget_s,
            cancelled=self._cancelled,
            device=spec.device,
            judges=judges,
        )

    def _cancelled(self) -> bool:
        if lock.is_waiting():
            self._tell(f"{self._label}: waiting for the machine")
        if not self._stop and time.monotonic() - self._checked_s > LOOK_EVERY_S:
            self._checked_s = time.monotonic()
            self._stop = self._store.cancelled(self._run.id)
        return self._stop

    def _check(self) -> None:
        if self._cancelled():
            raise Cancelled

    def _keep(self, rows: Sequence[Measurement]) -> None:
        self._store.add_measurements(self._run.id, rows)

    def _tell_timed(self, recipe: Recipe, done: int, total: int) -> None:
        self._tell(f"{self._making(recipe)}: timing layers, {done} of {total}")

    def _making(self, recipe: Recipe) -> str:
        """What is made; by name only where there are several."""
        if not recipe.steps:
            return "Reading the original"
        alone = len(recipes(self._run.spec)) <= 2 and self._run.spec.goal is None
        return "Making the model" if alone else f"Making {recipe.name}"

    def _tell_share(self, label: str, message: Json) -> None:
        self._tell(_with_share(label, message))

    def _tell(self, current: str, always: bool = False) -> None:
        if always or self._progress.is_due():
            progress = self._progress.now(current)
            self._store.set_progress(self._run.id, progress)
            self._watch(progress)

    def _failed(self, error: CoreError) -> State:
        return self._end(State.FAILED, error.reason)

    def _end(self, state: State, message: str) -> State:
        progress = self._progress.end(state, message)
        self._store.set_progress(self._run.id, progress)
        self._watch(progress)
        return state


def is_there(outcome: Outcome) -> bool:
    """Whether an outcome still holds: its file exists, and no step of it may hold next time."""
    made = outcome.candidate is not None and outcome.candidate.path.exists()
    return made and not builds.lacked_memory(outcome)


def renamed(outcome: Outcome, recipe: Recipe) -> Outcome:
    """What the same recipe made, under the name that it has now."""
    called = failures.renamed(recipe, outcome.failed)
    made = outcome.candidate and replace(outcome.candidate, recipe=called)
    return replace(outcome, recipe=called, candidate=made)


def recipes(spec: ExperimentSpec) -> tuple[Recipe, ...]:
    """The recipes of a run, the baseline first."""
    rest = tuple(recipe for recipe in spec.recipes if recipe.steps)
    return (original(), *rest)


def distinct_models(
    model: ModelSummary, outcomes: list[Outcome]
) -> tuple[tuple[str, ModelSummary], ...]:
    """The models to measure, the baseline first; recipes that made the same file are one.

    Raises:
        ModelError: the baseline itself could not be read.
    """
    if not outcomes or outcomes[0].summary is None:
        raise ModelError(outcomes[0].reason if outcomes else "There is no model.")
    own = replace(outcomes[0].summary, size_bytes=model.size_bytes)  # the user's file, not our copy
    found = {model.digest: (ORIGINAL, own)}
    for outcome in outcomes[1:]:
        if outcome.summary is not None:
            found.setdefault(outcome.summary.digest, (outcome.recipe.name, outcome.summary))
    return tuple(found.values())


def _with_share(label: str, message: Json) -> str:
    if "total" not in message:
        return label
    return f"{label}: {message['done']} of {message['total']} images"
