"""The room of insights: what a model is, what a recipe will do to it, and why it is so fast.

All of it is asked for on demand (`core.runs.on_demand`): pages look again, and never wait.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from core.data import model_at
from core.errors import DataError, StoreError
from core.formats.base.artifacts import Artifacts
from core.measure import ProfileJob, Setting, Source, explained, host, profile
from core.recipes import key
from core.records import (
    Diagnosis,
    Distributions,
    Explanation,
    Hindsight,
    ModelSummary,
    NextSteps,
    Outcome,
    Preview,
    Recipe,
    Run,
    Sensitivity,
    StaircaseQuestion,
    StaircaseState,
    Topology,
)
from core.records.targets import LOCAL
from core.runs.distribution_job import LayerDistributions, LayerOf
from core.runs.doctor import Diagnoses, Question, Told
from core.runs.forecast import uncut
from core.runs.hindsight import hindsights
from core.runs.images import ImageSource, sources
from core.runs.installation import Installation
from core.runs.latency_curve_times import StairTimes
from core.runs.next_steps import next_steps
from core.runs.on_demand import Turns
from core.runs.preprocess_search import PixelTrial, PixelTrials
from core.runs.preview_cache import Previews
from core.runs.profiles import Profiles, passes_of
from core.runs.sensitivity_job import Sensing, Study
from core.runs.topologies import Topologies
from core.workspace.models import Models
from core.workspace.runs import Runs


class Insights:
    """Questions on demand. Thread-safe."""

    def __init__(self, installation: Installation, models: Models, runs: Runs) -> None:
        """Nothing is asked yet.

        Args:
            installation: what all rooms share.
            models: that are asked about.
            runs: of which profiles are made.
        """
        self._at, self._models, self._runs = installation, models, runs
        home = installation.home
        self._turns = Turns()
        self._previews = Previews(self._preview)
        self._sensing = Sensing(home, self._turns)
        self._stairs = StairTimes(home, self._turns)
        self._profiles = Profiles(home.caches / "profiles")
        self._pixels = PixelTrials(home.caches)
        self._topologies = Topologies(home.caches / "topologies", self._topology)
        self._distributions = LayerDistributions(home, self._turns)
        self._diagnoses = Diagnoses(home, self._turns)
        self._zero_shares: dict[str, float] = {}

    def close(self) -> None:
        """Begin nothing more."""
        for asked in (self._turns, self._profiles, self._stairs, self._previews, self._pixels):
            asked.close()

    def preview(self, digest: str, recipe: Recipe) -> Preview:
        """What a recipe makes of the counts of a model, without running anything.

        Raises:
            CoreError: why it cannot be said.
        """
        return self._previews.get(digest, recipe)

    def preview_ahead(self, digest: str, recipes: Sequence[Recipe]) -> None:
        """Have these answers ready: computed in the background."""
        self._previews.warm(digest, recipes)

    def topology(self, digest: str) -> Topology:
        """The nodes of a model or a candidate, and who reads from whom.

        Raises:
            CoreError: its file is gone, or cannot be read.
        """
        return self._topologies.get(digest)

    def _topology(self, digest: str) -> Topology:
        return self._at.bench.get().topology(self._models.path(digest))

    def distributions(
        self, digest: str, layer: str, calibration: str, evaluation: str = "", visitor: str = ""
    ) -> Distributions | None:
        """How the weights of a layer are distributed, and what leaves it; None while it is counted.

        Args:
            digest: of a model or a candidate; one without the layer has nothing to show.
            layer: its name.
            calibration: digest of an image set; empty for weights only.
            evaluation: of the one that accuracy is measured on; the same one is split.
            visitor: who asks.

        Raises:
            CoreError: the file is gone, or the images do not fit.
        """
        images, _ = sources(self._at.home, calibration, evaluation)
        return self._distributions.get(LayerOf(self._models.path(digest), layer, images), visitor)

    # What becomes of a model on every target

    def diagnosis(self, digest: str, data: str, owner: str) -> Diagnosis | None:
        """What becomes of a model on every target, and what helps; None while it is being tried.

        Args:
            digest: of the model.
            data: of an image set whose first images are fed; empty for made-up inputs.
            owner: who asks.

        Raises:
            CoreError: the model is gone, or cannot be worked on.
        """
        return self._diagnoses.get(self._question(digest, data, owner), owner)

    def diagnosed(self, digest: str, data: str, owner: str) -> Diagnosis | None:
        """What is known of that; nothing is tried.

        Raises:
            CoreError: the model is gone.
        """
        return self._diagnoses.known(self._question(digest, data, owner))

    def diagnosis_told(self, digest: str, data: str, owner: str) -> str:
        """What is tried now, and how many targets are done; or whom it waits for.

        Raises:
            CoreError: the model is gone.
        """
        return self._diagnoses.told(self._question(digest, data, owner))

    def stop_diagnosis(self, digest: str, data: str, owner: str) -> None:
        """End it; what was tried is kept.

        Raises:
            CoreError: the model is gone.
        """
        self._diagnoses.stop(self._question(digest, data, owner))

    def diagnose(self, model: ModelSummary, data: str, tell: Callable[[str], None]) -> Diagnosis:
        """The same in this thread: the command line.

        Args:
            model: an admitted model.
            data: digest of an image set; empty for made-up inputs.
            tell: hears what is tried.

        Raises:
            CoreError: the model cannot be worked on.
        """
        images = ImageSource(self._at.home.data_path(data), data)
        return self._diagnoses.now(Question(model, images), Told(tell))

    def _question(self, digest: str, data: str, owner: str) -> Question:
        model = self._models.named(digest, owner)
        return Question(model, ImageSource(self._at.home.data_path(data), data))

    def sensitivity(
        self, digest: str, before: Recipe, calibration: str, evaluation: str = "", visitor: str = ""
    ) -> Sensitivity | None:
        """What pruning would cost the model, for a forecast; None while it is being measured.

        Who waits for it asks again and again: studies are made in turns, fair between visitors.

        Args:
            digest: of the model.
            before: what runs before the pruning.
            calibration: digest of an image set.
            evaluation: of the one that accuracy will be measured on; the same one is split.
            visitor: who asks.

        Raises:
            CoreError: it cannot be measured.
        """
        return self._sensing.get(self._study(digest, before, calibration, evaluation), visitor)

    def sensitivity_told(
        self, digest: str, before: Recipe, calibration: str, evaluation: str = ""
    ) -> str:
        """What that study does now and how long it will take, or whom it waits for.

        Raises:
            CoreError: there is nothing to study.
        """
        return self._sensing.told(self._study(digest, before, calibration, evaluation))

    def stop_sensitivity(
        self, digest: str, before: Recipe, calibration: str, evaluation: str = ""
    ) -> None:
        """End that study; asked for again, it begins anew.

        Raises:
            CoreError: there is nothing to study.
        """
        self._sensing.stop(self._study(digest, before, calibration, evaluation))

    def _study(self, digest: str, before: Recipe, calibration: str, evaluation: str) -> Study:
        images, _ = sources(self._at.home, calibration, evaluation)
        if images.path is None:
            raise DataError("Without calibration images there is no forecast.")
        return Study(self._models.path(digest), before, images.path, images.digest)

    def pixel_trials(self, digest: str, labelled: str, owner: str) -> tuple[PixelTrial, ...]:
        """What each way from pixels to the model's input scores on labelled images, best first.

        Takes seconds; a measurement that runs meanwhile is waited for, but not for long.

        Args:
            digest: of the model.
            labelled: of an image set with labels.
            owner: whose model it is.

        Raises:
            CoreError: why it cannot be told.
        """
        model = self._models.get(digest, owner)
        images = ImageSource(self._at.home.data_path(labelled), labelled)
        return self._pixels.get(model, images, owner)

    def hindsights(self, run: Run) -> tuple[Hindsight, ...]:
        """Of a run's pruned recipes: the agreement counted, and what its forecast had been.

        Nothing is measured for it: recipes without a forecast are left out.
        """
        return hindsights(run, functools.partial(self._known, run))

    def next_steps(self, run: Run, outcome: Outcome, backend: str) -> NextSteps | None:
        """What to do next about a recipe of a run; None where it made no model.

        Nothing is measured for it: a change without a forecast says so.
        """
        made = outcome.candidate
        at = next((i for i, r in enumerate(made.report) if r.cuts), None) if made else None
        known = self._known(run, uncut(outcome.recipe, at)) if at is not None else None
        tried = {
            key(recipe.steps)
            for line in self._at.store.lines(run.owner)
            if line.spec.model == run.spec.model and backend in line.spec.backends
            for recipe in line.spec.recipes
        }
        return next_steps(run, outcome, backend, known, tried)

    def _known(self, run: Run, before: Recipe) -> Sensitivity | None:
        """What a cut costs the model of a run, as a recipe leaves it, if that was measured."""
        try:
            images, _ = sources(self._at.home, run.spec.calibration, run.spec.evaluation)
        except DataError:
            return None  # gone, and what was learnt of it counts for nothing
        model = Path(run.spec.model)
        return self._sensing.known(Study(model, before, images.path or model, images.digest))

    def staircases(self, question: StaircaseQuestion) -> StaircaseState:
        """What is known of the times along a parameter, and whether more is being measured.

        Raises:
            StoreError: the model is gone.
        """
        return self._stairs.look(question, self._models.path(question.model))

    def time_layers(self, question: StaircaseQuestion, visitor: str = "") -> None:
        """Time in the background what `staircases` lacks, in its turn.

        Raises:
            StoreError: the model is gone.
        """
        self._stairs.measure(question, self._models.path(question.model), visitor)

    def stop_timing(self, question: StaircaseQuestion) -> None:
        """Stop timing these layers; what was timed is kept."""
        self._stairs.stop(question)

    def _preview(self, digest: str, recipe: Recipe) -> Preview:
        return self._at.bench.get().preview(self._models.path(digest), recipe)

    # Why a candidate is as fast as it is

    def profile(
        self, run_id: str, digest: str, backend: str, threads: int, wait_s: float | None = None
    ) -> Explanation | None:
        """Why a candidate of a run is as fast as it is, layer beside layer of the original.

        Measured when it is first asked for, in the background; None while that lasts longer than
        `wait_s`. A caller that wants no answer yet waits 0 seconds.

        Raises:
            StoreError: no such run or candidate, or its file is gone.
            BackendUnavailable: not installed, or it does not tell how long its layers take.
            CoreError: the backend does not take one of the two models.
        """
        run, setting = self._runs.get(run_id), Setting.of(backend, threads)
        models = [
            model_at(self._summary_in(run, which), run.spec.dims)
            for which in (run.spec.model, digest)
        ]
        source = Source(
            self._at.home.data_path(run.spec.evaluation), run.spec.evaluation, run.model.preprocess
        )

        def job() -> ProfileJob:
            before, after = models
            return ProfileJob(
                before,
                after,
                setting,
                source,
                (self._zero_share(before), self._zero_share(after)),
                artifacts=Artifacts(self._at.home.artifacts),
            )

        key = self._profiles.key(
            models[0].digest, models[1].digest, backend, threads, run.spec.dims
        )
        return self._profiles.get(key, job, wait_s, passes_of(run, digest))

    def profiled(self, run_id: str, digest: str, backend: str, threads: int) -> bool:
        """Whether `profile` would answer at once.

        Raises:
            StoreError: there is no such run.
        """
        asked = self._runs.get(run_id).spec
        return self._profiles.known(
            self._profiles.key(asked.model, digest, backend, threads, asked.dims)
        )

    def explain(
        self,
        before: ModelSummary,
        after: ModelSummary,
        backend: str,
        threads: int,
        device: str = LOCAL,
    ) -> Explanation:
        """Why one model is faster or slower than another, measured now; kept nowhere.

        Args:
            before: an admitted model.
            after: another one.
            backend: or backend:precision.
            threads: 0 for all cores.
            device: where.

        Raises:
            BackendUnavailable: not installed, or it does not tell how long its layers take.
            CoreError: the backend does not take one of the two models.
        """
        zeros = self._zero_share(before), self._zero_share(after)
        setting, made = Setting.of(backend, threads, device), Artifacts(self._at.home.artifacts)
        job = ProfileJob(before, after, setting, zeros=zeros, artifacts=made)
        return explained(*profile(job), host(device))

    def _zero_share(self, model: ModelSummary) -> float:
        if model.digest not in self._zero_shares:
            self._zero_shares[model.digest] = self._at.bench.get().zero_share(model.path)
        return self._zero_shares[model.digest]

    def _summary_in(self, run: Run, digest: str) -> ModelSummary:
        """The summary of the original or a candidate of a run, with its file in place."""
        if digest == run.spec.model:
            return replace(run.model, path=self._models.path(digest))
        path = self._runs.candidate_file(run.id, digest)
        for outcome in run.outcomes:
            if outcome.summary is not None and outcome.summary.digest == digest:
                return replace(outcome.summary, path=path)
        raise StoreError("This run has no such model file, or it is gone.")
