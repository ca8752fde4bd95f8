"""What a file that is no ONNX model is, told from its bytes, and what its owner can do about it.

Nothing here loads anything: pickles and Lambda layers run code when they are loaded.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import PurePath
from typing import IO

from core.errors import InvalidModel, UnsupportedModel
from core.formats.onnx.outline import LENGTH, VARINT, outline

ZIP = b"PK\x03\x04"
_TORCH = (
    "a PyTorch file: a pickle, which can run any code when it is loaded",
    "Export the model to ONNX: torch.onnx.export(model.eval(), example_input, 'model.onnx').",
)
_KERAS = (
    "a Keras file, whose Lambda layers can run any code when it is loaded",
    "Export the model to ONNX: model.export('model.onnx', format='onnx').",
)
_TFLITE = (
    "a TensorFlow Lite model",
    "Convert it to ONNX: python -m tf2onnx.convert --tflite model.tflite --output model.onnx.",
)
_TENSORFLOW = (
    "a TensorFlow SavedModel",
    "Convert it to ONNX: python -m tf2onnx.convert --saved-model DIR --output model.onnx.",
)
_FROZEN = (
    "a frozen TensorFlow graph",
    "Convert it to ONNX: python -m tf2onnx.convert --graphdef model.pb --inputs x:0 --outputs y:0 "
    "--output model.onnx.",
)
_CORE_ML = (
    "a Core ML model",
    "Export the model that it was converted from to ONNX.",
)
_CAFFE = (
    "a Caffe model",
    "Convert it to ONNX, from its .prototxt and its .caffemodel together.",
)
_POINTER = (
    "a Git LFS pointer: a few lines that stand for the model, not the model itself",
    "Get the file itself: git lfs pull, or download it from the web page of the repository.",
)
_OPENVINO = (
    "an OpenVINO model description",
    "Upload the ONNX model that it was converted from.",
)
_NCNN = ("an ncnn model description", "Upload the ONNX model that it was converted from.")
_IMAGE = ("an image", "Upload images under Data, and an ONNX model here.")
_ARRAYS = ("an archive of numpy arrays", "Upload it under Data, and an ONNX model here.")
_PACKED = ("a compressed archive of another kind", "Upload the .onnx itself, or pack it as a zip.")
_HTML = ("a web page, not a model", "Download the file itself: its page was saved instead.")
_TENSORS = (
    "a safetensors file: weights without a network",
    "Export the whole model to ONNX.",
)

_PREFIXES = (
    (b"\x89HDF\r\n\x1a\n", _KERAS),
    (b"\x89PNG\r\n\x1a\n", _IMAGE),
    (b"\xff\xd8\xff", _IMAGE),
    (b"GIF8", _IMAGE),
    (b"BM", _IMAGE),
    (b"RIFF", _IMAGE),
    (b"\x93NUMPY", _ARRAYS),
    (b"7767517", _NCNN),
    (b"version https://git-lfs.github.com/spec/", _POINTER),
    (b"\x1f\x8b", _PACKED),
    (b"7z\xbc\xaf", _PACKED),
    (b"Rar!", _PACKED),
    (b"\xfd7zXZ", _PACKED),
)
_SUFFIXES = {
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".pkl": _TORCH,
    ".pickle": _TORCH,
    ".ckpt": _TORCH,
    ".h5": _KERAS,
    ".keras": _KERAS,
    ".tflite": _TFLITE,
    ".param": _NCNN,
    ".mlmodel": _CORE_ML,
    ".caffemodel": _CAFFE,
    ".prototxt": _CAFFE,
    ".xml": _OPENVINO,
    ".safetensors": _TENSORS,
}
NEWEST_PICKLE = 5
_PROTOTXT = re.compile(rb"^\s*layers?\s*\{", re.MULTILINE)
# Numbers of fields: ModelProto (ONNX), Model (Core ML), GraphDef (TensorFlow), NetParameter (Caffe)
ONNX_GRAPH = 7
CORE_ML_KINDS = frozenset(range(200, 4000))
NODE_NAME = b"\n"  # the key of field 1, a string, of the first NodeDef
CAFFE_LAYER, CAFFE_OLD_LAYER = 100, 2
CAFFE_FIELDS = {*range(1, 9), CAFFE_LAYER}
HEAD_BYTES = 512


def refuse_foreign(file: IO[bytes], filename: str) -> bool:
    """Let through what may be ONNX or a zip with ONNX in it; whether it is a zip.

    Raises:
        InvalidModel: an empty file.
        UnsupportedModel: a file of another kind; the message says which and what to do.
    """
    head = file.read(HEAD_BYTES)
    size = file.seek(0, io.SEEK_END)
    if not head:
        raise InvalidModel(f"{filename} is empty.")
    packed = head.startswith(ZIP)
    known = _by_entries(file) if packed else _by_content(head, size)
    known = known or (None if packed else _by_fields(file))
    known = known or _SUFFIXES.get(PurePath(filename).suffix.lower())
    if known:
        what, remedy = known
        raise UnsupportedModel(f"{filename} is {what}; Lathe takes ONNX models.", remedy)
    return packed


def _by_content(head: bytes, size: int) -> tuple[str, str] | None:
    for prefix, known in _PREFIXES:
        if head.startswith(prefix):
            return known
    if head[4:8] == b"TFL3":
        return _TFLITE
    if head[0] == 0x80 and len(head) > 1 and head[1] <= NEWEST_PICKLE:
        return _TORCH
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return _TENSORS
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if _PROTOTXT.search(head):
        return _CAFFE
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<script")):
        return _HTML
    return _OPENVINO if start.startswith((b"<?xml", b"<net")) else None


def _by_fields(file: IO[bytes]) -> tuple[str, str] | None:
    """Told by the outermost fields of a protobuf message, where they are not those of ONNX."""
    fields = outline(file)
    of = {field.number: field for field in reversed(fields)}
    first = of.get(1)
    if first is None or ONNX_GRAPH in of:
        return None
    if first.wire == VARINT:  # a version, as in ONNX
        if CORE_ML_KINDS & of.keys():
            return _CORE_ML
        saved = first.value == 1 and of.keys() == {1, 2}
        return _TENSORFLOW if saved else None
    if first.wire != LENGTH:
        return None
    if CAFFE_LAYER in of:
        return _CAFFE
    if of.keys() <= {1, 2, 3, 4} and first.start[:1] == NODE_NAME:
        return _FROZEN
    several = sum(field.number == CAFFE_OLD_LAYER for field in fields) > 1
    return _CAFFE if several and of.keys() <= CAFFE_FIELDS else None


def _by_entries(file: IO[bytes]) -> tuple[str, str] | None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [PurePath(name).name for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None  # judged as a zip later, with a better message
    if any(name.endswith(".onnx") for name in names):
        return None
    if any(name.endswith(".pkl") for name in names):
        return _TORCH
    if "config.json" in names and any(name.endswith(".h5") for name in names):
        return _KERAS
    if any(name.endswith(".mlmodel") for name in names):
        return _CORE_ML
    if any(name.endswith((".caffemodel", ".prototxt")) for name in names):
        return _CAFFE
    if "saved_model.pb" in names:
        return _TENSORFLOW
    return _ARRAYS if names and all(name.endswith(".npy") for name in names) else None
