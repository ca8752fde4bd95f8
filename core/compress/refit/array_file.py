"""Many arrays in one file that is mapped, not read: the next process starts at once.

The arrays lie one after the other, then an index of them as JSON, then the length of that index. A
folder of such files is held below a number of bytes; what was written first goes first.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.compress.graph_executor.spill_cache import Array
from core.errors import StoreError

SUFFIX = ".arrays"
MOST_BYTES = 512 << 20  # of one file
FOLDER_BYTES = 1 << 30  # of all files of a folder
ALIGNED, TAIL = 64, 8
KINDS = ("float16", "float32", "float64", "int32")


def write(path: Path, arrays: Mapping[str, Array]) -> bool:
    """Put the file in place at once; False if it would be too large.

    Raises:
        OSError: the disk is full or not to be written to.
    """
    size = sum(a.nbytes for a in arrays.values())
    return write_each(path, arrays.items(), len(arrays), size)


def write_each(
    path: Path, arrays: Iterable[tuple[str, Array]], count: int, size_bytes: int
) -> bool:
    """The same of arrays that come one after the other and need not be in memory together.

    Args:
        path: of the file.
        arrays: by name.
        count: how many.
        size_bytes: of all; nothing is asked for if that is too much.

    Raises:
        OSError: the disk is full or not to be written to.
    """
    if size_bytes + count * ALIGNED > MOST_BYTES:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as file:
            index = []
            for name, array in arrays:
                file.write(bytes(-file.tell() % ALIGNED))
                index.append([name, array.dtype.name, list(array.shape), file.tell()])
                np.ascontiguousarray(array).tofile(file)
            listed = json.dumps(index).encode()
            file.write(listed + len(listed).to_bytes(TAIL, "little"))
        os.replace(scratch, path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    _trim(path)
    return True


def read(path: Path) -> dict[str, Array]:
    """The arrays, mapped read-only.

    Raises:
        StoreError: not such a file.
    """
    try:
        whole = np.memmap(path, np.uint8, "r")
        size = int.from_bytes(whole[-TAIL:].tobytes(), "little")
        if not 0 < size < len(whole):
            raise ValueError("no index")
        end = len(whole) - TAIL - size
        return {
            name: _view(whole[:end], kind, shape, start)
            for name, kind, shape, start in json.loads(whole[end:-TAIL].tobytes())
        }
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"{path.name} is not a readable file of arrays: {error}", "Delete it; it is made again."
        ) from error


def _view(whole: Array, kind: Any, shape: Any, start: Any) -> Array:
    if kind not in KINDS:
        raise ValueError(f"an array of {kind}")
    count = int(np.prod(shape, dtype=np.int64))
    end = start + count * np.dtype(kind).itemsize
    if min(start, count) < 0 or end > len(whole) or start % ALIGNED:
        raise ValueError("an array that ends outside")
    return np.asarray(whole[start:end].view(kind).reshape(shape))


def _trim(newest: Path) -> None:
    """Another process may do so at the same time."""
    aged = []
    for path in newest.parent.glob(f"*{SUFFIX}"):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        aged.append((path == newest, state.st_mtime_ns, path, state.st_size))
    total = 0
    for _, _, path, size in sorted(aged, reverse=True):
        total += size
        if total > FOLDER_BYTES and path != newest:
            path.unlink(missing_ok=True)
