"""Large models on disk: the graph in DIGEST.onnx, its large weights beside it in DIGEST.onnx.data.

Whoever reads such a model maps the weights instead of copying them: so do this package, ONNX
Runtime, OpenVINO and OpenCV. Small models stay one file. A large model is named by the SHA-256 of
both its files, in which its own name counts as zeros.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np
import onnx
import onnx_ir as ir

from core.errors import InvalidModel
from core.graph.mapped import sizes
from core.graph.skeleton import Piece, Values
from core.graph.values import all_graphs
from core.records.stored import DATA_SUFFIX, data_of

EXTERNAL_FROM = 64 << 20  # bytes of weights; below, a model is one file
LARGE_TENSOR = 64 << 10  # bytes; smaller ones stay in the graph
ALIGNMENT = 4096  # of each tensor in the data file: a page, so that it can be mapped by itself
CHUNK_BYTES = 8 << 20
UNNAMED = "0" * 64 + ".onnx" + DATA_SUFFIX

Told = Callable[[int, int], None]  # bytes done, bytes in all
Placed = tuple[ir.Value, ir.TensorProtocol, int]  # with its offset in the data file

_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def cut_from(size_bytes: int) -> int:
    """Values of how many bytes are not read into memory, in a model of this size in all."""
    return LARGE_TENSOR if size_bytes > EXTERNAL_FROM else 1 << 62


def map_file(path: Path | IO[bytes]) -> memoryview:
    """The bytes of a file, mapped: read only, and only what is looked at.

    Raises:
        OSError: it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("rb")) if isinstance(path, Path) else path
        if os.fstat(file.fileno()).st_size == 0:
            return memoryview(b"")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _maps.add(mapped)
    return memoryview(mapped)


def let_go() -> None:
    """Drop the mapped pages from this process; they come back from the file when looked at."""
    for mapped in list(_maps):
        with contextlib.suppress(ValueError, OSError):  # closed meanwhile
            mapped.madvise(mmap.MADV_DONTNEED)


def weight_bytes(graph: ir.Model) -> int:
    """Bytes of all initializers."""
    return sum(
        value.const_value.nbytes
        for inner in all_graphs(graph)
        for value in inner.initializers.values()
        if value.const_value is not None and value.const_value.dtype != ir.DataType.STRING
    )


def is_large(graph: ir.Model) -> bool:
    """Whether a graph is kept as two files."""
    return weight_bytes(graph) > EXTERNAL_FROM


def placed(graph: ir.Model) -> list[Placed]:
    """The weights that go into the data file, in its order."""
    found: list[Placed] = []
    end = 0
    for inner in all_graphs(graph):
        for value in inner.initializers.values():
            tensor = value.const_value
            if tensor is None or tensor.dtype == ir.DataType.STRING:
                continue
            if tensor.nbytes >= LARGE_TENSOR:
                offset = -(-end // ALIGNMENT) * ALIGNMENT
                found.append((value, tensor, offset))
                end = offset + tensor.nbytes
    return found


@contextlib.contextmanager
def pointing_to(location: str, weights: Sequence[Placed]) -> Iterator[None]:
    """Let the weights of a graph stand in another file for a while, so that it can be written."""
    try:
        for value, tensor, offset in weights:
            value.const_value = ir.ExternalTensor(
                location,
                offset,
                tensor.nbytes,
                tensor.dtype,
                shape=ir.Shape(sizes(tensor)),
                name=value.name or "",
            )
        yield
    finally:
        for value, tensor, _ in weights:
            value.const_value = tensor


def write_data(
    weights: Sequence[Placed],
    file: IO[bytes],
    running: hashlib._Hash | None = None,
    told: Told | None = None,
) -> None:
    """Write the data file, one tensor after the other; `told` hears of each.

    The digest is made at the same time, on another core.
    """
    end, total = 0, data_bytes(weights)
    with ThreadPoolExecutor(1) as beside:
        for _, tensor, offset in weights:
            for piece in (memoryview(bytes(offset - end)), _bytes_of(tensor)):
                digested = beside.submit(running.update, piece) if running is not None else None
                write_piece(piece, file)
                if digested is not None:
                    digested.result()
            end = offset + tensor.nbytes
            if told:
                told(end, total)


def data_bytes(weights: Sequence[Placed]) -> int:
    """Bytes of the data file."""
    return weights[-1][2] + weights[-1][1].nbytes if weights else 0


def write_piece(piece: Piece, file: IO[bytes]) -> None:
    """Write bytes in chunks, so that mapped ones need no room of their own."""
    for start in range(0, len(piece), CHUNK_BYTES):
        file.write(piece[start : start + CHUNK_BYTES])


def _bytes_of(tensor: ir.TensorProtocol) -> memoryview:
    """The bytes as ONNX stores them; without a copy where the array lies in memory as they do."""
    if tensor.dtype.bitwidth >= 8:
        array = tensor.numpy()
        if array.flags.c_contiguous and array.dtype.isnative:
            return array.reshape(-1).view(np.uint8).data
    return memoryview(tensor.tobytes())


def bind(proto: onnx.ModelProto, path: Path, name: str) -> Values:
    """Find the weights of a stored model in the file beside it; placeholders stand for them.

    Raises:
        InvalidModel: another file is named, or the file is shorter than it must be.
    """
    values, content = Values(), None
    for tensor in external(proto.graph):
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if entries.get("location") != data_of(path).name:
            raise InvalidModel(
                f"{name} keeps {tensor.name!r} in another file.",
                "Upload the model and its data files together as one zip.",
            )
        content = map_file(data_of(path)) if content is None else content
        start, size = int(entries["offset"]), int(entries["length"])
        if not 0 <= start <= start + size <= len(content):
            raise InvalidModel(f"{data_of(path).name} is shorter than {name} says.")
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = values.add(content[start : start + size])
    return values


def external(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """The initializers of a graph, and of the graphs inside it, that lie in another file."""
    for tensor in graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield tensor
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from external(attribute.g)
            for inner in attribute.graphs:
                yield from external(inner)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that replaces `path` once it is complete and on the disk, or never."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
