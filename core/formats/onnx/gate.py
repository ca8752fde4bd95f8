"""The gate: an upload becomes one self-contained, checked ONNX file, or is refused with a reason.

In this order: what the bytes are; the zip's directory; size; protobuf; external data; our own
validator; functions counted, then inlined; the graph written anew; the checker and shape inference.
Runs in the workshop only: every step after the first reads bytes that a stranger chose.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import onnx
import onnx.inliner

from core import graph as graphs
from core.data import Archive, Bounds
from core.errors import DataError, InvalidModel, ModelError, UnsupportedModel
from core.formats.onnx.carried import drop_unusable
from core.formats.onnx.external import InArchive, InFolder, Nothing, Upload, slices, take_in
from core.formats.onnx.functions import check_functions
from core.formats.onnx.recognise import refuse_foreign
from core.formats.onnx.tensors import all_tensors, check_tensor
from core.formats.onnx.validate import check_model
from core.graph import Values, cut, map_file
from core.graph import read_proto as _parse
from core.graph.storage import cut_from
from core.graph.taking import SINGLE_FILE_BYTES

Told = Callable[[str, float], None]

DISK_RESERVE = 1 << 30  # bytes of disk that are left to others
LONGEST_DOC = 10_000


@dataclass(frozen=True, slots=True)
class Admitted:
    """A model that came through: its graph, its file and what was done to it."""

    graph: graphs.Graph
    path: Path
    digest: str
    notes: tuple[str, ...]


def admit(
    source: Path,
    filename: str,
    models: Path,
    beside: Path | None = None,
    told: Told | None = None,
) -> Admitted:
    """Take the upload at `source` in.

    Args:
        source: the raw upload.
        filename: what the user called it.
        models: folder of the admitted models.
        beside: folder in which a bare .onnx may find its external data; none for an upload.
        told: hears what is being done, and what share of it is.

    Raises:
        InvalidModel: broken, or not what it claims to be.
        UnsupportedModel: not ONNX, or ONNX that Lathe does not take.
    """
    tell = told or _quiet
    models.mkdir(parents=True, exist_ok=True)
    with _opened(source, filename) as file:
        tell("reading the file", 0.0)
        if not refuse_foreign(file, filename):
            upload = InFolder(beside) if beside else Nothing()
            return _admit(map_file(file), filename, models, upload, tell)
        try:
            with Archive(file, filename, _bounds(models)) as archive:
                name = _model_in(archive)
                inside = InArchive(archive, name, models)
                content = inside.content(PurePosixPath(name).name)
                return _admit(content, filename, models, inside, tell)
        except DataError as error:
            raise InvalidModel(error.message, error.remedy) from None


def weigh(source: Path, filename: str, beside: Path | None = None) -> int:
    """Bytes of a model with all its data, unpacked; of the file where more cannot be told yet."""
    with _opened(source, filename) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        try:
            if refuse_foreign(file, filename):
                with Archive(file, filename, _bounds(source.parent)) as archive:
                    return sum(map(archive.size, archive.names))
            if beside is None or size > SINGLE_FILE_BYTES:
                return size
            model = _parse(cut(map_file(file), cut_from(size), Values(), filename), filename)
            return size + sum(
                piece.length for piece in slices(all_tensors(model), InFolder(beside))
            )
        except (ModelError, DataError):
            return size  # whoever takes it in says why not


def _quiet(what: str, share: float) -> None:
    pass


@contextlib.contextmanager
def _opened(source: Path, filename: str) -> Iterator[IO[bytes]]:
    try:
        file = source.open("rb")
    except OSError as error:
        raise InvalidModel(f"{filename} cannot be read: {error.strerror}.") from None
    with file:
        yield file


def _bounds(folder: Path) -> Bounds:
    """What a zip may hold: half of the free disk, for its data is written twice."""
    return Bounds(entries=10_000, total_bytes=_room(folder) // 2, ratio=100)


def _room(folder: Path) -> int:
    return shutil.disk_usage(folder).free - DISK_RESERVE


def _model_in(archive: Archive) -> str:
    found = [name for name in archive.names if PurePosixPath(name).suffix.lower() == ".onnx"]
    if len(found) != 1:
        raise InvalidModel(
            f"{archive.name} holds {len(found) or 'no'} .onnx files; it must hold exactly one.",
            "Zip one .onnx together with its data files.",
        )
    return found[0]


def _admit(
    content: memoryview, filename: str, models: Path, upload: Upload, tell: Told
) -> Admitted:
    if len(content) > SINGLE_FILE_BYTES:
        raise UnsupportedModel(
            f"{filename} is larger than 2 GiB, which no protobuf file can be.",
            "Export it with external data, and zip the .onnx together with its data files.",
        )
    values, notes, size = Values(), list[str](), len(content)
    model = _parse(cut(content, cut_from(size), values, filename), filename)
    if moved := take_in(all_tensors(model), upload, values, size, _room(models)):
        notes.append(f"{moved} tensors of external data were taken into the file.")
    tell("checking the graph", 0.0)
    for tensor, where in all_tensors(model):
        check_tensor(tensor, where, values)
    check_functions(model)
    check_model(model)
    model = _inlined(model, notes)
    _strip(model, notes)
    declared = _output_types(model)
    graph = graphs.from_proto(model, filename, notes, values)
    del model
    _check_output_types(declared, graphs.output_types(graph))
    drop_unusable(graph, notes)
    tell("inferring shapes", 0.0)
    graphs.infer_shapes(graph)
    graphs.check(graph)
    digest, path = keep(graph, models, tell)
    return Admitted(graph, path, digest, tuple(notes))


def _inlined(model: onnx.ModelProto, notes: list[str]) -> onnx.ModelProto:
    if not model.functions:
        return model
    notes.append(f"{len(model.functions)} functions of the model were inlined.")
    try:
        model = onnx.inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as error:
        raise InvalidModel(f"The functions of the model cannot be inlined: {error}") from None
    check_model(model)
    return model


def _strip(model: onnx.ModelProto, notes: list[str]) -> None:
    """Drop what no backend reads: training graphs, and documentation beyond all measure."""
    if model.training_info:
        notes.append("Training information was left out.")
        model.ClearField("training_info")
    for item in (model, model.graph):
        if len(item.doc_string) > LONGEST_DOC:
            item.ClearField("doc_string")
    for node in model.graph.node:
        node.ClearField("doc_string")


def _output_types(model: onnx.ModelProto) -> dict[str, int]:
    return {value.name: value.type.tensor_type.elem_type for value in model.graph.output}


def _check_output_types(declared: dict[str, int], inferred: dict[str, int]) -> None:
    for name, kind in declared.items():
        found = inferred.get(name, 0)
        if kind and found and kind != found:
            raise InvalidModel(
                f"Output {name[:80]!r} is declared as {onnx.TensorProto.DataType.Name(kind)} "
                f"but computed as {onnx.TensorProto.DataType.Name(found)}."
            )


def keep(graph: graphs.Graph, models: Path, told: Told | None = None) -> tuple[str, Path]:
    """Write `graph` to models/DIGEST.onnx unless it is there already; its digest and path.

    Raises:
        InvalidModel: it cannot be written.
    """

    def written(done: int, total: int) -> None:
        if told:
            told("storing the weights", done / total)

    return graphs.store(graph, models, written)
