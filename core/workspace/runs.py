"""The room of runs: asked for, started in processes of their own, looked at, stopped, deleted.

Whoever knows the id of a run may look at it; what becomes of it is for its owner to say.
"""

from __future__ import annotations

import contextlib
import datetime
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core import measure, sources
from core.backends.base import here
from core.data import model_at
from core.devices.local import scratch
from core.errors import CoreError, NoSuchRun, StoreError
from core.recipes import original
from core.records import (
    LIVE,
    Answer,
    BackendInfo,
    DeviceInfo,
    ExperimentSpec,
    Host,
    Json,
    Measurement,
    ModelSummary,
    Run,
    RunLine,
    RunProgress,
    State,
)
from core.records.standing import outcome_of
from core.records.targets import LOCAL
from core.runs import comparison, drafts, gc, queue, sample_run
from core.runs.devices import devices
from core.runs.executor import Watch
from core.runs.incoming import MAKE_ROOM
from core.runs.installation import Installation
from core.runs.job import job_of
from core.runs.lacking import lacking
from core.runs.sizes import sizes_of
from core.runs.store import PATIENT_S, Store
from core.workspace.data import Data
from core.workspace.downloads import Downloads
from core.workspace.models import Models
from core.workspace.sample import SampleRun

MOST_LIVE_RUNS = 4
SWEEP_EVERY_S = 600.0
# Whatever words the answer of a run in the list.
WORDED_BY = (
    "backends", "charts", "fidelity.py", "metrics", "passes", "recipes.py", "records", "runs",
    "search", "tasks", "verdict.py", "wording",
)  # fmt: skip


