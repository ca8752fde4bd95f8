"""What pages and the command line call: models and images in, previews, runs and their results."""

from __future__ import annotations

import datetime
import functools
import secrets
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import core.backends.base as backends
from core.data import model_at
from core.errors import BackendUnavailable, DataError, StoreError
from core.experiment import drafts, jobs, keeping
from core.experiment.hindsight import hindsights
from core.experiment.home import Home
from core.experiment.images import ImageSource, sources
from core.experiment.inventory import Inventory
from core.experiment.job import Job, Watch, held
from core.experiment.pixels import PixelTrial, trials
from core.experiment.profiles import Profiles, key_of, passes_of
from core.experiment.sensing import Sensing, Study
from core.experiment.sizes import sizes_of
from core.experiment.stair_times import StairTimes
from core.experiment.turns import Turns
from core.experiment.warm import Previews
from core.measure import ProfileJob, Setting, Source, host
from core.process.memory import free_bytes
from core.records import (
    BackendInfo,
    ExperimentSpec,
    Explanation,
    Hindsight,
    Host,
    Json,
    ModelSummary,
    Preview,
    Recipe,
    Run,
    RunProgress,
    Sensitivity,
    StaircaseQuestion,
    StaircaseState,
    State,
)
from core.records.stored import Room, files_of

MOST_LIVE_RUNS = 4


