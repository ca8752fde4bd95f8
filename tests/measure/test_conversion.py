"""A backend with a format of its own: converted once, never inside a load time, sized apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.formats.base.artifacts import Artifacts
from core.measure import LatencyJob, Setting, Source, Verifier, latency, startup
from core.measure.metrics import METRICS
from core.records import ModelSummary, Status
from tests.formats.fakes import COUNT
from tests.measure.subjects import admitted, net, use_fakes

SETTING = "fake_converting"


def never() -> bool:
    return False


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ModelSummary, ModelSummary]:
    use_fakes(monkeypatch)
    return admitted(net(), tmp_path, "small"), admitted(net(16), tmp_path, "large")


@pytest.mark.backend
def test_two_files_are_converted_twice_however_often_they_are_loaded(models, tmp_path: Path):
    small, large = models
    kept, setting = Artifacts(tmp_path / "artifacts"), Setting.of(SETTING)
    job = LatencyJob(small, large, setting, Source(), budget_s=0.5)
    rows = latency(job, Verifier(Source(), never, kept), lambda rows: None, never)
    for model in models:
        rows += startup(model, setting, Source(), never, kept)
    assert all(row.value for row in rows), [row.reason for row in rows]
    assert {"latency_ms", "latency_ratio", "load_ms", "first_ms"} <= {row.metric for row in rows}
    lines = (tmp_path / COUNT).read_text().splitlines()
    assert sorted(line.split()[1] for line in lines) == ["large.onnx", "small.onnx"]
    assert str(os.getpid()) not in {line.split()[0] for line in lines}


@pytest.mark.backend
def test_the_size_of_the_converted_file_is_a_row_of_its_own(models, tmp_path: Path):
    small, _ = models
    rows = startup(small, Setting.of(SETTING), Source(), never, Artifacts(tmp_path / "artifacts"))
    (size,) = [row for row in rows if row.metric == "size_bytes"]
    assert size.condition == {"format": "fake_copy"}
    assert size.value == small.path.stat().st_size + len(b"beside")
    assert (size.backend, size.metric in METRICS) == (SETTING, True)


def test_a_failed_conversion_is_a_row_for_each_number(models, tmp_path: Path):
    small, _ = models
    setting = Setting.of("fake_no_conversion")
    rows = startup(small, setting, Source(), never, Artifacts(tmp_path / "artifacts"))
    assert {row.metric for row in rows} == {"load_ms", "first_ms", "peak_memory_bytes"}
    for row in rows:
        assert (row.status, row.value) == (Status.FAILED, None)
        assert row.detail["error"] == "ConversionFailed"
        assert "no layer for Conv" in row.reason