class Runs:
    """Runs, and where they can run. Thread-safe."""

    def __init__(self, installation: Installation, models: Models, data: Data) -> None:
        """Nothing is started.

        Args:
            installation: what all rooms share.
            models: of which runs ask.
            data: on which they measure.
        """
        self._at, self._models, self._data = installation, models, data
        self._downloads = Downloads(installation)
        self._sample = SampleRun(installation, models, data, self._new_run)
        self._swept_s = time.monotonic()

    def submit(self, spec: ExperimentSpec, owner: str) -> str:
        """Start a run in a process of its own; its id is its permalink.

        Raises:
            StoreError: too many at once, the model is gone, or the disk is full.
            DataError: an image set is gone.
        """
        self._sweep_at_times()
        live = sum(line.progress.state in LIVE for line in self.lines(owner))
        if live >= MOST_LIVE_RUNS:
            raise StoreError(
                f"{live} of your runs are still being measured.", "Cancel one, or wait for it."
            )
        run = self._new_run(spec, owner)
        self._sample.step_aside()
        queue.launch(self._at.home, run.id)
        return run.id

    def lacks(self, spec: ExperimentSpec, owner: str) -> tuple[str, ...]:
        """What a question names that is not here, a sentence each; none where it can be asked."""
        samples = {sample.digest: sample.name for sample in self._models.samples()}
        if spec.model in samples:
            self._models.sample(samples[spec.model])
        mine = {model.digest for model in self._models.of(owner)} | set(samples)
        images = {data.digest for data in (*self._data.of(owner), *self._data.samples())}
        return lacking(spec, mine.__contains__, images.__contains__, self.backends())

    def measure(self, spec: ExperimentSpec, owner: str, watch: Watch | None = None) -> Run:
        """Do a run in this process and return it when it ended.

        Raises:
            StoreError, DataError: as `submit`.
        """
        run = self._new_run(spec, owner)
        self._sample.step_aside()
        return self.work_on(run.id, watch)

    def compare(
        self,
        models: Sequence[tuple[str, ModelSummary]],
        asked: ExperimentSpec,
        tell: Callable[[str], None],
    ) -> tuple[Measurement, ...]:
        """Model files measured side by side in this process, the first as the baseline; not kept.

        Args:
            models: under their names.
            asked: backends, threads, evaluation images, budget.
            tell: hears what is measured next.

        Raises:
            CoreError: bad images or names.
        """
        self._sample.step_aside()
        return comparison.compare(self._at.home, models, asked, tell)

    def work_on(self, run_id: str, watch: Watch | None = None) -> Run:
        """Go on with a run in this process, unless another one does; the run as it then is."""
        with queue.leased(self._at.home, run_id) as free:
            if free:
                with contextlib.closing(Store(self._at.home.database, PATIENT_S)) as patient:
                    job_of(self._at.home, patient, self.get(run_id), watch).execute()
        return self.get(run_id)

    def get(self, run_id: str) -> Run:
        """Everything known of a run.

        Raises:
            NoSuchRun: it is not there.
        """
        run = self._at.store.run(run_id)
        if run is None:
            raise NoSuchRun("There is no such run: it was deleted, or the link is incomplete.")
        return queue.observed(self._at.home, run)

    def of(self, owner: str) -> tuple[Run, ...]:
        """The runs of an owner, newest first."""
        return tuple(queue.observed(self._at.home, run) for run in self._at.store.runs(owner))

    def lines(self, owner: str) -> tuple[RunLine, ...]:
        """The runs of an owner as a list shows them, newest first; none of their rows is read."""
        found = self._at.store.lines(owner, sources.digest(*WORDED_BY))
        return tuple(queue.observed(self._at.home, line) for line in found)

    def keep_answer(self, line: RunLine, answer: Answer) -> None:
        """Keep what was said of a run that stands still, for `lines`; where there is room."""
        with contextlib.suppress(StoreError):
            self._at.store.keep_answer(line, sources.digest(*WORDED_BY), answer)

    def cancel(self, run_id: str, owner: str) -> None:
        """Ask a run to stop; what it measured is kept.

        Raises:
            StoreError: there is no such run, or it is not this owner's.
        """
        run = self._own(run_id, owner, "stop")
        self._at.reserve.with_room(lambda: self._at.store.set_cancelled(run_id, True))
        if run.progress.state is State.INTERRUPTED:
            stopped = replace(run.progress, state=State.CANCELLED, message="")
            self._at.store.set_progress(run_id, stopped)

    def allow(self, run_id: str) -> None:
        """Take a request to stop back, so that `work_on` can go on."""
        self._at.store.set_cancelled(run_id, False)

    def resume(self, run_id: str, owner: str) -> None:
        """Go on with a run that was stopped or interrupted; what is done is not done again.

        Raises:
            StoreError: there is no such run, it is not this owner's, or its model is gone.
        """
        run = self._own(run_id, owner, "go on with")
        if run.progress.state in LIVE:
            return
        self._models.path(run.spec.model)
        self._at.store.set_cancelled(run_id, False)
        self._at.store.set_progress(run_id, RunProgress(State.QUEUED))
        self._sample.step_aside()
        queue.launch(self._at.home, run_id)

    def delete(self, run_id: str, owner: str) -> None:
        """Forget a run, and let files go that nothing else refers to.

        Raises:
            StoreError: it is not this owner's.
        """
        run = self._own(run_id, owner, "delete")
        queue.stop(self._at.home, run_id)
        self._at.reserve.with_room(lambda: self._at.store.delete_run(run_id))
        with contextlib.suppress(StoreError):  # it is only room
            self._at.store.give_back()
        shutil.rmtree(self._at.home.job(run_id), ignore_errors=True)
        if not self._at.store.is_any_live():  # else one may be about to name the same file
            for outcome in run.outcomes:
                if outcome.candidate is not None:
                    gc.let_go(self._at.home, self._at.store, outcome.candidate.digest)
        gc.sweep(self._at.home, self._at.store)

    def delete_upload(self, digest: str, owner: str, with_runs: bool = False) -> int:
        """Forget an upload, and delete its file if nothing else needs it.

        Args:
            digest: of a model or an image set.
            owner: whose.
            with_runs: delete this owner's runs that need it, too.

        Returns:
            Bytes that became free.

        Raises:
            StoreError: there is none, or runs of this owner need it.
        """
        if with_runs:
            for upload in self._data.uploads(owner):
                for run_id in upload.runs if upload.digest == digest else ():
                    self.delete(run_id, owner)
        return self._at.reserve.with_room(lambda: self._at.holdings.delete(digest, owner))

    def _own(self, run_id: str, owner: str, verb: str) -> Run:
        run = self.get(run_id)
        if run.owner != owner:
            raise StoreError(f"Only who started a run can {verb} it.")
        return run

    def _sweep_at_times(self) -> None:
        """Let go what nothing refers to, now and then: a server may run for months."""
        if time.monotonic() - self._swept_s > SWEEP_EVERY_S:
            self._swept_s = time.monotonic()
            threading.Thread(target=self.sweep, daemon=True).start()

    def sweep(self) -> None:
        """Let go of files that nothing refers to any more."""
        with contextlib.suppress(CoreError):  # the next one will do
            scratch.sweep()
            gc.sweep(self._at.home, self._at.store)

    def candidate_file(self, run_id: str, digest: str) -> Path:
        """The file of a candidate of a run.

        Raises:
            StoreError: the run made no such file, or it is gone.
        """
        for outcome in self.get(run_id).outcomes:
            candidate = outcome.candidate
            if candidate and candidate.digest == digest and candidate.path.is_file():
                return candidate.path
        raise StoreError("This run has no such model file, or it is gone.")

    def download(self, run_id: str, digest: str) -> Path:
        """The model file of a candidate as one file: an .onnx, or a .zip beyond 2 GiB.

        Raises:
            StoreError: no such run or candidate, or its file is gone.
        """
        return self._downloads.one_file(self.candidate_file(run_id, digest))

    def converted(self, run_id: str, digest: str, form: str) -> Path:
        """The model of a candidate in another format, as one .zip; made when first asked for.

        Args:
            run_id: of the run.
            digest: of the candidate.
            form: `format`, or `format.variant`.

        Raises:
            StoreError: no such run or candidate, its file is gone, or there is no room.
            FormatError: it does not become such a file.
            BackendUnavailable: the tool that writes the format is not installed.
        """
        return self._downloads.converted(self._made(run_id, digest), form)

    def package(self, run_id: str, digest: str, spec: str, texts: Mapping[str, str]) -> Path:
        """The model of a candidate as a backend reads it, with texts beside it, as one .zip.

        Args:
            run_id: of the run.
            digest: of the candidate.
            spec: the backend, as the run asked for it.
            texts: of `core.package`, by name.

        Raises:
            StoreError: no such run or candidate, its file is gone, or there is no room.
            FormatError: it does not become what the backend reads.
            BackendUnavailable: no such backend, or what writes its format is not installed.
        """
        return self._downloads.package(self._made(run_id, digest), spec, texts)

    def pack(self, model: ModelSummary, spec: str, texts: Mapping[str, str]) -> tuple[Path, str]:
        """The same of a model that belongs to no run: the backend reads it first.

        Returns:
            The .zip, and what the backend made of the model, in words.

        Raises:
            InferenceFailed: it answers otherwise than ONNX Runtime.
            StoreError, FormatError, BackendUnavailable: as `package`.
        """
        check = self._downloads.check(model, spec)
        return self._downloads.package(model, spec, texts), check

    def _made(self, run_id: str, digest: str) -> ModelSummary:
        """A candidate of a run at the sizes that it was measured at.

        Raises:
            StoreError: the run made no such model, or its file is gone.
        """
        path, run = self.candidate_file(run_id, digest), self.get(run_id)
        outcome = outcome_of(run, digest)
        if outcome is None or outcome.summary is None:
            raise StoreError("This run made no such model.")
        return model_at(replace(outcome.summary, path=path), run.spec.dims)

    # The sample, measured by nobody's order

    def sample(self) -> Run | None:
        """What this installation measured of the sample by itself; None before it began."""
        return self._sample.run()

    def shipped_sample(self) -> Run:
        """The same as it was measured on another machine, which it names; it has no id.

        Raises:
            StoreError: the record cannot be read.
        """
        return sample_run.shipped()

    def measure_sample(self) -> bool:
        """Begin that run or go on with it, in the background, unless somebody measures.

        Returns:
            Whether it is still to come.
        """
        return self._sample.begin()

    # What a visitor is asking

    def draft(self, owner: str) -> Json:
        """What this visitor was working on when last here, as `keep_draft` took it; or nothing."""
        return drafts.kept(self._at.home.drafts, owner)

    def keep_draft(self, owner: str, draft: Json) -> None:
        """Keep what a visitor works on, as far as there is room for it."""
        drafts.keep(self._at.home.drafts, owner, draft)

    # This machine

    def backends(self) -> tuple[BackendInfo, ...]:
        """Every backend: usable, or what is missing and how to get it."""
        return here.backends()

    def devices(self) -> tuple[DeviceInfo, ...]:
        """Where models can be measured, this machine among them, and what is there."""
        return devices()

    def host(self, device: str = LOCAL) -> Host:
        """This machine, or another device.

        Raises:
            DeviceUnavailable, WorkerError: there is none of this name, or it does not answer.
        """
        return measure.host(device)

    def _new_run(self, spec: ExperimentSpec, owner: str) -> Run:
        model = self._models.named(spec.model, owner)
        if not spec.recipes or spec.recipes[0].steps:
            spec = replace(spec, recipes=(original(), *spec.recipes))
        for digest in {spec.calibration, spec.evaluation} - {""}:
            self._at.need_data(digest)
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
            self._at.home.job(run.id).mkdir(parents=True)
        except OSError as error:
            raise StoreError(f"The run cannot be kept: {error.strerror}.", MAKE_ROOM) from error
        self._at.store.add_run(run)
        return run

    def _at_sizes(self, spec: ExperimentSpec, model: ModelSummary, owner: str) -> ExperimentSpec:
        """The question with a size for every open dimension of the model."""
        sets = (*self._data.of(owner), *self._data.samples()) if spec.evaluation else ()
        data = next((one for one in sets if one.digest == spec.evaluation), None)
        return replace(spec, dims=sizes_of(spec, model, data))
