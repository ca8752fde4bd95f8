"""Models on disk: read, write, check, name by digest.

A file is self-contained (no external data) and is named by the SHA-256 of its bytes; the same graph
always gives the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from core.errors import InvalidModel
from core.graph.normalise import normalise
from core.graph.shapes import infer_shapes
from core.graph.unranked import with_ranks
from core.graph.values import STANDARD, all_graphs

Graph = ir.Model

CHUNK_BYTES = 1 << 20


def load(path: Path) -> Graph:
    """The graph in `path`: weights in memory as numpy arrays, node names unique, shapes inferred.

    Raises:
        InvalidModel: not a readable, self-contained ONNX model.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InvalidModel(f"{path} cannot be read: {error.strerror}.") from error
    graph = parse(content, Path(path).name)
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
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except DecodeError as error:
        raise InvalidModel(f"{name} is not an ONNX file: {error}.") from error
    if not proto.HasField("graph"):
        raise InvalidModel(f"{name} holds no graph: it is not an ONNX model.")
    try:
        graph = ir.from_proto(proto)
    except (ValueError, TypeError, KeyError, ir.serde.SerdeError) as error:
        raise InvalidModel(f"{name} cannot be understood: {error}") from error
    _own_weights(graph, name)
    done = normalise(graph)
    if notes is not None:
        notes.extend(done)
    return graph


def _own_weights(graph: Graph, name: str) -> None:
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
                value.const_value = ir.Tensor(
                    tensor.numpy(), dtype=tensor.dtype, shape=tensor.shape, name=tensor.name
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
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
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
    content: bytes | onnx.ModelProto = serialize(graph)
    if any(value.shape is None for value in graph.graph.outputs):
        content = with_ranks(onnx.ModelProto.FromString(content))
    try:
        onnx.checker.check_model(content, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InvalidModel(
            f"The model breaks the ONNX specification: {first_line(error)}"
        ) from None


def first_line(error: Exception, limit: int = 300) -> str:
    """What a vendor's exception says, without the trace that follows it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:limit]
