"""A model is converted once, in a child of its own, and kept under all that decides its bytes."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from core.errors import ConversionFailed, UnsupportedFormat
from core.formats.base import artifacts, catalogue
from core.formats.base.artifacts import Artifacts
from core.records import Artifact, from_json, to_json
from tests.formats import fakes


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in fakes.FORMATS.items():
        monkeypatch.setitem(catalogue(), name, kind)  # type: ignore[arg-type]
    monkeypatch.setattr(artifacts, "MODULE", "tests.formats.fakes")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "models" / "m.onnx"
    path.parent.mkdir()
    path.write_bytes(b"a model")
    return path


def conversions(model: Path) -> int:
    counted = model.parent / fakes.COUNT
    return len(counted.read_text().splitlines()) if counted.exists() else 0


def test_onnx_is_its_own_artifact(model: Path):
    found = Artifacts().of("digest", model, "onnx")
    assert (found.path, found.digest, found.exporter) == (model, "digest", "")
    assert found.size_bytes == len(b"a model")


def test_a_model_is_converted_once_whoever_asks(model: Path, tmp_path: Path):
    first = Artifacts(tmp_path / "kept").of("d1", model, "fake_copy")
    assert Artifacts(tmp_path / "kept").of("d1", model, "fake_copy") == first
    assert conversions(model) == 1
    assert [file.name for file in first.files] == ["model.copy", "model.weights"]
    assert first.size_bytes == len(b"a model") + len(b"beside")
    assert (first.source, first.exporter, first.report) == ("d1", "copier", ("copied",))
    assert from_json(Artifact, to_json(first)) == first


def test_another_source_or_version_is_converted_anew(model: Path, tmp_path: Path, monkeypatch):
    kept = Artifacts(tmp_path / "kept")
    first = kept.of("d1", model, "fake_copy")
    assert kept.of("d2", model, "fake_copy").path != first.path
    monkeypatch.setattr(fakes.Exporter, "version", lambda self: "2")
    assert kept.of("d1", model, "fake_copy").exporter_version == "2"
    assert conversions(model) == 3


def test_what_reads_a_model_for_us_decides_its_bytes_too(monkeypatch):
    before, installed = artifacts.maker("fake_copy"), importlib.metadata.version
    for package in ("onnx", "onnx-ir", "onnxscript"):
        with monkeypatch.context() as patched:
            patched.setattr(
                importlib.metadata,
                "version",
                lambda name, one=package: "0.0.0" if name == one else installed(name),
            )
            assert artifacts.maker("fake_copy") != before
    for folder in ("formats", "graph", "data", "catalogue.py"):
        with monkeypatch.context() as patched:
            patched.setattr(
                artifacts.sources,
                "digest",
                lambda *folders, one=folder: "newer" if one in folders else "as before",
            )
            assert "newer" in artifacts.maker("fake_copy")[-1]


def test_what_is_gone_is_made_again(model: Path, tmp_path: Path):
    kept = Artifacts(tmp_path / "kept")
    first = kept.of("d1", model, "fake_copy")
    first.files[1].unlink()
    assert kept.of("d1", model, "fake_copy") == first
    assert conversions(model) == 2


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("fake_refused", "no layer for Conv"),
        ("fake_dead", "SIGSEGV"),
        ("fake_empty", "wrote no"),
        ("fake_buggy", "KeyError: 'an axis'"),
    ],
)
def test_what_cannot_be_converted_says_why_and_is_not_tried_again(
    model: Path, tmp_path: Path, form: str, words: str
):
    kept = Artifacts(tmp_path / "kept")
    for _ in range(2):
        with pytest.raises(ConversionFailed, match=words):
            kept.of("d1", model, form)
    assert conversions(model) == 1
    assert not list((tmp_path / "kept").iterdir())


def test_a_conversion_ends_when_nobody_wants_it(model: Path, tmp_path: Path):
    class Stop(Exception):
        pass

    def check() -> None:
        if conversions(model):
            raise Stop

    with pytest.raises(Stop):
        Artifacts(tmp_path / "kept").of("d1", model, "fake_hanging", check)
    assert not list((tmp_path / "kept").iterdir())


def test_an_unknown_format_is_said(model: Path):
    with pytest.raises(UnsupportedFormat, match="known: onnx, "):
        Artifacts().of("d1", model, "no_such")
