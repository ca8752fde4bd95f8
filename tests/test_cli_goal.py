"""`optimize --goal`: what it refuses, and what it writes; a made-up workspace searches."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.cli import goal as command
from core.cli import main
from core.records import Run, RunProgress, State
from tests.search.made_up_search import Fate, begun, searched
from tests.search.test_goal import net


@pytest.fixture
def data(tmp_path: Path) -> str:
    np.savez(tmp_path / "data.npz", images=np.zeros((2, 4, 4, 3), np.uint8))
    return str(tmp_path / "data.npz")


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: str, capsys):
    def asked(run: Run, *more: str) -> tuple[int, str, dict[str, Any]]:
        class Fake:
            def __init__(self) -> None:
                self.runs = self.models = self

            def close(self) -> None:
                """Nothing is open."""

            def measure(self, *_: object) -> Run:
                return run

            def take(self, digest: str, out: Path) -> tuple[Path, ...]:
                out.write_text(digest)
                return (out,)

        monkeypatch.setattr(command.Workspace, "open", lambda **_: Fake())
        monkeypatch.setattr(command, "_spec", lambda *_: run.spec)
        monkeypatch.setattr(command, "resumable", lambda *_: None)
        out = str(tmp_path / "out.onnx")
        given = ["optimize", "net.onnx", "-o", out, "--goal", "fastest", "--data", data, *more]
        status = main([*given, "--json"])
        said = capsys.readouterr()
        return status, said.err, json.loads(said.out or "{}")

    return asked


def done(run: Run) -> Run:
    return replace(run, progress=RunProgress(State.DONE, message="Nothing is left to try."))


def test_the_best_model_is_written_and_named(ask, tmp_path: Path):
    status, _, answer = ask(done(searched(begun(), net)))
    best = answer["choices"][0]["best"]
    assert status == 0
    assert (tmp_path / "out.onnx").read_text() == best["digest"]
    assert answer["goal"]["objective"] == "fastest"
    assert best["lost_points"] <= answer["goal"]["max_drop"] == 1.0
    assert len(answer["outcomes"]) == 8


def test_where_no_recipe_reaches_the_goal_nothing_is_written(ask, tmp_path: Path):
    status, said, _ = ask(done(searched(begun(), lambda recipe: Fate(5.0, 0.5))))
    assert status == 2
    assert "no recipe meets the limits; closest:" in said
    assert not (tmp_path / "out.onnx").exists()


def test_what_was_not_tried_is_said(ask):
    status, said, _ = ask(done(searched(begun(calibrated=False), net)))
    assert status == 0
    assert "Prune channels is not tried: it needs calibration images." in said


@pytest.mark.parametrize(("more", "why"), [
    (["--fold-bn"], "leave the passes out"),
    (["--minutes", "0"], "--minutes"),
    (["--max-drop", "-1"], "--max-drop"),
    (["--backend", "nowhere"], "nowhere"),
    (["--format", "openvino_ir"], "--goal writes ONNX"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(ask, more: list[str], why: str):
    status, said, _ = ask(done(searched(begun(), net)), *more)
    assert status == 2
    assert why in said


def test_a_goal_without_images_is_refused(tmp_path: Path, capsys):
    assert main(["optimize", "net.onnx", "-o", str(tmp_path / "o.onnx"), "--goal", "fastest"]) == 2
    assert "--goal needs --data" in capsys.readouterr().err
