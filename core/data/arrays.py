"""Arrays in a .npz, read row by row without numpy's own loader: no pickles, flat memory.

The header of each array is parsed first and must agree with the length of its entry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from core.data.archive import Archive, Bounds
from core.errors import DataError

BOUNDS = Bounds(entries=64, total_bytes=8 << 30, ratio=200)
LONGEST_HEADER = 10_000
Array = np.ndarray[Any, Any]


class Rows:
    """One array of an archive; rows are read where they lie."""

    def __init__(self, archive: Archive, entry: str) -> None:
        """Read the header.

        Raises:
            DataError: not an array of plain numbers, or a header that lies.
        """
        self._archive, self._entry = archive, entry
        self.name = entry.removesuffix(".npy")
        self._stream: IO[bytes] | None = None
        with archive.open(entry) as stream:
            self.shape, self.dtype = _header(stream, f"{archive.name}: {self.name!r}")
            self._offset = stream.tell()
        self._row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        content = self._row_bytes * (self.shape[0] if self.shape else 1)
        if self._offset + content != archive.size(entry):
            raise DataError(
                f"{archive.name}: {self.name!r} claims the shape {list(self.shape)}, "
                "which is not what its length says."
            )

    def row(self, index: int) -> Array:
        """Row `index`, a fresh array."""
        if self._stream is None:
            self._stream = self._archive.open(self._entry)
        try:
            self._stream.seek(self._offset + index * self._row_bytes)
            content = self._stream.read(self._row_bytes)
        except Exception as error:
            raise DataError(f"{self._archive.name}: {self.name!r} is damaged: {error}.") from error
        if len(content) != self._row_bytes:
            raise DataError(f"{self._archive.name}: {self.name!r} ends before row {index}.")
        return np.frombuffer(content, self.dtype).reshape(self.shape[1:])

    def all(self) -> Array:
        """The whole array; for labels."""
        return np.array([self.row(i) for i in range(self.shape[0])], self.dtype)


def _header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(stream, max_header_size=LONGEST_HEADER)
    except (ValueError, EOFError, SyntaxError, TypeError) as error:
        raise DataError(f"{what} is not a numpy array: {error}") from error
    if dtype.hasobject or dtype.kind not in "biuf":
        raise DataError(
            f"{what} holds Python objects (pickles), which run code when they are read; refused.",
            "Save plain arrays of numbers.",
        )
    if fortran and len(shape) > 1:
        raise DataError(f"{what} is stored by columns; save numpy.ascontiguousarray of it.")
    return tuple(int(d) for d in shape), dtype


def open_arrays(path: Path, name: str) -> tuple[Archive, Mapping[str, Rows]]:
    """The arrays of a .npz by name.

    Raises:
        DataError: not a .npz of plain arrays.
    """
    archive = Archive(path, name, BOUNDS)
    try:
        entries = [entry for entry in archive.names if entry.endswith(".npy")]
        if not entries or len(entries) != len(archive.names):
            raise DataError(f"{name} holds something other than numpy arrays.")
        rows = [Rows(archive, entry) for entry in entries]
    except DataError:
        archive.close()
        raise
    return archive, {r.name: r for r in rows}
