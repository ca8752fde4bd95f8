"""Models on disk: read, write, check, name by digest.

A file is self-contained and is named by the SHA-256 of its bytes; the same graph always gives the
same bytes. The weights of a large model lie beside it (`storage`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from core.errors import InvalidModel
from core.graph.mapped import as_array, settle
from core.graph.normalise import normalise
from core.graph.operators import STANDARD
from core.graph.shapes import infer_shapes, without_weights
from core.graph.skeleton import Values
from core.graph.storage import (
    UNNAMED,
    Told,
    bind,
    data_bytes,
    is_large,
    let_go,
    placed,
    pointing_to,
    whole,
    write_data,
)
from core.graph.unranked import with_ranks
from core.graph.values import all_graphs
from core.records.stored import data_of

Graph = ir.Model

CHUNK_BYTES = 1 << 20
OPAQUE = "lathe.opaque"
_IN_FUNCTION = re.compile(
    r"\(op_type:(\w+)[^\[]*\[ShapeInferenceError\] Inference error\(s\): \(op_type:"
)


def load(path: Path) -> Graph:
    """The graph in `path`: weights as numpy arrays, node names unique, shapes inferred.

    The weights of a large model are mapped, not read.

    Raises:
        InvalidModel: not a readable ONNX model as `store` or `save` leave it.
    """
    path = Path(path)
    try:
        proto = read_proto(path.read_bytes(), path.name)
        values = bind(proto, path, path.name) if data_of(path).exists() else None
    except OSError as error:
        raise InvalidModel(f"{path} cannot be read: {error.strerror}.") from error
    graph = from_proto(proto, path.name, values=values)
    infer_shapes(graph)
    return graph


def parse(content: bytes, name: str, notes: list[str] | None = None) -> Graph:
    """The graph in the bytes of an ONNX file.

    Args:
        content: the bytes.
        name: what messages call the file.
        notes: takes what was set straight, as sentences for the user.

    Raises:
        InvalidModel: not a readable, self-contained ONNX model.
    """
    return from_proto(read_proto(content, name), name, notes)


def read_proto(content: bytes, name: str) -> onnx.ModelProto:
    """The message in the bytes of an ONNX file.

    Raises:
        InvalidModel: there is none.
    """
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except DecodeError:
        raise InvalidModel(
            f"{name} is not an ONNX file, or only a part of one.",
            "Export or download it again.",
        ) from None
    return proto


def from_proto(
    proto: onnx.ModelProto,
    name: str,
    notes: list[str] | None = None,
    values: Values | None = None,
) -> Graph:
    """The graph of a message, which is used up.

    Args:
        proto: the message.
        name: what errors call the file.
        notes: takes what was set straight, as sentences for the user.
        values: what its placeholders stand for, if it has any.

    Raises:
        InvalidModel: not an ONNX model, or one whose weights lie elsewhere.
    """
    if not proto.HasField("graph"):
        raise InvalidModel(f"{name} holds no graph: it is not an ONNX model.")
    try:
        if values:
            settle(proto, values)
        graph = ir.from_proto(proto)
        _own_weights(graph, name, values)
    except (ValueError, TypeError, KeyError, ir.serde.SerdeError) as error:
        raise InvalidModel(f"{name} cannot be understood: {error}") from error
    done = normalise(graph)
    if notes is not None:
        notes.extend(done)
    return graph


def _own_weights(graph: Graph, name: str, values: Values | None) -> None:
    """Replace the parsed messages by arrays, so that a pass can read a weight at no cost."""
    for inner in all_graphs(graph):
        for value in inner.initializers.values():
            tensor = value.const_value
            if isinstance(tensor, ir.ExternalTensor):
                raise InvalidModel(
                    f"{name} keeps {value.name!r} in another file.",
                    "Upload the model and its data files together as one zip.",
                )
            if isinstance(tensor, ir.TensorProtoTensor):
                mapped = values.of(tensor.raw.raw_data) if values else None
                array = tensor.numpy() if mapped is None else as_array(mapped, tensor)
                value.const_value = ir.Tensor(
                    array, dtype=tensor.dtype, shape=tensor.shape, name=tensor.name
                )


def serialize(graph: Graph) -> bytes:
    """The bytes that `save` writes.

    Shapes between the layers are left out: they weigh, can be inferred again, and mislead a
    runtime where they are stale.

    Raises:
        InvalidModel: the graph cannot be written (larger than 2 GiB, or inconsistent).
    """
    try:
        proto = ir.to_proto(graph)
        _drop_inferable(proto.graph)
        content: bytes = proto.SerializeToString(deterministic=True)
        return content
    except (ir.serde.SerdeError, ValueError) as error:
        raise InvalidModel(f"The model cannot be written: {error}") from error


def _drop_inferable(graph: onnx.GraphProto) -> None:
    unknown = {name for node in graph.node if node.domain not in STANDARD for name in node.output}
    kept = [info for info in graph.value_info if info.name in unknown]
    del graph.value_info[:]
    graph.value_info.extend(kept)


def save(graph: Graph, path: Path) -> str:
    """Write `graph` to `path`, wholly or not at all, and return the digest of its bytes.

    Raises:
        InvalidModel: the graph cannot be written as one file.
    """
    content = serialize(graph)
    write(content, path)
    return hashlib.sha256(content).hexdigest()


def write(content: bytes, path: Path) -> None:
    """Replace `path` by `content` in one step that survives a crash."""
    with whole(path) as file:
        file.write(content)


def store(graph: Graph, folder: Path, told: Told | None = None) -> tuple[str, Path]:
    """Write `graph` to folder/DIGEST.onnx unless it is there already; its digest and path.

    A large one has its weights beside it, in DIGEST.onnx.data, and no copy of them is made here.
    `told` hears of the bytes that are written.

    Raises:
        InvalidModel: it cannot be written.
    """
    if not is_large(graph):
        content = serialize(graph)
        digest = hashlib.sha256(content).hexdigest()
        path = folder / f"{digest}.onnx"
        if not path.exists():
            write(content, path)
        return digest, path
    weights = placed(graph)
    with pointing_to(UNNAMED, weights):
        content = serialize(graph)
    running = hashlib.sha256(content)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".", suffix=".part") as scratch:
        data = Path(scratch) / UNNAMED
        with data.open("wb") as file:
            write_data(weights, file, running, told)
            file.flush()
            os.fsync(file.fileno())
        path = folder / f"{running.hexdigest()}.onnx"
        if not (path.exists() and data_of(path).exists()):
            os.replace(data, data_of(path))
            write(content.replace(UNNAMED.encode(), data_of(path).name.encode()), path)
    return path.stem, path


@contextlib.contextmanager
def handed_over(graph: Graph, copied: bool = False) -> Iterator[bytes | str]:
    """What a runtime in this process loads a graph from: its bytes, or a file that it can map.

    Args:
        graph: what is loaded.
        copied: whether a copy of large weights may lie in memory; writing them takes longer.

    Raises:
        InvalidModel: the graph cannot be written.
    """
    if copied or not is_large(graph):
        yield serialize(graph)
        return
    with tempfile.TemporaryDirectory(prefix="lathe-") as folder:
        path = Path(folder) / "model.onnx"
        write_for(path, graph)
        let_go()
        yield str(path)


def write_for(path: Path, graph: Graph) -> None:
    """Write a graph for a runtime to read once: its large weights go beside it, to be mapped.

    Raises:
        InvalidModel: the graph cannot be written.
    """
    weights = placed(graph) if is_large(graph) else []
    with pointing_to(data_of(path).name, weights):
        path.write_bytes(serialize(graph))
    if weights:
        with data_of(path).open("wb") as file:
            write_data(weights, file)


def file_bytes(graph: Graph) -> int:
    """Bytes of the file, or the two files, that `store` writes."""
    if not is_large(graph):
        return len(serialize(graph))
    weights = placed(graph)
    with pointing_to(UNNAMED, weights):
        size = len(serialize(graph))
    return size + data_bytes(weights)


def digest(path: Path) -> str:
    """The digest of a stored model: SHA-256, in hex. That of a large one is its name."""
    if data_of(path).exists():
        return path.stem
    running = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            running.update(chunk)
    return running.hexdigest()


def check(graph: Graph) -> None:
    """Hold `graph` to the ONNX specification, its shapes and types included.

    Raises:
        InvalidModel: with the checker's own words.
    """
    with without_weights(graph) if is_large(graph) else contextlib.nullcontext():
        content: bytes | onnx.ModelProto = serialize(graph)
    if any(value.shape is None for value in graph.graph.outputs):
        content = with_ranks(onnx.ModelProto.FromString(content))
    try:
        _check_in_full(content)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InvalidModel(
            f"The model breaks the ONNX specification: {first_line(error)}"
        ) from None


def _check_in_full(content: bytes | onnx.ModelProto) -> None:
    """The ONNX checker, but for operators that ONNX's own definition keeps it from typing.

    It types MeanVarianceNormalization of opset 13 by other operators, and cannot read that itself.
    """
    opaque: set[str] = set()
    while True:
        try:
            onnx.checker.check_model(_without_types_of(opaque, content), full_check=True)
            return
        except onnx.shape_inference.InferenceError as error:
            inside = _IN_FUNCTION.search(str(error))
            if inside is None or inside[1] in opaque or not _is_defined_by_others(inside[1]):
                raise
            opaque.add(inside[1])


def _without_types_of(
    operators: set[str], content: bytes | onnx.ModelProto
) -> bytes | onnx.ModelProto:
    """The model with these operators as if of a domain that nobody knows."""
    if not operators:
        return content
    proto = onnx.ModelProto()
    proto.ParseFromString(content if isinstance(content, bytes) else content.SerializeToString())
    for node in proto.graph.node:
        if node.op_type in operators and node.domain in STANDARD:
            node.domain = OPAQUE
    proto.opset_import.append(onnx.helper.make_opsetid(OPAQUE, 1))
    return proto


def _is_defined_by_others(operator: str) -> bool:
    known = (s for s in onnx.defs.get_all_schemas_with_history() if s.name == operator)
    return any(
        s.has_function or s.has_context_dependent_function  # type: ignore[attr-defined]
        for s in known
        if s.domain in STANDARD
    )


def first_line(error: Exception, limit: int = 300) -> str:
    """What a vendor's exception says, without the trace that follows it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:limit]
