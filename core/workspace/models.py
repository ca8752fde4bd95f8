"""The room of models: those that ship with Lathe, and those that visitors brought.

Whoever knows the digest of a model may name it in a question, as whoever knows the id of a run may
see it: both are as long as keys and are given away only by sharing them. Lists are per owner.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.devices.local import Progress, lock
from core.errors import StoreError
from core.formats.base.artifacts import Artifacts, copy
from core.measure import checked
from core.records import Artifact, ModelSummary, Outcome, Preprocess, Recipe, SampleModel
from core.runs import incoming, layer_times, samples
from core.runs.holdings import NOBODY
from core.runs.home import Home
from core.runs.installation import Installation


@dataclass(frozen=True, slots=True)
class Exported:
    """A model written in another format.

    Attributes:
        artifact: what it is.
        size_bytes: of all its files.
        check: what a backend that reads it made of it, in words.
        files: that were written.
    """

    artifact: Artifact
    size_bytes: int
    check: str
    files: tuple[Path, ...]


class Models:
    """Models. Thread-safe."""

    def __init__(self, installation: Installation) -> None:
        """Nothing is read yet."""
        self._at = installation
        self._sampling = threading.Lock()

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
        with self._sampling:
            known = {model.name: model for model in self._at.store.models(NOBODY)}
            found = known.get(name)
            if found is None or not found.path.exists():
                found = self._at.bench.get().admit(file, file.name, self._at.home.models)
                found = replace(found, name=name)
                self._at.store.add_model(NOBODY, found)
        return found

    def expect_one(self) -> None:
        """Have a child ready that will read the next upload."""
        self._at.model_gates.warm()

    def add(
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
        self._at.holdings.check(owner, incoming.size(content))
        with (
            incoming.as_file(self._at.home.uploads, filename, content) as source,
            self._at.model_gates.enter(owner, incoming.teller(progress)) as gate,
        ):
            # Only who opened a file by its path may mean what lies beside it.
            beside = source.parent if isinstance(content, Path) else None
            summary = gate.admit(source, filename, self._at.home.models, beside, progress)
            self._at.store.add_model(owner, summary)
        self._at.holdings.settle(owner, summary.digest)
        return summary

    def get(self, digest: str, owner: str) -> ModelSummary:
        """A model of this owner's list, or a sample.

        Raises:
            StoreError: it is neither.
        """
        for listed in (owner, NOBODY):
            for model in self._at.store.models(listed):
                if model.digest == digest and model.path.exists():
                    return model
        raise StoreError(f"No model of yours has the digest {digest[:12]}.", "Upload it again.")

    def of(self, owner: str) -> tuple[ModelSummary, ...]:
        """What this owner uploaded, newest first."""
        return tuple(model for model in self._at.store.models(owner) if model.path.exists())

    def freeze(self, digest: str, dims: Mapping[str, int], owner: str) -> ModelSummary:
        """The model with sizes for its dynamic dimensions, as a new model of `owner`.

        Raises:
            InvalidModel: no such dimension, or sizes that the model cannot have.
            StoreError: no such model.
        """
        model = self.named(digest, owner)
        name = f"{_stem(model.name)} " + " ".join(f"{k}={v}" for k, v in dims.items())
        frozen = self._at.bench.get().freeze(model.path, dims, self._at.home.models, name)
        frozen = replace(frozen, size_bytes=model.size_bytes)  # of the user's own file
        self._at.store.add_model(owner, frozen)
        self._at.holdings.settle(owner, frozen.digest)
        return frozen

    def set_preprocess(self, digest: str, preprocess: Preprocess, owner: str) -> ModelSummary:
        """The model with its preprocessing inside, as a new model of `owner`.

        Raises:
            DataError: preprocessing that does not fit the model.
            StoreError: no such model.
        """
        model = self.named(digest, owner)
        made = self._at.bench.get().set_preprocess(
            model.path, preprocess, self._at.home.models, model.name
        )
        made = replace(made, size_bytes=model.size_bytes)
        self._at.store.add_model(owner, made)
        self._at.holdings.settle(owner, made.digest)
        return made

    def path(self, digest: str) -> Path:
        """The file of a model, listed or not.

        Raises:
            StoreError: it is gone.
        """
        path = self._at.home.models / f"{digest}.onnx"
        if digest.isalnum() and path.is_file():
            return path
        for sample in samples.table():
            if sample.digest == digest:
                return self.sample(sample.name).path
        raise StoreError("The file of this model is gone.", "Upload it again.")

    def named(self, digest: str, owner: str) -> ModelSummary:
        """The summary of a model that is listed, or that somebody knows the digest of.

        Raises:
            StoreError: its file is gone.
        """
        try:
            return self.get(digest, owner)
        except StoreError:
            return self._at.bench.get().summary(self.path(digest))

    def build(
        self,
        digest: str,
        recipe: Recipe,
        calibration: str = "",
        progress: Progress | None = None,
        timed: Callable[[int, int], None] | None = None,
    ) -> Outcome:
        """What a recipe makes of a model, in this process's workshop; nothing is measured.

        Args:
            digest: of the model.
            recipe: the passes.
            calibration: digest of an image set for the passes; empty for none.
            progress: hears what is being done.
            timed: hears how many layers are timed, of how many, where the recipe asks for times.

        Raises:
            CoreError: why there is none.
        """
        model, images = self.path(digest), self._at.home.data_path(calibration)
        workshop, models = self._at.bench.get(), self._at.home.models

        def built(before: Recipe, times: Path) -> Path | None:
            made = workshop.build(model, before, images, models, progress, timings=times).candidate
            return made.path if made else None

        times = None
        if layer_times.wanted_on(recipe):  # kept, for they hold for this machine
            folder = Home.default().caches / "layer_times"
            told = timed or (lambda done, total: None)
            times = layer_times.table(recipe, model, workshop, folder, built, told=told)
        return workshop.build(model, recipe, images, models, progress, timings=times)

    def take(self, digest: str, out: Path) -> tuple[Path, ...]:
        """Copy a model out: as OUT.onnx, with OUT.onnx.data where it is beyond 2 GiB.

        Returns:
            The files that were written.

        Raises:
            StoreError: it is gone.
            InvalidModel: it cannot be read.
        """
        return self._at.bench.get().take(self.path(digest), out)

    def convert(self, model: ModelSummary, form: str, out: Path) -> Exported:
        """Write a model in another format: OUT, and what belongs to it beside under its own ending.

        It is read back by a backend that takes the format, and compared, before it is written.

        Args:
            model: an admitted or made one.
            form: `format`, or `format.variant`.
            out: the main file.

        Raises:
            FormatError: it does not become such a file.
            InferenceFailed: the file answers otherwise than the model.
            StoreError: there is no room for it.
        """
        artifacts = Artifacts(self._at.home.artifacts)
        with lock.shared():
            artifact = artifacts.of(model.digest, model.path, form, inputs=model.inputs)
            check = checked(model, form, artifacts)
        return Exported(artifact, artifact.size_bytes, check, copy(artifact, out))


def _stem(name: str) -> str:
    return name.removesuffix(".onnx").removesuffix(".zip")
