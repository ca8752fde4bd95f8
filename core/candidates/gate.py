"""The gate: an upload becomes one self-contained, checked ONNX file, or is refused with a reason.

In this order: size; what the bytes are; the zip's directory; protobuf; external data; our own
validator; functions counted, then inlined; the graph written anew; the checker and shape inference.
Runs in the workshop only: every step after the first reads bytes that a stranger chose.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from core import graph as graphs
from core.candidates.carried import drop_unusable
from core.candidates.external import InArchive, InFolder, Nothing, Upload, inline
from core.candidates.functions import check_functions
from core.candidates.recognise import ZIP, refuse_foreign
from core.candidates.tensors import all_tensors, check_tensor
from core.candidates.validate import check_model
from core.data import Archive, Bounds
from core.errors import DataError, InvalidModel, UnsupportedModel

MAX_BYTES = 1 << 30
BOUNDS = Bounds(entries=10_000, total_bytes=2 << 30, ratio=100)
LONGEST_DOC = 10_000


@dataclass(frozen=True, slots=True)
class Admitted:
    """A model that came through: its graph, its file and what was done to it."""

    graph: graphs.Graph
    path: Path
    digest: str
    notes: tuple[str, ...]


def admit(source: Path, filename: str, models: Path, beside: Path | None = None) -> Admitted:
    """Take the upload at `source` in.

    Args:
        source: the raw upload.
        filename: what the user called it.
        models: folder of the admitted models.
        beside: folder in which a bare .onnx may find its external data; none for an upload.

    Raises:
        InvalidModel: broken, or not what it claims to be.
        UnsupportedModel: not ONNX, or ONNX that Lathe does not take.
    """
    content = _read(source, filename)
    refuse_foreign(content, filename)
    if not content.startswith(ZIP):
        return _admit(content, filename, models, InFolder(beside) if beside else Nothing())
    try:
        with Archive(io.BytesIO(content), filename, BOUNDS) as archive:
            name = _model_in(archive)
            return _admit(archive.read(name), filename, models, InArchive(archive, name))
    except DataError as error:
        raise InvalidModel(error.message, error.remedy) from None


def _read(source: Path, filename: str) -> bytes:
    try:
        size = source.stat().st_size
        if size > MAX_BYTES:
            raise UnsupportedModel(f"{filename} is larger than {MAX_BYTES >> 30} GiB.")
        return source.read_bytes()
    except OSError as error:
        raise InvalidModel(f"{filename} cannot be read: {error.strerror}.") from None


def _model_in(archive: Archive) -> str:
    found = [name for name in archive.names if PurePosixPath(name).suffix.lower() == ".onnx"]
    if len(found) != 1:
        raise InvalidModel(
            f"{archive.name} holds {len(found) or 'no'} .onnx files; it must hold exactly one.",
            "Zip one .onnx together with its data files.",
        )
    return found[0]


def _admit(content: bytes, filename: str, models: Path, upload: Upload) -> Admitted:
    model = _parse(content, filename)
    del content
    notes: list[str] = []
    if moved := inline(all_tensors(model), upload):
        notes.append(f"{moved} tensors of external data were taken into the file.")
    for tensor, where in all_tensors(model):
        check_tensor(tensor, where)
    check_functions(model)
    check_model(model)
    model = _inlined(model, notes)
    _strip(model, notes)
    declared = _output_types(model)
    graph = graphs.parse(model.SerializeToString(), filename, notes)
    del model
    _check_output_types(declared, graphs.output_types(graph))
    drop_unusable(graph, notes)
    graphs.infer_shapes(graph)
    graphs.check(graph)
    digest, path = keep(graph, models)
    return Admitted(graph, path, digest, tuple(notes))


def _parse(content: bytes, filename: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise InvalidModel(
            f"{filename} is not an ONNX file, or only a part of one.",
            "Export or download it again.",
        ) from None
    return model


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


def keep(graph: graphs.Graph, models: Path) -> tuple[str, Path]:
    """Write `graph` to models/DIGEST.onnx unless it is there already; its digest and path.

    Raises:
        InvalidModel: it cannot be written as one file.
    """
    content = graphs.serialize(graph)
    digest = hashlib.sha256(content).hexdigest()
    path = models / f"{digest}.onnx"
    if not path.exists():
        graphs.write(content, path)
    return digest, path
