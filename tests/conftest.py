"""Tests keep off the lock that real measurements hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.process import lock


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "lathe-measure.lock"
    monkeypatch.setattr(lock, "path", lambda: path)
    return path
