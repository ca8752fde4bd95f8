"""Weights that an upload keeps beside its graph: found inside the upload or refused.

A location that is taken at its word reads any file of the server (`../secret`), hangs on a pipe, or
is an address in memory (`*/_ORT_MEM_ADDR_/*`). So a location must be a plain relative path to an
ordinary file of the upload, and offset and length must agree with the tensor's shape. Small ones
are taken into the graph; large ones stay in their file, mapped, behind a placeholder.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from onnx import TensorProto

from core.data import Archive
from core.errors import InvalidModel
from core.formats.onnx.tensors import size_bytes
from core.graph import Values, map_file
from core.graph.storage import cut_from

KEYS = frozenset({"location", "offset", "length", "checksum"})
LONGEST_NUMBER = 18  # digits
IN_MEMORY_BYTES = 64 << 20  # of a zip's entry; a larger one goes through a file without a name
REMEDY = "Upload the model and its data files together as one zip."


class Upload(Protocol):
    """Where external data may come from."""

    def size(self, location: str) -> int | None:
        """Bytes of a file of the upload; None if there is no such ordinary file."""
        ...

    def content(self, location: str) -> memoryview:
        """All its bytes, mapped where they are many."""
        ...


class Nothing:
    """A bare .onnx: no file lies beside it."""

    def size(self, location: str) -> int | None:
        """None."""
        return None

    def content(self, location: str) -> memoryview:
        """Never called: every size is None."""
        raise InvalidModel(f"{location!r} is not part of the upload.", REMEDY)


class InArchive:
    """Files of the same zip, relative to the folder of the .onnx in it."""

    def __init__(self, archive: Archive, model: str, scratch: Path) -> None:
        """Remember where the model lies in the archive, and where there is room on disk."""
        self._archive, self._folder = archive, PurePosixPath(model).parent
        self._scratch = scratch
        self._last: tuple[str, memoryview] = ("", memoryview(b""))

    def size(self, location: str) -> int | None:
        """Bytes of an entry."""
        name = str(self._folder / location)
        return self._archive.size(name) if name in self._archive.names else None

    def content(self, location: str) -> memoryview:
        """An entry; the last one is kept, since tensors share one file."""
        if self._last[0] != location:
            self._last = location, self._inflated(str(self._folder / location))
        return self._last[1]

    def _inflated(self, name: str) -> memoryview:
        if self._archive.size(name) <= IN_MEMORY_BYTES:
            return memoryview(self._archive.read(name))
        with tempfile.TemporaryFile(dir=self._scratch) as file:  # gone with this process
            self._archive.copy(name, file)
            file.flush()
            return map_file(file)


class InFolder:
    """Ordinary files below the folder of a model that its owner opened by path."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder."""
        self._folder = folder.resolve()
        self._mapped: dict[str, memoryview] = {}

    def size(self, location: str) -> int | None:
        """Bytes of an ordinary file that no link leads to."""
        path = self._folder / location
        try:
            status = os.lstat(path)
        except OSError:
            return None
        plain = stat.S_ISREG(status.st_mode) and path.resolve() == path
        return status.st_size if plain else None

    def content(self, location: str) -> memoryview:
        """The file, mapped once."""
        if location not in self._mapped:
            handle = os.open(self._folder / location, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                self._mapped[location] = map_file(file)
        return self._mapped[location]


@dataclass(frozen=True, slots=True)
class Slice:
    """Where the values of a tensor lie."""

    tensor: TensorProto
    where: str
    location: str
    offset: int
    length: int


def take_in(
    tensors: Iterable[tuple[TensorProto, str]],
    upload: Upload,
    values: Values,
    held_bytes: int,
    most_bytes: int,
) -> int:
    """Bring external values into the graph, or behind placeholders of it; how many there were.

    Args:
        tensors: of the graph, each with the words that name it.
        upload: where their values may come from.
        values: takes the large ones.
        held_bytes: what the graph's own file holds.
        most_bytes: for all of them together.

    Raises:
        InvalidModel: a location, offset or length that is not what it should be.
    """
    found = slices(tensors, upload)
    total = sum(piece.length for piece in found)
    if total and total > most_bytes:
        raise InvalidModel(
            f"The model keeps {total / 1e9:.2g} GB of weights beside it; there is room for "
            f"{max(most_bytes, 0) / 1e9:.2g} GB on this disk.",
            "Free some space on it.",
        )
    least = cut_from(held_bytes + total)
    for piece in found:
        content = upload.content(piece.location)[piece.offset : piece.offset + piece.length]
        if len(content) != piece.length:
            raise InvalidModel(f"{piece.location!r} ended while {piece.where} was read.")
        large = piece.length >= least
        piece.tensor.raw_data = values.add(content) if large else bytes(content)
        piece.tensor.ClearField("external_data")
        piece.tensor.ClearField("data_location")
    return len(found)


def slices(tensors: Iterable[tuple[TensorProto, str]], upload: Upload) -> list[Slice]:
    """What the external tensors say of themselves, each held to the upload and to its shape.

    Raises:
        InvalidModel: a location, offset or length that is not what it should be.
    """
    found = []
    for tensor, where in tensors:
        if tensor.data_location == TensorProto.EXTERNAL:
            found.append(_slice(tensor, where, size_bytes(tensor, where), upload))
        elif tensor.external_data:
            raise InvalidModel(f"{where} names external data but does not use it.")
    return found


def _slice(tensor: TensorProto, where: str, expected: int, upload: Upload) -> Slice:
    entries = [(entry.key, entry.value) for entry in tensor.external_data]
    fields = dict(entries)
    if len(fields) != len(entries) or not set(fields) <= KEYS:
        strange = sorted(set(fields) - KEYS) or ["a repeated key"]
        raise InvalidModel(f"{where} describes its external data by {strange[0][:80]!r}.")
    location = _location(fields.get("location", ""), where)
    offset = _number(fields.get("offset", "0"), "offset", where)
    available = upload.size(location)
    if available is None:
        raise InvalidModel(
            f"{where} keeps its values in {location!r}, which is not part of the upload.", REMEDY
        )
    length = _number(fields.get("length", str(max(available - offset, 0))), "length", where)
    if length != expected:
        raise InvalidModel(
            f"{where} reads {length:,} bytes of {location!r}; its shape {list(tensor.dims)} "
            f"needs {expected:,}."
        )
    if offset + length > available:
        raise InvalidModel(f"{where} reads beyond the end of {location!r} ({available:,} bytes).")
    return Slice(tensor, where, location, offset, length)


def _location(location: str, where: str) -> str:
    if "_ORT_MEM_ADDR_" in location:
        raise InvalidModel(f"{where} names an address in memory as its external data; refused.")
    path = PurePosixPath(location)
    plain = (
        location
        and not path.is_absolute()
        and ".." not in path.parts
        and path.parts
        and not any(char in location for char in "\\:\0*?")
    )
    if not plain:
        raise InvalidModel(
            f"{where} keeps its values in {location[:80]!r}: not a plain file of the upload."
        )
    return str(path)


def _number(text: str, what: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER):
        raise InvalidModel(f"{where} has the external data {what} {text[:40]!r}.")
    return int(text)
