"""What nothing refers to is let go, the weights of a large model with its graph."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from core.records.stored import data_of
from core.runs import gc
from core.runs.home import Home
from core.runs.store import Store


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path / "home")


def old(path: Path) -> Path:
    path.write_bytes(b"1234")
    os.utime(path, (0, 0))
    return path


def test_both_files_of_a_model_go_and_stay_together(home: Home) -> None:
    kept, doomed = home.models / f"{'a' * 64}.onnx", home.models / f"{'b' * 64}.onnx"
    for path in (kept, data_of(kept), doomed, data_of(doomed)):
        old(path)
    freed = gc.sweep(home, Store(home.database), frozenset({kept.stem}))
    assert sorted(home.models.iterdir()) == [kept, data_of(kept)]
    assert freed == 8


def test_what_a_dead_process_left_half_written_goes(home: Home) -> None:
    old(home.models / ".abc.part")
    folder = home.models / ".def.part"
    folder.mkdir()
    old(folder / "weights")
    os.utime(folder, (0, 0))
    young = home.models / ".ghi.part"
    young.write_bytes(b"being written")
    gc.sweep(home, Store(home.database))
    assert list(home.models.iterdir()) == [young]


def artifact(home: Home, name: str, size: int, used_s: float) -> Path:
    folder = home.artifacts / name
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"w" * size)
    os.utime(folder, (used_s, used_s))
    return folder


def test_of_the_converted_models_the_one_used_longest_ago_goes(home: Home, monkeypatch) -> None:
    monkeypatch.setattr(gc, "CACHE_BYTES", 150)
    long_ago, lately = artifact(home, "a", 100, 1.0), artifact(home, "b", 100, 2.0)
    fresh = artifact(home, "c", 40, time.time())
    gc.sweep(home, Store(home.database))
    assert not long_ago.exists()
    assert lately.exists()
    assert fresh.exists()


def test_a_converted_model_that_was_just_used_stays(home: Home, monkeypatch) -> None:
    monkeypatch.setattr(gc, "CACHE_BYTES", 10)
    fresh = artifact(home, "c", 40, time.time())
    left = home.artifacts / ".half"
    left.mkdir()
    os.utime(left, (0, 0))
    gc.sweep(home, Store(home.database))
    assert fresh.exists()
    assert not left.exists()
