"""Tests keep off the lock that real measurements hold; `--cpu-isa` shows them a lesser CPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.devices.local import isa, lock


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cpu-isa", choices=list(isa.ADDED), help="hold OpenVINO to these instructions"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Before any runtime is imported, in this process and in those of xdist."""
    name = config.getoption("--cpu-isa")
    if name:
        os.environ.update(dict.fromkeys((isa.VARIABLE, *isa.PASSED_ON), name))


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "lathe-measure.lock"
    monkeypatch.setattr(lock, "path", lambda: path)
    return path
