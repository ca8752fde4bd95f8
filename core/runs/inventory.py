"""What users brought and what ships with Lathe: models and image sets, per owner.

Whoever knows the digest of a model or of an image set may name it in a question, as whoever knows
the id of a run may see it: both are as long as keys and are given away only by sharing them. Lists
are per owner.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from core.errors import DataError, StoreError
from core.process import Progress
from core.process.launch import Check
from core.process.memory import free_bytes
from core.records import DataSummary, ModelSummary, Preprocess, SampleModel
from core.records.stored import Room, Upload
from core.runs import incoming, samples
from core.runs.bench import Bench
from core.runs.gates import Gates, Tell
from core.runs.holdings import NOBODY, Holdings
from core.runs.home import Home
from core.runs.quota import Quota
from core.runs.reserve import Reserve
from core.runs.store import Store

MODELS_AT_ONCE, SETS_AT_ONCE = 2, 3  # that are read, each of another visitor


class Inventory:
    """Models and image sets. Thread-safe."""

    def __init__(self, home: Home, quota: Quota | None = None) -> None:
        """Open the store in `home`; children start when they are first needed.

        Args:
            home: where all files lie.
            quota: of uploads; None takes what the environment says.

        Raises:
            StoreError: the store cannot be opened, or the environment says no size.
        """
        self._home = home
        self._reserve = Reserve(home)
        self._store = self._reserve.with_room(lambda: Store(home.database))
        self._holdings = Holdings(home, self._store, quota or Quota.of())
        # Models do not wait for images, which take minutes, and sliders wait for neither.
        self._models, self._sets = Gates(MODELS_AT_ONCE), Gates(SETS_AT_ONCE)
        self._bench = Bench()
        self._samples_lock = threading.Lock()

    def close(self) -> None:
        """End the children, and let go of the store."""
        for opened in (self._models, self._sets, self._bench, self._store):
            opened.close()

    # Samples

    def samples(self) -> tuple[SampleModel, ...]:
        """The models that ship with Lathe."""
        return samples.table()

    def sample(self, name: str) -> ModelSummary:
        """A sample model, admitted when it is first asked for.

        Raises:
            StoreError: no such sample, or its file is gone.
            CoreError: it cannot be read.
        """
        file = samples.model_file(name)
        with self._samples_lock:
            known = {model.name: model for model in self._store.models(NOBODY)}
            found = known.get(name)
            if found is None or not found.path.exists():
                found = self._bench.get().admit(file, file.name, self._home.models)
                found = replace(found, name=name)
                self._store.add_model(NOBODY, found)
        return found

    def sample_data(self) -> tuple[DataSummary, DataSummary]:
        """The calibration and the evaluation images that ship with Lathe.

        Raises:
            CoreError: they cannot be read.
        """
        calibration = self._sample_set(samples.CALIBRATION)
        return calibration, self._sample_set(samples.EVALUATION)

    def _sample_set(self, name: str) -> DataSummary:
        digest = samples.data_digest(name)
        with self._samples_lock:
            known = {data.digest: data for data in self._store.data_sets(NOBODY)}
            found = known.get(digest)
            if found is None or not found.path.exists():
                source, title = samples.FOLDER / name, Path(name).stem
                with self._sets.enter(NOBODY) as gate:
                    found = gate.admit_data(source, name, self._home.data)
                found = replace(found, name=f"sample images, {title}")
                self._store.add_data(NOBODY, found)
        return found

    # Models

    def add_model(
        self,
        filename: str,
        content: bytes | Path,
        owner: str,
        progress: Progress | None = None,
    ) -> ModelSummary:
        """Take an upload through the gate and list it for `owner`.

        Args:
            filename: what the user called it.
            content: the file, or where it lies.
            owner: who brought it.
            progress: hears what is being done with a large file, and what it waits for.

        Raises:
            ModelError: refused, with the reason.
            WorkerError: the file ended the child that read it.
            StoreError: the disk is full, or the quota of uploads.
        """
        self._holdings.check(owner, _size(content))
        with (
            incoming.as_file(self._home.uploads, filename, content) as source,
            self._models.enter(owner, _teller(progress)) as gate,
        ):
            # Only who opened a file by its path may mean what lies beside it.
            beside = source.parent if isinstance(content, Path) else None
            summary = gate.admit(source, filename, self._home.models, beside, progress)
            self._store.add_model(owner, summary)
        self._holdings.settle(owner, summary.digest)
        return summary

    def model(self, digest: str, owner: str) -> ModelSummary:
        """A model of this owner's list, or a sample.

        Raises:
            StoreError: it is neither.
        """
        for listed in (owner, NOBODY):
            for model in self._store.models(listed):
                if model.digest == digest and model.path.exists():
                    return model
        raise StoreError(f"No model of yours has the digest {digest[:12]}.", "Upload it again.")

    def models(self, owner: str) -> tuple[ModelSummary, ...]:
        """What this owner uploaded, newest first."""
        return tuple(model for model in self._store.models(owner) if model.path.exists())

    def freeze(self, digest: str, dims: Mapping[str, int], owner: str) -> ModelSummary:
        """The model with sizes for its dynamic dimensions, as a new model of `owner`.

        Raises:
            InvalidModel: no such dimension, or sizes that the model cannot have.
            StoreError: no such model.
        """
        model = self._named(digest, owner)
        name = f"{_stem(model.name)} " + " ".join(f"{k}={v}" for k, v in dims.items())
        frozen = self._bench.get().freeze(model.path, dims, self._home.models, name)
        frozen = replace(frozen, size_bytes=model.size_bytes)  # of the user's own file
        self._store.add_model(owner, frozen)
        self._holdings.settle(owner, frozen.digest)
        return frozen

    def set_preprocess(self, digest: str, preprocess: Preprocess, owner: str) -> ModelSummary:
        """The model with its preprocessing inside, as a new model of `owner`.

        Raises:
            DataError: preprocessing that does not fit the model.
            StoreError: no such model.
        """
        model = self._named(digest, owner)
        made = self._bench.get().set_preprocess(
            model.path, preprocess, self._home.models, model.name
        )
        made = replace(made, size_bytes=model.size_bytes)
        self._store.add_model(owner, made)
        self._holdings.settle(owner, made.digest)
        return made

    # Image sets

    def add_data(
        self,
        filename: str,
        content: bytes | Path,
        owner: str,
        progress: Progress | None = None,
        check: Check | None = None,
    ) -> DataSummary:
        """Take an image set in and list it for `owner`.

        Args:
            filename: what the user called it.
            content: the file, or where it lies.
            owner: who brought it.
            progress: hears {"done", "total", "eta_s"} of the images; {"current"} while it waits.
            check: called several times a second; what it raises ends the reading.

        Raises:
            DataError: refused, with the reason.
            WorkerError: the set ended the child that read it.
            StoreError: the disk is full, or the quota of uploads.
        """
        self._holdings.check(owner, _size(content))
        with (
            incoming.as_file(self._home.uploads, filename, content) as source,
            self._sets.enter(owner, _teller(progress)) as gate,
        ):
            summary = gate.admit_data(source, filename, self._home.data, progress, check)
            self._store.add_data(owner, summary)
        self._holdings.settle(owner, summary.digest)
        return summary

    def data_sets(self, owner: str) -> tuple[DataSummary, ...]:
        """The image sets of this owner, newest first."""
        return tuple(data for data in self._store.data_sets(owner) if data.path.exists())

    def data_set(self, digest: str, owner: str) -> DataSummary:
        """An image set of this owner's list, or a sample set.

        Raises:
            StoreError: it is neither.
        """
        for data in (*self.data_sets(owner), *self._store.data_sets(NOBODY)):
            if data.digest == digest:
                return data
        raise StoreError(f"No image set of yours has the digest {digest[:12]}.", "Upload it again.")

    # What uploads take

    def uploads(self, owner: str | None = None) -> tuple[Upload, ...]:
        """What an owner uploaded, or everybody, newest first."""
        return self._holdings.uploads(owner)

    def room(self, owner: str) -> Room:
        """What is free for an upload and the work on it."""
        quota, holdings = self._holdings.quota, self._holdings
        return Room(
            disk=shutil.disk_usage(self._home.root).free,
            memory=free_bytes(),
            upload=quota.upload,
            used=holdings.used(owner),
            quota=quota.visitor,
            shared=max(0, quota.everybody - holdings.used()),
        )

    def misfit(self, model: ModelSummary, data: str, owner: str, labels: bool = False) -> str:
        """Why an image set cannot feed a model, found with its first sample; empty if it can.

        Args:
            model: an admitted model.
            data: digest of an admitted image set.
            owner: whose set it is.
            labels: whether its labels shall be classes of the model, too.

        Raises:
            WorkerError: the child that looked died; nothing is known.
        """
        path = self._home.data_path(data)
        if path is None:
            return "These images are gone. Upload them again."
        try:
            name = self.data_set(data, owner).name
        except StoreError:
            name = "The image set"
        try:
            self._bench.get().check_fit(model, path, name, labels)
        except DataError as error:
            return error.reason
        return ""

    def _model_path(self, digest: str) -> Path:
        path = self._home.models / f"{digest}.onnx"
        if digest.isalnum() and path.is_file():
            return path
        for sample in samples.table():
            if sample.digest == digest:
                return self.sample(sample.name).path
        raise StoreError("The file of this model is gone.", "Upload it again.")

    def _named(self, digest: str, owner: str) -> ModelSummary:
        """The summary of a model that is listed, or that somebody knows the digest of."""
        try:
            return self.model(digest, owner)
        except StoreError:
            return self._bench.get().summary(self._model_path(digest))


def _size(content: bytes | Path) -> int:
    """Bytes of an upload; a folder of images is not counted before it is packed."""
    if not isinstance(content, Path):
        return len(content)
    return content.stat().st_size if content.is_file() else 0


def _teller(progress: Progress | None) -> Tell | None:
    """Says what an upload waits for where its progress is told."""
    return (lambda words: progress({"current": words})) if progress else None


def _stem(name: str) -> str:
    return name.removesuffix(".onnx").removesuffix(".zip")
