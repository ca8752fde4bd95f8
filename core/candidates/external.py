"""Weights that an upload keeps beside its graph: found inside the upload or refused, then inlined.

A location that is taken at its word reads any file of the server (`../secret`), hangs on a pipe, or
is an address in memory (`*/_ORT_MEM_ADDR_/*`). So a location must be a plain relative path to an
ordinary file of the upload, and offset and length must agree with the tensor's shape.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Protocol

from onnx import TensorProto

from core.candidates.tensors import size_bytes
from core.data import Archive
from core.errors import InvalidModel

KEYS = frozenset({"location", "offset", "length", "checksum"})
LONGEST_NUMBER = 18  # digits
MAX_TOTAL_BYTES = (2 << 30) - (64 << 20)  # what one protobuf file can hold
REMEDY = "Upload the model and its data files together as one zip."


class Upload(Protocol):
    """Where external data may come from."""

    def size(self, location: str) -> int | None:
        """Bytes of a file of the upload; None if there is no such ordinary file."""
        ...

    def read(self, location: str, offset: int, length: int) -> bytes:
        """A slice of it."""
        ...


class Nothing:
    """A bare .onnx: no file lies beside it."""

    def size(self, location: str) -> int | None:
        """None."""
        return None

    def read(self, location: str, offset: int, length: int) -> bytes:
        """Never called: every size is None."""
        raise InvalidModel(f"{location!r} is not part of the upload.", REMEDY)


class InArchive:
    """Files of the same zip, relative to the folder of the .onnx in it."""

    def __init__(self, archive: Archive, model: str) -> None:
        """Remember where the model lies in the archive."""
        self._archive, self._folder = archive, PurePosixPath(model).parent
        self._last: tuple[str, bytes] = ("", b"")

    def size(self, location: str) -> int | None:
        """Bytes of an entry."""
        name = str(self._folder / location)
        return self._archive.size(name) if name in self._archive.names else None

    def read(self, location: str, offset: int, length: int) -> bytes:
        """A slice of an entry; the last entry is kept, since tensors share one file."""
        if self._last[0] != location:
            self._last = location, self._archive.read(str(self._folder / location))
        return self._last[1][offset : offset + length]


class InFolder:
    """Ordinary files below the folder of a model that its owner opened by path."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder."""
        self._folder = folder.resolve()

    def size(self, location: str) -> int | None:
        """Bytes of an ordinary file that no link leads to."""
        path = self._folder / location
        try:
            status = os.lstat(path)
        except OSError:
            return None
        plain = stat.S_ISREG(status.st_mode) and path.resolve() == path
        return status.st_size if plain else None

    def read(self, location: str, offset: int, length: int) -> bytes:
        """A slice of it."""
        handle = os.open(self._folder / location, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            file.seek(offset)
            return file.read(length)


def inline(tensors: Iterable[tuple[TensorProto, str]], upload: Upload) -> int:
    """Move external values into the tensors themselves; how many were moved.

    Raises:
        InvalidModel: a location, offset or length that is not what it should be.
    """
    moved = total = 0
    for tensor, where in tensors:
        if tensor.data_location != TensorProto.EXTERNAL:
            if tensor.external_data:
                raise InvalidModel(f"{where} names external data but does not use it.")
            continue
        expected = size_bytes(tensor, where)
        total += expected
        if total > MAX_TOTAL_BYTES:
            raise InvalidModel("The model with its external data is larger than 2 GiB.")
        tensor.raw_data = _values(tensor, where, expected, upload)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        moved += 1
    return moved


def _values(tensor: TensorProto, where: str, expected: int, upload: Upload) -> bytes:
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
    content = upload.read(location, offset, length)
    if len(content) != length:
        raise InvalidModel(f"{location!r} ended while {where} was read.")
    return content


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
