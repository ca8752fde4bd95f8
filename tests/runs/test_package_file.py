"""A package is of the same bytes whenever it is made, and never held in memory."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from core.errors import StoreError
from core.runs import package_file

TEXTS = {"README.md": "# Größe\n", "predict.py": "print()\n"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(os.urandom(3 << 20))
    return path


def test_it_holds_the_model_the_texts_and_the_sums_of_all(model: Path, tmp_path: Path):
    package_file.write(tmp_path / "out" / "p.zip", {"model.onnx": model}, TEXTS)
    with zipfile.ZipFile(tmp_path / "out" / "p.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["model.onnx", *TEXTS, package_file.SUMS]
        assert archive.read("model.onnx") == model.read_bytes()
        assert archive.read("README.md").decode() == TEXTS["README.md"]
        sums = dict(
            line.split("  ")[::-1] for line in archive.read("SHA256SUMS").decode().split("\n")[:-1]
        )
        assert sums == {
            name: hashlib.sha256(archive.read(name)).hexdigest() for name in ("model.onnx", *TEXTS)
        }
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o644}


def test_the_same_is_the_same_byte_for_byte(model: Path, tmp_path: Path):
    first, second = tmp_path / "a.zip", tmp_path / "b.zip"
    package_file.write(first, {"model.onnx": model}, TEXTS)
    os.utime(model, (0, 0))
    package_file.write(second, {"model.onnx": model}, TEXTS)
    assert first.read_bytes() == second.read_bytes()
    assert package_file.name_of("d", TEXTS) == package_file.name_of("d", dict(TEXTS))
    assert package_file.name_of("d", TEXTS) != package_file.name_of("e", TEXTS)
    assert package_file.name_of("d", TEXTS) != package_file.name_of("d", {**TEXTS, "x": ""})


def test_a_large_model_goes_by_in_pieces(tmp_path: Path):
    model = tmp_path / "net.onnx"
    with model.open("wb") as file:
        file.truncate(100 << 20)  # sparse
    tracemalloc.start()
    try:
        package_file.write(tmp_path / "p.zip", {"model.onnx": model}, TEXTS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * package_file.CHUNK
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        assert archive.getinfo("model.onnx").file_size == 100 << 20


def test_a_model_that_is_a_zip_already_stands_for_its_files(model: Path, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.write(model, "model.onnx")
        archive.writestr("model.onnx.data", b"weights")
    package_file.write(tmp_path / "p.zip", {"model.onnx": tmp_path / "two.zip"}, TEXTS)
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        assert archive.namelist()[:2] == ["model.onnx", "model.onnx.data"]
        assert archive.read("model.onnx.data") == b"weights"
        assert b"model.onnx.data\n" in archive.read("SHA256SUMS")


def test_where_a_file_is_gone_nothing_is_left(tmp_path: Path):
    with pytest.raises(StoreError):
        package_file.write(tmp_path / "p.zip", {"model.onnx": tmp_path / "gone.onnx"}, TEXTS)
    assert not list(tmp_path.iterdir())
