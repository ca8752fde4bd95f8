"""The worst uploads, made here: each a few bytes to a few kilobytes that end or fool a runtime."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(nodes: list, weights: list = (), functions: list = (), opset: int = 17) -> bytes:
    """A model x -> y of 4 floats."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [x], [y], list(weights))
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1)]
    made = helper.make_model(graph, opset_imports=domains, functions=list(functions), ir_version=8)
    return made.SerializeToString()


def node(op: str, inputs: list[str], outputs: list[str], **attributes: object) -> onnx.NodeProto:
    """A node."""
    return helper.make_node(op, inputs, outputs, **attributes)


ADD_W = [node("Add", ["x", "w"], ["y"])]
RELU = [node("Relu", ["x"], ["y"])]


def raw(dims: list[int], content: bytes, kind: int = TensorProto.FLOAT) -> TensorProto:
    """A tensor that claims `dims` and holds `content`."""
    tensor = TensorProto(name="w", data_type=kind, raw_data=content)
    tensor.dims.extend(dims)
    return tensor


def external(location: str, **more: object) -> bytes:
    """A model whose weight lies in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT)
    tensor.dims.append(4)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return model(ADD_W, [tensor])


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def linked() -> bytes:
    """A zip whose weight file is a link to /etc/passwd."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("model.onnx", external("w.bin"))
        link = zipfile.ZipInfo("w.bin")
        link.create_system = 3
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return stream.getvalue()


def nested_subgraphs(depth: int) -> bytes:
    """A graph in an attribute of a node of a graph, and so on."""

    def field(tag: int, payload: bytes) -> bytes:
        size, length = len(payload), b""
        while True:
            size, low = size >> 7, size & 127
            length += bytes([low | (128 if size else 0)])
            if not size:
                return bytes([tag]) + length + payload

    graph = b"\x0a\x01g"
    for _ in range(depth):
        graph = field(0x0A, field(0x2A, b"\x0a\x01a" + field(0x32, graph)))
    return b"\x08\x0a" + field(0x3A, graph)


def laughing_functions(depth: int) -> bytes:
    """Functions that call the next one twice: 2^depth nodes."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    functions = [
        helper.make_function("local", "f0", ["a"], ["b"], [node("Relu", ["a"], ["b"])], opsets)
    ]
    for level in range(1, depth + 1):
        body = [
            node(f"f{level - 1}", ["a"], ["m"], domain="local"),
            node(f"f{level - 1}", ["m"], ["b"], domain="local"),
        ]
        functions.append(helper.make_function("local", f"f{level}", ["a"], ["b"], body, opsets))
    return model([node(f"f{depth}", ["x"], ["y"], domain="local")], functions=functions)


def self_calling_function() -> bytes:
    """A function whose body is a call of itself."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    body = [node("f", ["a"], ["b"], domain="local")]
    function = helper.make_function("local", "f", ["a"], ["b"], body, opsets)
    return model([node("f", ["x"], ["y"], domain="local")], functions=[function])


def overflowing_division() -> bytes:
    """INT64_MIN / -1, which runtimes fold while they load and die of (SIGFPE)."""
    low = numpy_helper.from_array(np.array([-(2**63)], np.int64), "low")
    minus = numpy_helper.from_array(np.array([-1], np.int64), "minus")
    nodes = [
        node("Div", ["low", "minus"], ["q"]),
        node("Cast", ["q"], ["c"], to=TensorProto.FLOAT),
        node("Add", ["x", "c"], ["y"]),
    ]
    return model(nodes, [low, minus])


