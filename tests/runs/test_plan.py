"""The baseline's latency is known on every backend that runs it, even where no candidate runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import BackendError
from core.measure import LatencyJob, Source, host, rows
from core.metrics.base.intervals import Interval
from core.records import Measurement, ModelSummary
from core.runs import plan
from core.runs.plan import Comparison


def summary(name: str) -> ModelSummary:
    return ModelSummary(name, name, Path(name), (), (), 17, 8, "test", 1, 1, 1, 1, 0)


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch):
    """Models whose name begins with "broken" do not run; returns what was timed."""
    timed: list[str] = []

    def latency(job: LatencyJob, _, emit, __) -> list[Measurement]:
        timed.append(job.candidate.name)
        if job.candidate.name.startswith("broken"):
            error = BackendError("It does not run.", "")
            found = [rows.failed(job.candidate.digest, "null", "latency_ms", error, job.condition)]
        else:
            found = [
                rows.measured(
                    one.digest, "null", "latency_ms", Interval(1, 1, 1), "perf_counter",
                    job.condition, {}, "",
                )
                for one in (job.baseline, job.candidate)
            ]  # fmt: skip
        emit(found)
        return found

    monkeypatch.setattr(plan, "latency", latency)
    return timed


@pytest.mark.parametrize(
    ("candidates", "timed"),
    [
        (("broken", "broken too"), ["broken", "broken too", "baseline"]),
        (("broken", "sound"), ["broken", "sound"]),
        (("sound", "broken"), ["sound", "broken"]),
        ((), ["baseline"]),
    ],
)
def test_the_baseline_is_timed_alone_only_where_nothing_else_gave_its_time(
    stopwatch, candidates, timed
):
    models = tuple((name, summary(name)) for name in ("baseline", *candidates))
    emitted: list[Measurement] = []
    comparison = Comparison(models, ("null",), (1,), Source(), None, Path(), 1.0, lambda: False)
    for unit in comparison.units():
        if unit.kind.startswith("latency"):
            unit.run(emitted.extend, lambda message: None)
    assert stopwatch == timed
    assert any(row.candidate == "baseline" and row.value is not None for row in emitted)


def test_a_row_says_which_device_and_backend_it_comes_from(stopwatch):
    models = (("baseline", summary("baseline")),)
    comparison = Comparison(models, ("null",), (2,), Source(), None, Path(), 1.0, lambda: False)
    emitted: list[Measurement] = []
    for unit in comparison.units():
        if unit.kind.startswith(("latency", "accuracy")):
            unit.run(emitted.extend, lambda message: None)
    assert {row.metric: row.target for row in emitted} == {
        "sqnr_db": host().target("null"),
        "latency_ms": host().target("null", 2),
    }  # fmt: skip


def test_a_person_is_told_what_is_measured_and_where_in_words():
    models = tuple((name, summary(name)) for name in ("baseline", "int8 safe"))
    comparison = Comparison(
        models, ("onnxruntime",), (2,), Source(), None, Path(), 1.0, lambda: False
    )
    labels = [unit.label for unit in comparison.units()]
    assert "Accuracy of the original on ONNX Runtime" in labels
    assert "Latency of int8 safe on ONNX Runtime, 2 threads" in labels
    assert not any(word in label for label in labels for word in ("baseline", "onnxruntime"))
