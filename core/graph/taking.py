"""A stored model as its user takes it along: one file where one can hold it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import onnx

from core.graph.skeleton import paste
from core.graph.storage import bind, external, map_file, whole, write_piece
from core.records.stored import data_of, stored_bytes

SINGLE_FILE_BYTES = (2 << 30) - (1 << 20)  # what protobuf reads as one message


def take(path: Path, out: Path) -> tuple[Path, ...]:
    """Copy a stored model to `out`: one file where one can hold it, else with OUT.data beside it.

    Returns:
        The files that were written.

    Raises:
        InvalidModel: it is not what this package stores.
        OSError: it cannot be read or written.
    """
    if not data_of(path).exists():
        with whole(out) as file:
            write_piece(map_file(path), file)
        return (out,)
    if stored_bytes(path) <= SINGLE_FILE_BYTES:
        proto = onnx.ModelProto.FromString(path.read_bytes())
        values = bind(proto, path, path.name)
        with whole(out) as file:
            for piece in paste(proto.SerializeToString(deterministic=True), values):
                write_piece(piece, file)
        return (out,)
    with whole(data_of(out)) as file:
        write_piece(map_file(data_of(path)), file)
    with whole(out) as file:
        file.write(_renamed(path, data_of(out).name))
    return out, data_of(out)


def pack(path: Path, folder: Path) -> Path:
    """A stored model as one file in `folder`: DIGEST.onnx, or DIGEST.zip of it and its data.

    Raises:
        InvalidModel: it is not what this package stores.
        OSError: it cannot be read or written.
    """
    if stored_bytes(path) <= SINGLE_FILE_BYTES or not data_of(path).exists():
        return take(path, folder / path.name)[0]
    packed = folder / f"{path.stem}.zip"
    inside = Path("model.onnx")
    with whole(packed) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(inside.name, _renamed(path, data_of(inside).name))
        archive.write(data_of(path), data_of(inside).name)
    return packed


def _renamed(path: Path, location: str) -> bytes:
    """The graph of a stored model with its data in a file of another name."""
    proto = onnx.ModelProto.FromString(path.read_bytes())
    for tensor in external(proto.graph):
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    content: bytes = proto.SerializeToString(deterministic=True)
    return content
