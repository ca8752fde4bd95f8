"""The room of data: image sets, and what uploads of all kinds take on disk.

Whoever knows the digest of an image set may name it in a question. Lists are per owner.
"""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

from core.devices.local import Progress
from core.devices.local.launch import Check
from core.devices.local.memory import free_bytes
from core.errors import DataError, StoreError
from core.records import DataSummary, ModelSummary
from core.records.stored import Room, Upload
from core.runs import incoming, samples
from core.runs.holdings import NOBODY
from core.runs.installation import Installation


class Data:
    """Image sets and uploads. Thread-safe."""

    def __init__(self, installation: Installation) -> None:
        """Nothing is read yet."""
        self._at = installation
        self._sampling = threading.Lock()

    def samples(self) -> tuple[DataSummary, DataSummary]:
        """The calibration and the evaluation images that ship with Lathe.

        Raises:
            CoreError: they cannot be read.
        """
        calibration = self._sample_set(samples.CALIBRATION)
        return calibration, self._sample_set(samples.EVALUATION)

    def _sample_set(self, name: str) -> DataSummary:
        digest = samples.data_digest(name)
        with self._sampling:
            known = {data.digest: data for data in self._at.store.data_sets(NOBODY)}
            found = known.get(digest)
            if found is None or not found.path.exists():
                source, title = samples.FOLDER / name, Path(name).stem
                with self._at.data_gates.enter(NOBODY) as gate:
                    found = gate.admit_data(source, name, self._at.home.data)
                found = replace(found, name=f"sample images, {title}")
                self._at.store.add_data(NOBODY, found)
        return found

    def add(
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
        self._at.holdings.check(owner, incoming.size(content))
        with (
            incoming.as_file(self._at.home.uploads, filename, content) as source,
            self._at.data_gates.enter(owner, incoming.teller(progress)) as gate,
        ):
            summary = gate.admit_data(source, filename, self._at.home.data, progress, check)
            self._at.store.add_data(owner, summary)
        self._at.holdings.settle(owner, summary.digest)
        return summary

    def of(self, owner: str) -> tuple[DataSummary, ...]:
        """The image sets of this owner, newest first."""
        return tuple(data for data in self._at.store.data_sets(owner) if data.path.exists())

    def get(self, digest: str, owner: str) -> DataSummary:
        """An image set of this owner's list, or a sample set.

        Raises:
            StoreError: it is neither.
        """
        for data in (*self.of(owner), *self._at.store.data_sets(NOBODY)):
            if data.digest == digest:
                return data
        raise StoreError(f"No image set of yours has the digest {digest[:12]}.", "Upload it again.")

    def uploads(self, owner: str | None = None) -> tuple[Upload, ...]:
        """What an owner uploaded, or everybody, newest first."""
        return self._at.holdings.uploads(owner)

    def rename_upload(self, digest: str, name: str, owner: str) -> str:
        """Call an upload otherwise: in this owner's lists and runs. The file stays as it is.

        Returns:
            The name as it is kept.

        Raises:
            StoreError: there is no such upload, or no good name.
        """
        return self._at.holdings.rename(digest, name, owner)

    def room(self, owner: str) -> Room:
        """What is free for an upload and the work on it."""
        quota, holdings = self._at.holdings.quota, self._at.holdings
        return Room(
            disk=shutil.disk_usage(self._at.home.root).free,
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
        path = self._at.home.data_path(data)
        if path is None:
            return "These images are gone. Upload them again."
        try:
            name = self.get(data, owner).name
        except StoreError:
            name = "The image set"
        try:
            self._at.bench.get().check_fit(model, path, name, labels)
        except DataError as error:
            return error.reason
        return ""
