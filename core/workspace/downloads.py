"""Downloads: a model as one file on the disk: as it is, in another format, or as a package.

Each is made when it is first asked for, and kept among the caches.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

from core.backends.base import reads
from core.devices.local import lock
from core.formats.base import parse
from core.formats.base.artifacts import Artifacts, pack
from core.measure import checked_on
from core.records import Artifact, ModelSummary
from core.records.artifacts import ONNX
from core.records.stored import files_of
from core.runs import package_file
from core.runs.holdings import NOBODY
from core.runs.installation import Installation


class Downloads:
    """Files to be taken along. Thread-safe."""

    def __init__(self, installation: Installation) -> None:
        """Nothing is made yet."""
        self._at = installation
        self._packing = threading.Lock()

    @property
    def _folder(self) -> Path:
        return self._at.home.caches / "downloads"

    def one_file(self, model: Path) -> Path:
        """A stored model as one file: an .onnx, or a .zip beyond 2 GiB.

        Raises:
            InvalidModel: it cannot be read.
            StoreError: there is no room for it.
        """
        if len(files_of(model)) == 1:
            return model
        for made in (self._folder / model.name, self._folder / f"{model.stem}.zip"):
            if made.exists():
                return made
        with self._packing, self._at.model_gates.enter(NOBODY) as gate:
            return gate.pack(model, self._folder)

    def converted(self, model: ModelSummary, form: str) -> Path:
        """A model in another format, as one .zip.

        Args:
            model: with its inputs at the sizes that were measured.
            form: `format`, or `format.variant`.

        Raises:
            FormatError: it does not become such a file.
            BackendUnavailable: the tool that writes the format is not installed.
            StoreError: there is no room for it.
        """
        with lock.shared(), self._packing:
            artifact = self._artifact(model, form)
            packed = self._folder / f"{artifact.digest}.{form}.zip"
            if not packed.exists():
                pack(artifact, packed)
        return packed

    def check(self, model: ModelSummary, spec: str) -> str:
        """What a backend makes of a model, in words.

        Raises:
            InferenceFailed: it answers otherwise than ONNX Runtime does.
            FormatError: the model does not become what the backend reads.
            WorkerError: the backend died on it.
        """
        with lock.shared():
            return checked_on(model, spec, Artifacts(self._at.home.artifacts))

    def package(self, model: ModelSummary, spec: str, texts: Mapping[str, str]) -> Path:
        """A model as a backend reads it, with texts beside it, as one .zip.

        Args:
            model: with its inputs at the sizes that were measured.
            spec: the backend, as it is asked for.
            texts: by name.

        Raises:
            BackendUnavailable: no such backend, or what writes its format is not installed.
            FormatError: the model does not become what the backend reads.
            InvalidModel: it cannot be read.
            StoreError: there is no room for it.
        """
        form = reads(spec)
        whole = self.one_file(model.path) if form == ONNX else model.path
        with lock.shared(), self._packing:
            if form == ONNX:
                digest, files = model.digest, {parse(form)[0].file: whole}
            else:
                artifact = self._artifact(model, form)
                digest, files = artifact.digest, {file.name: file for file in artifact.files}
            packed = self._folder / package_file.name_of(digest, texts)
            if packed.exists():
                os.utime(packed)  # from now on it was used last
            else:
                package_file.write(packed, files, texts)
        return packed

    def _artifact(self, model: ModelSummary, form: str) -> Artifact:
        kept = Artifacts(self._at.home.artifacts)
        return kept.of(model.digest, model.path, form, inputs=model.inputs)
