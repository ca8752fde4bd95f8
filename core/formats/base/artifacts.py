"""Artifacts: models converted once into the format that a backend reads, and kept by digest.

A conversion runs in a child of its own, within limits that follow the size of the model, and never
in a process that times. What it wrote is kept under everything that decides its bytes: the source,
the format, the exporter's version, our own code and the libraries that read ONNX for it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from core import sources
from core.devices.local import Child, Limits, Scratch, memory
from core.devices.local.launch import ChildBug
from core.errors import (
    ConversionFailed,
    CoreError,
    StoreError,
    WorkerError,
    no_room,
)
from core.formats.base import Exporter, Format, label, parse
from core.records import Artifact, Json, TensorSpec, from_json, to_json
from core.records.artifacts import ONNX
from core.records.stored import files_of, stored_bytes

MODULE = "core.formats.base"
BASE_BYTES = 2 << 30
BYTES_PER_BYTE = 12  # of a model: what reading and writing it may take beside BASE_BYTES
CPU_S = 300.0
BYTES_PER_CPU_S = 4 << 20
ABOUT = "artifact.json"
CHUNK = 1 << 20
OWN = ("formats", "graph", "data", "catalogue.py")  # what reads, folds and writes a model
READERS = ("onnx", "onnx-ir", "onnxscript")  # packages that do so for us
Check = Callable[[], None]
Shapes = dict[str, list[int | str]]  # of a model's inputs, by name


class Artifacts:
    """Converted models in a folder, each made when it is first asked for."""

    def __init__(self, folder: Path | None = None) -> None:
        """Keep them in `folder`; without one, for as long as this object lives."""
        self._given = folder
        self._scratch: Scratch | None = None
        self._failed: dict[str, CoreError] = {}

    def of(
        self,
        source: str,
        model: Path,
        form: str,
        check: Check | None = None,
        inputs: Sequence[TensorSpec] = (),
    ) -> Artifact:
        """The model in a format; itself where that is ONNX.

        Args:
            source: digest of the model.
            model: its file.
            form: `format`, or `format.variant`.
            check: called several times a second; what it raises ends the conversion.
            inputs: as the model is measured, for a format that holds sizes.

        Raises:
            UnsupportedFormat: there is no such format, or nothing writes it.
            BackendUnavailable: the tool that writes it is not installed.
            ConversionFailed: the tool does not take the model, or ended.
            StoreError: there is no room for the file.
        """
        if form == ONNX:
            return Artifact.as_it_is(source, model)
        kind, _ = parse(form)
        exporter = _exporter(kind)
        shapes = {spec.name: list(spec.shape) for spec in inputs} if kind.fixed else {}
        facts = [source, *maker(form), *([shapes] if shapes else [])]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        found = _read(self._folder / key)
        if found is not None:
            return found
        if key in self._failed:
            raise self._failed[key]
        asked = Artifact("", (Path(kind.file),), form, exporter.name, exporter.version(), source)
        try:
            return self._made(asked, model, shapes, self._folder / key, check)
        except ConversionFailed as error:
            self._failed[key] = error
            raise

    def of_file(
        self,
        model: Path,
        form: str,
        check: Check | None = None,
        inputs: Sequence[TensorSpec] = (),
    ) -> Artifact:
        """The same of a file that has no digest yet.

        Raises:
            UnsupportedFormat, BackendUnavailable, ConversionFailed, StoreError: as `of`.
        """
        return self.of(_digest(files_of(model)), model, form, check, inputs)

    @property
    def _folder(self) -> Path:
        if self._given is not None:
            return self._given
        if self._scratch is None:
            self._scratch = Scratch("lathe-artifacts-")
        return self._scratch.path

    def __del__(self) -> None:
        """Let go of what was kept for the life of this object."""
        if self._scratch is not None:
            self._scratch.close()

    def _made(
        self, asked: Artifact, model: Path, shapes: Shapes, place: Path, check: Check | None
    ) -> Artifact:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
            try:
                report = _converted(asked.format, model, shapes, part, check)
                files = _files(part, asked.path.name)
                found = replace(asked, digest=_digest(files), files=files, report=report)
                named = replace(found, files=tuple(Path(file.name) for file in files))
                (part / ABOUT).write_text(json.dumps(to_json(named)), encoding="utf-8")
                _rename(part, place)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        except OSError as error:
            if (full := no_room(error)) is not None:
                raise full from error
            raise StoreError(f"{model.name} cannot be converted: {error.strerror}.") from error
        made = _read(place)
        if made is None:
            raise StoreError(f"What {model.name} was converted to is gone.", "Try again.")
        return made


def maker(form: str) -> tuple[str, ...]:
    """What decides the bytes of an artifact besides its source; nothing where that is ONNX.

    Raises:
        UnsupportedFormat, BackendUnavailable, ConversionFailed: as `Artifacts.of`.
    """
    if form == ONNX:
        return ()
    exporter = _exporter(parse(form)[0])
    versions = [f"{name}-{importlib.metadata.version(name)}" for name in READERS]
    version = "+".join((exporter.version(), sources.digest(*OWN), *versions))
    return form, exporter.name, version


def pack(artifact: Artifact, out: Path) -> None:
    """Write the files of an artifact into a .zip.

    Raises:
        StoreError: there is no room for it.
    """
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for file in artifact.files:
                archive.write(file, file.name)
        os.replace(part, out)
    except OSError as error:
        raise no_room(error) or StoreError(f"{out.name}: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)


def copy(artifact: Artifact, out: Path) -> tuple[Path, ...]:
    """Copy the files of an artifact to OUT, the others beside it under the same name.

    Returns:
        The files that were written.

    Raises:
        StoreError: they cannot be written.
    """
    written = tuple(out.with_suffix(file.suffix) for file in artifact.files)
    try:
        for file, copied in zip(artifact.files, written, strict=True):
            shutil.copyfile(file, copied)
    except OSError as error:
        raise no_room(error) or StoreError(f"{out}: {error.strerror}.") from error
    return written


def _exporter(kind: Format) -> Exporter:
    if kind.exporter is None:
        raise ConversionFailed(f"Nothing here writes {kind.label}.")
    return kind.exporter


def _converted(
    form: str, model: Path, shapes: Shapes, out: Path, check: Check | None
) -> tuple[str, ...]:
    """Notes of a conversion in a child of its own.

    Raises:
        ConversionFailed: the exporter refused the model, ended, or stumbled over it.
    """
    size = stored_bytes(model)
    most = min(memory.share_bytes(), BASE_BYTES + BYTES_PER_BYTE * size)
    limits = Limits(memory_bytes=most, cpu_s=CPU_S + size / BYTES_PER_CPU_S)
    args: Json = {"model": str(model), "format": form, "shapes": shapes, "out": str(out)}
    try:
        with Child(MODULE, limits) as child:
            return tuple(child.request("export", args, check=check)["report"])
    except WorkerError as error:
        words = f"Writing {label(form)} ended the process: {error.message}"
        raise ConversionFailed(words, error.remedy) from error
    except ChildBug as bug:  # one model that nobody foresaw ends one conversion, not all of a run
        said = str(bug).strip().splitlines() or ["unknown"]
        words = f"Writing {label(form)} failed by a bug in Lathe: {said[-1]}"
        raise ConversionFailed(words) from bug


def _files(folder: Path, first: str) -> tuple[Path, ...]:
    """What an exporter wrote, the main file first.

    Raises:
        ConversionFailed: it wrote no such file.
    """
    if not (folder / first).is_file():
        raise ConversionFailed(f"The exporter wrote no {first}.")
    rest = sorted(path for path in folder.iterdir() if path.name != first)
    return (folder / first, *rest)


def _rename(part: Path, place: Path) -> None:
    """Name what was made, unless another process was faster."""
    try:
        os.rename(part, place)
    except OSError:
        if _read(place) is None:  # remains of something
            shutil.rmtree(place)
            os.rename(part, place)


def _read(folder: Path) -> Artifact | None:
    """An artifact that was made before; from now on it was used last."""
    try:
        data = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        found = from_json(Artifact, data)
        found = replace(found, files=tuple(folder / file.name for file in found.files))
        os.utime(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if all(file.is_file() for file in found.files) else None


def _digest(files: tuple[Path, ...] | list[Path]) -> str:
    """SHA-256 over the files, one after the other."""
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            while chunk := content.read(CHUNK):
                found.update(chunk)
    return found.hexdigest()