class Workspace(Inventory):
    """One installation. Thread-safe: all sessions of a server share one."""

    def __init__(self, home: Home) -> None:
        """Open what is in `home`; children start when they are first needed.

        Raises:
            StoreError: the store cannot be opened.
        """
        super().__init__(home)
        self._packing = threading.Lock()
        self._previews = Previews(self._preview)
        self._turns = Turns()
        self._sensing = Sensing(home, self._turns)
        self._stairs = StairTimes(home, self._turns)
        self._profiles = Profiles(home.caches / "profiles")
        keeping.sweep(home, self._store)

    @classmethod
    def open(cls, home: Path | None = None) -> Workspace:
        """The workspace in `home`, or in the default folder.

        Raises:
            StoreError: the folder or the store cannot be used.
        """
        return cls(Home.at(home) if home else Home.default())

    def close(self) -> None:
        """End the children; runs go on."""
        self._turns.close()
        self._profiles.close()
        super().close()

    def draft(self, owner: str) -> Json:
        """What this visitor was working on when last here, as `keep_draft` took it; or nothing."""
        return drafts.kept(self._home.drafts, owner)

    def keep_draft(self, owner: str, draft: Json) -> None:
        """Keep what a visitor works on, as far as there is room for it."""
        drafts.keep(self._home.drafts, owner, draft)

    def preview(self, digest: str, recipe: Recipe) -> Preview:
        """What a recipe makes of the counts of a model, without running anything.

        Raises:
            CoreError: why it cannot be said.
        """
        return self._previews.get(digest, recipe)

    def previews(self, digest: str, recipes: Sequence[Recipe]) -> None:
        """Have these answers ready: computed in the background."""
        self._previews.warm(digest, recipes)

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
        images, _ = sources(self._home, calibration, evaluation)
        if images.path is None:
            raise DataError("Without calibration images there is no forecast.")
        return Study(self._model_path(digest), before, images.path, images.digest)

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
        model = self.model(digest, owner)
        images = ImageSource(self._home.data_path(labelled), labelled)
        return trials(model, images, self._home.caches)

    def hindsights(self, run: Run) -> tuple[Hindsight, ...]:
        """Of a run's pruned recipes: the agreement counted, and what its forecast had been.

        Nothing is measured for it: recipes without a forecast are left out.
        """

        def known(before: Recipe) -> Sensitivity | None:
            model = Path(run.spec.model)
            return self._sensing.known(Study(model, before, images.path or model, images.digest))

        try:
            images, _ = sources(self._home, run.spec.calibration, run.spec.evaluation)
        except DataError:
            return ()  # gone, and what was learnt of it counts for nothing
        return hindsights(run, known)

    def staircases(self, question: StaircaseQuestion) -> StaircaseState:
        """What is known of the times along a parameter, and whether more is being measured.

        Raises:
            StoreError: the model is gone.
        """
        return self._stairs.look(question, self._model_path(question.model))

    def time_layers(self, question: StaircaseQuestion, visitor: str = "") -> None:
        """Time in the background what `staircases` lacks, in its turn.

        Raises:
            StoreError: the model is gone.
        """
        self._stairs.measure(question, self._model_path(question.model), visitor)

    def stop_timing(self, question: StaircaseQuestion) -> None:
        """Stop timing these layers; what was timed is kept."""
        self._stairs.stop(question)

    def _preview(self, digest: str, recipe: Recipe) -> Preview:
        return self._bench.get().preview(self._model_path(digest), recipe)

    # This machine

    @functools.cache  # noqa: B019 - one workspace lives as long as its process
    def backends(self) -> tuple[BackendInfo, ...]:
        """Every backend: usable, or what is missing and how to get it."""
        return tuple(
            _info(name, backend)
            for name, backend in backends.catalogue().items()
            if not backends.is_internal(backend)
        )

    def host(self) -> Host:
        """This machine."""
        return host()

    # Runs

    def submit(self, spec: ExperimentSpec, owner: str) -> str:
        """Start a run in a process of its own; its id is its permalink.

        Raises:
            StoreError: too many at once, the model is gone, or the disk is full.
            DataError: an image set is gone.
        """
        live = sum(run.progress.state in jobs.LIVE for run in self.runs(owner))
        if live >= MOST_LIVE_RUNS:
            raise StoreError(
                f"{live} of your runs are still being measured.", "Cancel one, or wait for it."
            )
        run = self._new_run(spec, owner)
        jobs.launch(self._home, run.id)
        return run.id

    def measure(self, spec: ExperimentSpec, owner: str, watch: Watch | None = None) -> Run:
        """Do a run in this process and return it when it ended.

        Raises:
            StoreError, DataError: as `submit`.
        """
        run = self._new_run(spec, owner)
        return self.work_on(run.id, watch)

    def work_on(self, run_id: str, watch: Watch | None = None) -> Run:
        """Go on with a run in this process, unless another one does; the run as it then is."""
        with held(self._home, run_id) as free:
            if free:
                Job(self._home, self._store, self.run(run_id), watch).execute()
        return self.run(run_id)

    def run(self, run_id: str) -> Run:
        """Everything known of a run.

        Raises:
            StoreError: there is no such run.
        """
        run = self._store.run(run_id)
        if run is None:
            raise StoreError("There is no such run: it was deleted, or the link is incomplete.")
        return jobs.observed(self._home, run)

    def runs(self, owner: str) -> tuple[Run, ...]:
        """The runs of an owner, newest first."""
        return tuple(jobs.observed(self._home, run) for run in self._store.runs(owner))

    def cancel(self, run_id: str) -> None:
        """Ask a run to stop; what it measured is kept."""
        run = self.run(run_id)
        self._store.set_cancelled(run_id, True)
        if run.progress.state is State.INTERRUPTED:
            stopped = replace(run.progress, state=State.CANCELLED, message="")
            self._store.set_progress(run_id, stopped)

    def allow(self, run_id: str) -> None:
        """Take a request to stop back, so that `work_on` can go on."""
        self._store.set_cancelled(run_id, False)

    def resume(self, run_id: str) -> None:
        """Go on with a run that was stopped or interrupted; what is done is not done again.

        Raises:
            StoreError: there is no such run, or its model is gone.
        """
        run = self.run(run_id)
        if run.progress.state in jobs.LIVE:
            return
        self._model_path(run.spec.model)
        self._store.set_cancelled(run_id, False)
        self._store.set_progress(run_id, RunProgress(State.QUEUED))
        jobs.launch(self._home, run_id)

    def delete(self, run_id: str, owner: str) -> None:
        """Forget a run, and let files go that nothing else refers to.

        Raises:
            StoreError: it is not this owner's.
        """
        if self.run(run_id).owner != owner:
            raise StoreError("Only who started a run can delete it.")
        jobs.stop(self._home, self._store, run_id)
        self._store.delete_run(run_id)
        shutil.rmtree(self._home.job(run_id), ignore_errors=True)
        keeping.sweep(self._home, self._store)

    def candidate_file(self, run_id: str, digest: str) -> Path:
        """The file of a candidate of a run.

        Raises:
            StoreError: the run made no such file, or it is gone.
        """
        for outcome in self.run(run_id).outcomes:
            candidate = outcome.candidate
            if candidate and candidate.digest == digest and candidate.path.is_file():
                return candidate.path
        raise StoreError("This run has no such model file, or it is gone.")

    def download(self, run_id: str, digest: str) -> Path:
        """The model file of a candidate as one file: an .onnx, or a .zip beyond 2 GiB.

        That of a large model is made when it is first asked for, and kept among the caches.

        Raises:
            StoreError: no such run or candidate, or its file is gone.
        """
        path = self.candidate_file(run_id, digest)
        if len(files_of(path)) == 1:
            return path
        folder = self._home.caches / "downloads"
        for made in (folder / path.name, folder / f"{path.stem}.zip"):
            if made.exists():
                return made
        with self._packing:
            return self._gate.get().pack(path, folder)

    def room(self) -> Room:
        """What is free for an upload and the work on it."""
        return Room(shutil.disk_usage(self._home.root).free, free_bytes())

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
        run, setting = self.run(run_id), Setting.of(backend, threads)
        models = [
            model_at(self._summary_in(run, which), run.spec.dims)
            for which in (run.spec.model, digest)
        ]
        source = Source(
            self._home.data_path(run.spec.evaluation), run.spec.evaluation, run.model.preprocess
        )

        def job() -> ProfileJob:
            zeros = [self._bench.get().zero_share(model.path) for model in models]
            return ProfileJob(models[0], models[1], setting, source, (zeros[0], zeros[1]))

        key = key_of(models[0].digest, models[1].digest, backend, threads, run.spec.dims)
        return self._profiles.get(key, job, wait_s, passes_of(run, digest))

    def profiled(self, run_id: str, digest: str, backend: str, threads: int) -> bool:
        """Whether `profile` would answer at once.

        Raises:
            StoreError: there is no such run.
        """
        asked = self.run(run_id).spec
        return self._profiles.known(key_of(asked.model, digest, backend, threads, asked.dims))

    def _summary_in(self, run: Run, digest: str) -> ModelSummary:
        """The summary of the original or a candidate of a run, with its file in place."""
        if digest == run.spec.model:
            return replace(run.model, path=self._model_path(digest))
        path = self.candidate_file(run.id, digest)
        for outcome in run.outcomes:
            if outcome.summary is not None and outcome.summary.digest == digest:
                return replace(outcome.summary, path=path)
        raise StoreError("This run has no such model file, or it is gone.")

    def _new_run(self, spec: ExperimentSpec, owner: str) -> Run:
        model = self._named(spec.model, owner)
        if not spec.recipes or spec.recipes[0].steps:
            spec = replace(spec, recipes=(Recipe("original"), *spec.recipes))
        for digest in {spec.calibration, spec.evaluation} - {""}:
            if self._home.data_path(digest) is None:
                raise DataError("An image set of this run is gone.", "Upload it again.")
        if model.dynamic_dims or spec.dims:
            spec = self._at_sizes(spec, model, owner)
        created = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        run = Run(
            id=secrets.token_urlsafe(16).replace("_", "x").replace("-", "y"),
            owner=owner,
            created=created.isoformat(timespec="seconds"),
            spec=spec,
            progress=RunProgress(State.QUEUED),
            model=model,
        )
        try:
            self._home.job(run.id).mkdir(parents=True)
        except OSError as error:
            raise StoreError(f"The run cannot be kept: {error.strerror}.") from error
        self._store.add_run(run)
        return run

    def _at_sizes(self, spec: ExperimentSpec, model: ModelSummary, owner: str) -> ExperimentSpec:
        """The question with a size for every open dimension of the model."""
        sets = (*self.data_sets(owner), *self.sample_data()) if spec.evaluation else ()
        data = next((one for one in sets if one.digest == spec.evaluation), None)
        return replace(spec, dims=sizes_of(spec, model, data))


def _info(name: str, backend: backends.Backend) -> BackendInfo:
    about = BackendInfo(name, backend.label, backend.about, backend.precisions)
    try:
        return replace(about, version=backend.version(), device=backend.device())
    except BackendUnavailable as error:
        return replace(about, reason=error.message, remedy=error.remedy or backend.remedy)