def huge_png() -> bytes:
    """A PNG of 30000 x 30000 pixels in a few hundred bytes of header and data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        import os

        return os.system, (self.command,)


def pickled(command: str) -> bytes:
    """A pickle that runs `command`."""
    return pickle.dumps(Bomb(command))


GOOD = model(RELU)

MODELS: dict[str, tuple[bytes, str, str]] = {  # name -> content, code, words of the reason
    "empty": (b"", "InvalidModel", "empty"),
    "cut": (GOOD[:20], "InvalidModel", "not an ONNX file"),
    "html": (b"<!DOCTYPE html><script>alert(1)</script>", "UnsupportedModel", "web page"),
    "pickle": (pickled("true"), "UnsupportedModel", "pickle"),
    "torch zip": (zipped({"a/data.pkl": b"x"}), "UnsupportedModel", "PyTorch"),
    "keras": (b"\x89HDF\r\n\x1a\n" + b"\0" * 64, "UnsupportedModel", "Keras"),
    "tflite": (b"\x1c\0\0\0TFL3" + b"\0" * 64, "UnsupportedModel", "Lite"),
    "ir": (b'<?xml version="1.0"?><net/>', "UnsupportedModel", "OpenVINO"),
    "no model": (zipped({"a.txt": b"x"}), "InvalidModel", "no .onnx"),
    "two models": (zipped({"a.onnx": GOOD, "b.onnx": GOOD}), "InvalidModel", "2 .onnx"),
    "bomb": (zipped({"a.onnx": GOOD, "b": bytes(64 << 20)}), "InvalidModel", "bomb"),
    "slip": (zipped({"a.onnx": GOOD, "../../x": b"x"}), "InvalidModel", "out of the archive"),
    "absolute": (zipped({"a.onnx": GOOD, "/tmp/x": b"x"}), "InvalidModel", "out of the archive"),
    "case": (zipped({"a.onnx": GOOD, "B": b"", "b": b""}), "InvalidModel", "one name"),
    "link": (linked(), "InvalidModel", "link"),
    "many": (zipped({str(i): b"" for i in range(10_001)}), "InvalidModel", "entries"),
    "parent": (external("../secret", length=16), "InvalidModel", "not a plain file"),
    "absolute data": (external("/etc/passwd", length=16), "InvalidModel", "not a plain file"),
    "address": (external("*/_ORT_MEM_ADDR_/*", offset=4096, length=16), "InvalidModel", "memory"),
    "missing data": (external("w.bin"), "InvalidModel", "not part of the upload"),
    "attribute": (external("w.bin", __class__="x"), "InvalidModel", "__class__"),
    "number": (external("w.bin", length="9" * 400), "InvalidModel", "not part of the upload"),
    "raw short": (model(ADD_W, [raw([4], b"\0" * 8)]), "InvalidModel", "needs 16"),
    "raw long": (model(ADD_W, [raw([4], b"\0" * 99)]), "InvalidModel", "needs 16"),
    "nothing": (model(ADD_W, [raw([4], b"")]), "InvalidModel", "holds 0 values"),
    "negative": (model(ADD_W, [raw([-1, 4], b"\0" * 16)]), "InvalidModel", "negative"),
    "wraps to 0": (model(ADD_W, [raw([1 << 32, 1 << 32], b"")]), "InvalidModel", "limit"),
    "wraps to 4": (model(ADD_W, [raw([(1 << 62) + 1, 4], bytes(16))]), "InvalidModel", "limit"),
    "type 999": (model(ADD_W, [raw([4], bytes(16), 999)]), "InvalidModel", "element type 999"),
    "cycle": (
        model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), *RELU]),
        "InvalidModel",
        "cycle",
    ),
    "twice": (model([*RELU, *RELU]), "InvalidModel", "written twice"),
    "unsorted": (
        model([node("Relu", ["a"], ["y"]), node("Relu", ["x"], ["a"])]),
        "InvalidModel",
        "topological order",
    ),
    "missing input": (model([node("Conv", ["x"], ["y"])]), "InvalidModel", "inputs"),
    "unknown": (model([node("Frobnicate", ["x"], ["y"])]), "UnsupportedModel", "no such operator"),
    "vendor": (model([node("F", ["x"], ["y"], domain="local")]), "UnsupportedModel", "local.F"),
    "opset": (model(RELU, opset=99), "UnsupportedModel", "Opset 99"),
    "name": (model([node("Relu", ["x"], ["n" * 5000]), *RELU]), "InvalidModel", "longer than"),
    "nested": (nested_subgraphs(3000), "InvalidModel", "not an ONNX file"),
    "laughs": (laughing_functions(30), "UnsupportedModel", f"{2**30:,} nodes"),
    "recursion": (self_calling_function(), "InvalidModel", "calls itself"),
}


def picture(width: int = 8, height: int = 8, channels: int = 3) -> bytes:
    """A black PNG of colours, or of grey."""
    rows = (b"\0" + bytes(width * channels)) * height
    kind = {1: 0, 3: 2}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def boxed(annotations: bytes) -> bytes:
    """An image with an annotations.json."""
    return zipped({"a.png": picture(), "annotations.json": annotations})


def masked(mask: bytes) -> bytes:
    """An image with a mask."""
    return zipped({"a.png": picture(), "masks/a.png": mask})


FAR_BOX = (
    b'{"images": [{"id": 1, "file_name": "a.png", "height": 8, "width": 8}], "categories": '
    b'[{"id": 1}], "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1e9, 1]}]}'
)
DATA: dict[str, tuple[bytes, str]] = {  # name -> content, words of the reason
    "deep boxes.zip": (boxed(b'{"images": ' + b"[" * 200_000), "no readable JSON"),
    "no boxes.zip": (boxed(b"{}"), "no list of"),
    "far boxes.zip": (boxed(FAR_BOX), "does not lie in its image"),
    "wrong boxes.zip": (
        boxed(FAR_BOX.replace(b"1e9", b"1").replace(b'"width": 8', b'"width": 9')),
        "of one of 9 x 8",
    ),
    "colour mask.zip": (masked(picture()), "one channel"),
    "small mask.zip": (masked(picture(4, 4, 1)), "of one of 4 x 4"),
    "huge mask.zip": (masked(huge_png()), "megapixels"),
    "fake mask.zip": (masked(b"not an image"), "not a PNG"),
    "text.zip": (b"hello", "neither a zip"),
    "huge.zip": (zipped({"a.png": huge_png()}), "megapixels"),
    "fake.zip": (zipped({"a.png": b"not an image"}), "not a PNG"),
    "none.zip": (zipped({"a.txt": b"x"}), "no images"),
    "slip.zip": (zipped({"../a.png": b"x"}), "out of the archive"),
    "bomb.zip": (zipped({"a.png": bytes(64 << 20)}), "bomb"),
    "cut.zip": (zipped({"a.png": huge_png()})[:60], "not a readable zip"),
}
