"""Files of other formats are named by their content, whatever they are called."""

from __future__ import annotations

import io
import zipfile

import pytest

from core.errors import UnsupportedModel
from core.formats.onnx.outline import outline
from core.formats.onnx.recognise import refuse_foreign
from tests.hostile import files


def varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def piece(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def node(name: bytes) -> bytes:
    return piece(1, piece(1, name) + piece(2, b"Conv2D"))


def packed(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return file.getvalue()


META_GRAPH = piece(2, piece(1, b"info") + piece(2, node(b"x")))
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
FOREIGN = [
    (number(1, 1) + META_GRAPH, "SavedModel"),
    (node(b"input") + node(b"conv") + piece(4, number(1, 440)), "frozen TensorFlow graph"),
    (number(1, 4) + piece(2, piece(1, b"image")) + piece(500, b"layers"), "Core ML"),
    (number(1, 7) + piece(2, piece(1, b"image")) + piece(502, b"program"), "Core ML"),
    (piece(1, b"LeNet") + piece(100, b"layer") * 3, "Caffe"),
    (piece(1, b"AlexNet") + piece(2, b"layer") * 3, "Caffe"),
    (b'name: "LeNet"\ninput: "data"\nlayer {\n  name: "conv1"\n}\n', "Caffe"),
    (POINTER, "Git LFS pointer"),
    (packed("net/saved_model.pb", "net/variables/variables.index"), "SavedModel"),
    (packed("net.mlpackage/Data/com.apple.CoreML/model.mlmodel"), "Core ML"),
    (packed("net.prototxt", "net.caffemodel"), "Caffe"),
]


@pytest.mark.parametrize("name", ["model.onnx", "model.bin"])
@pytest.mark.parametrize(("content", "kind"), FOREIGN)
def test_a_foreign_file_is_named_and_says_what_to_do(content, kind, name):
    with pytest.raises(UnsupportedModel, match=kind) as caught:
        refuse_foreign(io.BytesIO(content), name)
    assert caught.value.remedy


def test_an_onnx_file_passes_whatever_it_is_called():
    for name in ("model.onnx", "model", "saved_model.pb"):
        assert refuse_foreign(io.BytesIO(files.GOOD), name) is False


def test_a_file_that_ends_too_early_gives_what_came_before():
    whole = number(1, 8) + piece(2, b"maker") + piece(7, b"x" * 40)
    assert [field.number for field in outline(io.BytesIO(whole))] == [1, 2, 7]
    assert [field.number for field in outline(io.BytesIO(whole[:-5]))] == [1, 2]
    assert outline(io.BytesIO(b"\xff" * 40)) == []
