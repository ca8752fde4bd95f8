"""`optimize --package`: what it writes, and what it refuses before any work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from core import graph as graphs
from core.cli import main
from tests.measure.subjects import net
from tests.package import shipped

Lathe = Callable[..., tuple[int, str, str]]


@pytest.fixture
def optimize(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch) -> Lathe:
    """`optimize net.onnx -o out.onnx --simplify` with more; status, answer, errors."""
    monkeypatch.setenv("LATHE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    graphs.save(net(), tmp_path / "net.onnx")

    def call(*more: object) -> tuple[int, str, str]:
        status = main(["optimize", "net.onnx", "-o", "out.onnx", "--simplify", *map(str, more)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.mark.backend
def test_a_folder_holds_the_model_and_its_program(optimize: Lathe, tmp_path: Path):
    place = tmp_path / "shipped"
    status, out, said = optimize("--package", place, "--target", "openvino", "--json")
    assert status == 0, said
    found = json.loads(out)["package"]
    assert (found["path"], found["target"]) == (str(place), "openvino")
    assert {*found["files"]} == {file.name for file in place.iterdir()}
    assert (place / "model.onnx").read_bytes() == (tmp_path / "out.onnx").read_bytes()
    assert "OpenVINO reads it" in found["check"]
    assert "not measured" in (place / "README.md").read_text()
    assert len(shipped.answer(place, shipped.picture(tmp_path))) == 5


@pytest.mark.backend
def test_a_zip_for_the_reference_where_nothing_else_is_named(optimize: Lathe, tmp_path: Path):
    status, out, said = optimize("--package", "p.zip")
    assert status == 0, said
    assert "package     p.zip for ONNX Runtime: " in out
    folder = shipped.opened(tmp_path / "p.zip", tmp_path / "unpacked")
    assert "onnxruntime==" in (folder / "requirements.txt").read_text()
    assert shipped.answer(folder, shipped.picture(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "openvino"], "give both"),
        (["--package", "nowhere/p.zip"], "no such folder"),
        (["--package", "full"], "new or an empty folder"),
        (["--package", "p.zip", "--target", "nothing"], "no backend named"),
        (["--package", "p.zip", "--target", "null"], "no program"),
        (["--package", "p.zip", "--target", "onnxruntime@openvino_ir"], "does not read"),
    ],
)
def test_what_cannot_be_written_is_refused_first(
    optimize: Lathe, tmp_path: Path, arguments: list[str], said: str
):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    status, _, error = optimize(*arguments)
    assert status == 2
    assert said in error
    assert not (tmp_path / "out.onnx").exists()
    assert not (tmp_path / "p.zip").exists()
