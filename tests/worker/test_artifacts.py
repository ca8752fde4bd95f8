"""What a backend loads is made once, and making it is no part of loading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from core.backends.base import catalogue
from core.errors import InferenceFailed
from core.records import RunOptions, TensorSpec, to_json
from core.worker import artifacts, desk
from core.worker.artifacts import artifact
from core.worker.desk import Desk
from tests.worker.fakes import Fake


class Converting(Fake):
    """ONNX Runtime behind a converter that counts its calls."""

    def __init__(self) -> None:
        super().__init__("none")
        self.conversions = 0

    def compile(self, model: Path, out_dir: Path, options: RunOptions) -> Path:
        del options
        self.conversions += 1
        made = out_dir / "model.converted"
        made.write_bytes(model.read_bytes())
        return made


@pytest.fixture
def converting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Converting:
    backend = Converting()
    monkeypatch.setitem(catalogue(), "converting", backend)  # type: ignore[arg-type]
    monkeypatch.setattr(artifacts, "_made", {})
    monkeypatch.chdir(tmp_path)
    return backend


def test_a_model_is_converted_once_for_each_setting(converting: Converting, tmp_path: Path):
    model = tmp_path / "m.onnx"
    model.write_bytes(b"one")
    first = artifact("converting", model, RunOptions(1))
    assert artifact("converting", model, RunOptions(1)) == first
    other = artifact("converting", model, RunOptions(2))
    assert converting.conversions == 2
    assert first != other
    assert first.read_bytes() == other.read_bytes() == b"one"
    model.write_bytes(b"changed")
    assert artifact("converting", model, RunOptions(1)).read_bytes() == b"changed"


def test_a_model_that_is_gone_is_said(converting: Converting, tmp_path: Path):
    with pytest.raises(InferenceFailed, match="cannot be read"):
        artifact("converting", tmp_path / "gone.onnx", RunOptions())


def test_loading_is_timed_from_the_converted_file_on(
    converting: Converting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    order: list[str] = []
    clock = desk.time.perf_counter_ns
    monkeypatch.setattr(desk.time, "perf_counter_ns", lambda: order.append("clock") or clock())
    compiled, loaded = converting.compile, converting.load

    def told(what: str, call: Any) -> Any:
        return lambda *args: order.append(what) or call(*args)

    monkeypatch.setattr(converting, "compile", told("convert", compiled))
    monkeypatch.setattr(converting, "load", told("load", loaded))
    model = tmp_path / "m.onnx"
    model.write_bytes(_double())
    outputs = to_json((TensorSpec("y", "float32", ("N", 2)),))
    asked = {"slot": "a", "backend": "converting", "model": str(model), "threads": 1,
             "precision": "f32", "outputs": outputs}  # fmt: skip
    Desk()._open(asked)
    assert order[:4] == ["convert", "clock", "load", "clock"]


def _double() -> bytes:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[N, 2] x) => (float[N, 2] y)'
    made = onnx.parser.parse_model(f"{text} {{ y = Add(x, x) }}")
    return made.SerializeToString()
