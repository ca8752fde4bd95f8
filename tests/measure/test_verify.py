"""A fast wrong answer never becomes a number: a fault of a backend is a row with its reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import CoreError, InferenceFailed
from core.measure import (
    LatencyJob,
    Setting,
    Source,
    Verifier,
    accuracy_failed,
    latency,
    startup,
)
from core.measure.evaluation import evaluate
from core.measure.verify import BOUNDS, FEEDS, bound, compare, relative_rms
from core.passes.convert_precision import ConvertPrecision
from core.records import Measurement, ModelSummary, Status
from core.worker import client
from tests.builders import rewrite
from tests.measure.subjects import admitted, net, use_fakes

ONE = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


# Comparing


def test_the_distance_is_the_rms_of_the_difference_over_that_of_the_reference():
    assert relative_rms(ONE, ONE) == 0
    assert relative_rms(ONE, ONE * 1.05) == pytest.approx(0.05)
    assert relative_rms(np.ones(100), np.ones(100) + 0.3) == pytest.approx(0.3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_must_be_so_on_both_sides(value: float):
    spoiled = ONE.copy()
    spoiled[0, 0] = value
    assert relative_rms(ONE, spoiled) == relative_rms(spoiled, ONE) == np.inf
    assert relative_rms(spoiled, spoiled) == 0
    other = np.where(np.isfinite(spoiled), spoiled, np.inf if value != np.inf else np.nan)
    assert relative_rms(spoiled, other) == np.inf


def test_zeros_and_empty_outputs():
    assert relative_rms(np.zeros(4), np.zeros(4)) == 0
    assert relative_rms(np.zeros(4), np.ones(4)) > 1
    assert relative_rms(np.zeros((0, 4)), np.zeros((0, 4))) == 0


def test_integers_and_truths():
    assert relative_rms(np.array([1, 2]), np.array([1, 2])) == 0
    assert relative_rms(np.array([True, False]), np.array([False, False])) == 1
    assert relative_rms(np.array(["a"]), np.array(["a"])) == 0
    assert relative_rms(np.array(["a"]), np.array(["b"])) == np.inf


def test_every_output_is_held_to_the_bound():
    reference = {"0_0": ONE, "0_1": ONE}
    compare(reference, {"0_0": ONE * 1.005, "0_1": ONE}, BOUNDS["f32"])
    with pytest.raises(InferenceFailed, match=r"5\.0% away"):
        compare(reference, {"0_0": ONE, "0_1": ONE * 1.05}, BOUNDS["f32"])
    with pytest.raises(InferenceFailed, match="shape"):
        compare(reference, {"0_0": ONE}, 1.0)
    with pytest.raises(InferenceFailed, match="shape"):
        compare(reference, {"0_0": ONE, "0_1": ONE[:2]}, 1.0)
    compare(reference, {"0_0": ONE.reshape(-1), "0_1": ONE}, BOUNDS["f32"])


def test_bounds_widen_with_fewer_bits(tmp_path: Path):
    model = admitted(net(), tmp_path)
    f32, bf16 = Setting.of("openvino"), Setting.of("openvino:bf16")
    assert bound(model, f32) < bound(model, bf16) < bound(replace(model, quantized=True), f32)
    half, _ = rewrite(net(), ConvertPrecision())
    assert bound(admitted(half, tmp_path, "half"), f32) == bound(model, bf16)


# Faults of a backend, through a real worker


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSummary:
    use_fakes(monkeypatch)
    return admitted(net(), tmp_path)


def never() -> bool:
    return False


def measure(model: ModelSummary, fault: str) -> list[Measurement]:
    setting = Setting.of(f"fake_{fault.replace(' ', '_')}")
    job = LatencyJob(model, model, setting, Source(), budget_s=0.2)
    emitted: list[list[Measurement]] = []
    rows = latency(job, Verifier(Source(), never), emitted.append, never)
    assert emitted[-1] == rows
    return rows


def said(row: Measurement) -> str:
    """The kind of the error, which is kept for programs, and the sentence for people."""
    assert row.detail["error"] not in row.reason
    return f"{row.detail['error']}: {row.reason}"


@pytest.mark.parametrize("fault", ["none", "renames", "chatter"])
def test_what_is_right_becomes_a_number(model: ModelSummary, fault: str):
    rows = measure(model, fault)
    assert {row.metric for row in rows} == {"latency_ms", "latency_ratio"}
    assert all(row.value > 0 for row in rows)


FAILURES = {
    "wrong": (Status.FAILED, "InferenceFailed: Its output is wrong: "),
    "slightly wrong": (Status.FAILED, "5.0% away from ONNX Runtime's"),
    "nan": (Status.FAILED, "InferenceFailed: Its output is wrong: "),
    "short": (Status.FAILED, "InferenceFailed: "),
    "silent": (Status.FAILED, "InferenceFailed: It gave 0 outputs"),
    "lies": (Status.FAILED, "computes in bf16, not in f32"),
    "segv": (Status.FAILED, "WorkerCrashed: While running: "),
    "segv while loading": (Status.FAILED, "WorkerCrashed: While loading: "),
    "no conversion": (Status.FAILED, "ConversionFailed: fake has no layer for Conv."),
    "missing": (Status.UNAVAILABLE, "BackendUnavailable: fake is not installed. pip install fake"),
}


@pytest.mark.parametrize("fault", FAILURES)
def test_a_fault_is_a_row_with_its_reason(model: ModelSummary, fault: str):
    status, words = FAILURES[fault]
    rows = measure(model, fault)
    assert [row.metric for row in rows] == ["latency_ms", "latency_ratio"]
    for row in rows:
        assert (row.status, row.value, row.low, row.high) == (status, None, None, None)
        assert words in said(row)
        assert row.condition["threads"] == "1"


def test_a_hang_is_a_row_too(model: ModelSummary, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "RUN_CPU_S", 0.3)
    (row, _) = measure(model, "hang")
    assert row.status is Status.FAILED
    assert "WorkerTimeout: While running: " in said(row)


@pytest.mark.parametrize("fault", ["segv", "no conversion", "missing"])
def test_starting_up_fails_as_rows(model: ModelSummary, fault: str):
    rows = startup(model, Setting.of(f"fake_{fault.replace(' ', '_')}"), Source(), never)
    status, words = FAILURES[fault]
    assert [row.metric for row in rows] == ["load_ms", "first_ms", "peak_memory_bytes"]
    assert all(row.status is status and row.value is None for row in rows)
    assert all(words.partition(": While")[0] in said(row) for row in rows)


def test_a_wrong_backend_has_no_accuracy(model: ModelSummary, tmp_path: Path):
    images = tmp_path / "images.npz"
    np.savez(images, images=np.zeros((4, 8, 8, 3), np.uint8))
    setting, source = Setting.of("fake_wrong"), Source(images, "set")
    with pytest.raises(CoreError) as raised:
        evaluate(
            model, setting, source, Verifier(source, never), tmp_path / "caches",
            lambda _: None, never,
        )  # fmt: skip
    for labels, metric in ((np.zeros(4, np.int64), "top1"), (None, "agreement")):
        (row,) = accuracy_failed(model, setting, raised.value, "set", model.digest, labels)
        assert (row.metric, row.status, row.value) == (metric, Status.FAILED, None)
        assert "Its output is wrong" in row.reason
    assert not list((tmp_path / "caches" / "outputs").iterdir())


def test_a_model_is_checked_once_for_each_backend(model: ModelSummary, monkeypatch):
    loads: list[str] = []
    load = client.Worker.load

    def counted(self, slot, model, setting):
        loads.append(slot)
        return load(self, slot, model, setting)

    monkeypatch.setattr(client.Worker, "load", counted)
    verifier = Verifier(Source(), never)
    for _ in range(2):
        with client.Worker(model, never) as worker:
            worker.prepare(model, Source(), FEEDS)
            worker.load("model", model, Setting.of("fake_none"))
            verifier.check(worker, "model", model, Setting.of("fake_none"))
    assert loads.count("reference") == 1


def test_answers_are_kept_of_the_baseline_and_of_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Runs:
        """A worker whose every answer is the same."""

        def run(self, slot: str, out: Path) -> None:
            np.savez(out, **{"0_0": ONE})

    asked: list[str] = []

    def reference(self: Verifier, model: ModelSummary) -> dict[str, np.ndarray]:
        asked.append(model.digest)
        return {"0_0": ONE}

    monkeypatch.setattr(Verifier, "_run_reference", reference)
    model, verifier = admitted(net(), tmp_path), Verifier(Source(), never)
    for backend in ("openvino", "opencv"):
        for digest in ("baseline", "a", "b"):
            one = replace(model, digest=digest)
            verifier.check(Runs(), "model", one, Setting.of(backend))
    assert asked == ["baseline", "a", "b", "a", "b"]
    assert len(verifier._outputs) == 2


def test_what_the_reference_does_not_run_is_not_checked_and_not_failed(
    model: ModelSummary, monkeypatch: pytest.MonkeyPatch
):
    def refuses(*_: object) -> None:
        raise InferenceFailed("no kernel for float64.")

    monkeypatch.setattr(Verifier, "_run_reference", refuses)
    for row in measure(model, "none"):
        assert (row.status, row.value) == (Status.UNAVAILABLE, None)
        assert row.reason.startswith("Not checked: ONNX Runtime, the reference, does not run this")
