"""Latency comes in steps and says what it is worth; no time is asserted, only the structure."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from core.devices.local import lock
from core.measure import METRICS, LatencyJob, Setting, Source, Verifier, latency, startup
from core.measure.latency import PAIRS_MOST, PAIRS_NEEDED, sentence
from core.metrics.base.intervals import Interval
from core.records import Measurement, ModelSummary, Status, Verdict
from core.worker.client import Cancelled, Worker
from core.worker.timing.plan import FULL, SMALLEST, of_pair, shrunk
from tests.measure.subjects import admitted, net


def never() -> bool:
    return False


@pytest.fixture
def pair(tmp_path: Path) -> tuple[ModelSummary, ModelSummary]:
    return admitted(net(), tmp_path, "small"), admitted(net(64), tmp_path, "large")


def job(a: ModelSummary, b: ModelSummary, threads: int = 1, budget_s: float = 0.6) -> LatencyJob:
    return LatencyJob(a, b, Setting.of("onnxruntime", threads), Source(), budget_s)


def measured(a: ModelSummary, b: ModelSummary, threads: int = 1) -> list[list[Measurement]]:
    emitted: list[list[Measurement]] = []
    rows = latency(job(a, b, threads), Verifier(Source(), never), emitted.append, never)
    assert rows == emitted[-1]
    return emitted


@pytest.mark.backend
def test_answers_come_in_steps(pair):
    small, large = pair
    emitted = measured(small, large)
    assert 1 + PAIRS_NEEDED <= len(emitted) <= 1 + PAIRS_MOST
    ratios = [next(row for row in rows if row.metric == "latency_ratio") for rows in emitted]
    assert [row.detail["pairs"] for row in ratios] == [1, *range(1, len(emitted))]
    for row in ratios[:PAIRS_NEEDED]:
        assert row.status is Status.UNSTABLE
        assert row.detail["verdict"] == Verdict.NOT_ENOUGH_DATA.value
        assert "first look" in row.reason
    assert "first look" not in ratios[-1].reason


@pytest.mark.backend
@pytest.mark.parametrize("threads", [1, 2, 0])
def test_rows_hold_what_a_reader_needs(pair, threads: int):
    small, large = pair
    *_, rows = measured(small, large, threads)
    assert [(row.metric, row.candidate) for row in rows] == [
        ("latency_ms", small.digest),
        ("latency_ms", large.digest),
        ("latency_ratio", large.digest),
    ]
    for row in rows:
        assert row.metric in METRICS
        assert row.backend == "onnxruntime"
        paired = {"threads": str(threads), "baseline": small.digest, "input": "1x3x8x8"}
        beside = {"beside": large.digest} if row.candidate == small.digest else {}
        assert row.condition == paired | beside
        assert 0 < row.low <= row.value <= row.high
        assert row.clock == "perf_counter"
    for row in rows[:2]:
        detail = row.detail
        assert detail["minimum"] <= row.value <= detail["p90"] <= detail["p99"]
        assert detail["cpu_ms"] > 0
        assert detail["samples"] >= PAIRS_NEEDED * SMALLEST.blocks
    assert rows[2].detail["text"] == sentence(
        Verdict(rows[2].detail["verdict"]), Interval(rows[2].value, rows[2].low, rows[2].high)
    )


@pytest.mark.backend
def test_a_model_against_itself_has_one_latency(pair):
    *_, rows = measured(pair[0], pair[0])
    assert [row.metric for row in rows] == ["latency_ms", "latency_ratio"]


@pytest.mark.backend
def test_a_large_model_beside_itself_is_loaded_once(pair, monkeypatch):
    loaded: list[str] = []
    load = Worker.load

    def noted(worker: Worker, slot: str, model: ModelSummary, setting: Setting) -> object:
        loaded.append(slot)
        return load(worker, slot, model, setting)

    monkeypatch.setattr(Worker, "load", noted)
    measured(pair[0], pair[0])
    assert set(loaded) == {"a", "b"}
    loaded.clear()
    monkeypatch.setattr(importlib.import_module("core.measure.latency"), "LARGE_BYTES", 0)
    *_, rows = measured(pair[0], pair[0])
    assert set(loaded) == {"a"}
    assert [row.metric for row in rows] == ["latency_ms", "latency_ratio"]
    loaded.clear()
    measured(*pair)
    assert set(loaded) == {"a", "b"}


@pytest.mark.backend
def test_cancelling_ends_it_and_frees_the_lock(pair):
    emitted: list[list[Measurement]] = []
    with pytest.raises(Cancelled):
        latency(
            job(*pair, budget_s=60.0), Verifier(Source(), never), emitted.append,
            lambda: bool(emitted),
        )  # fmt: skip
    assert emitted

    def busy() -> None:
        raise AssertionError("the lock is still held")

    with lock.alone(busy):
        pass


@pytest.mark.backend
def test_starting_up_has_three_rows(pair):
    rows = startup(pair[0], Setting.of("onnxruntime"), Source(), never)
    assert [row.metric for row in rows] == ["load_ms", "first_ms", "peak_memory_bytes"]
    for row in rows:
        assert row.status is Status.OK
        assert row.value == row.low == row.high
        assert row.value > 0
        assert row.detail["samples"] == 1
        assert row.detail["settings"]["threads"] == "1"
    assert rows[2].value > 10 << 20  # an interpreter alone takes more
    assert [row.clock for row in rows] == ["perf_counter", "perf_counter", "high_water_mark"]


@pytest.mark.backend
def test_starting_up_on_images(pair, tmp_path: Path):
    np.savez(tmp_path / "set.npz", images=np.zeros((3, 8, 8, 3), np.uint8))
    rows = startup(pair[0], Setting.of("onnxruntime"), Source(tmp_path / "set.npz", "s"), never)
    assert all(row.status is Status.OK for row in rows)


@pytest.mark.parametrize("call_s", [1e-5, 1e-3, 0.02, 0.2, 2.0])
def test_a_plan_fits_the_budget_or_is_the_smallest(call_s: float):
    plan = of_pair(call_s, 12.0 / PAIRS_NEEDED)
    assert SMALLEST.blocks <= plan.blocks <= FULL.blocks
    assert 1 <= plan.quads <= FULL.quads
    sample_s = max(call_s, plan.sample_s)
    one_pair_s = plan.blocks * plan.quads * 4 * sample_s
    assert one_pair_s <= 12.0 / PAIRS_NEEDED or (plan.blocks, plan.quads) == (SMALLEST.blocks, 1)
    if call_s <= 1e-3:
        assert (plan.blocks, plan.quads, plan.warmup) == (FULL.blocks, FULL.quads, FULL.warmup)


def test_a_plan_shrinks_only_where_pairs_take_too_long():
    assert shrunk(FULL, 1.0, 2.0) == FULL
    assert shrunk(FULL, 4.0, 2.0).blocks == 7
    assert shrunk(FULL, 100.0, 1.0).blocks == SMALLEST.blocks


@pytest.mark.parametrize(
    ("word", "interval", "text"),
    [
        (Verdict.FASTER, Interval(0.5, 0.4, 0.6), "2.00x faster"),
        (Verdict.SLOWER, Interval(1.25, 1.2, 1.3), "1.25x slower"),
        (Verdict.SAME, Interval(1.0, 0.99, 1.02), "no difference shown, ±2.0%"),
        (Verdict.NOT_ENOUGH_DATA, Interval(1.0, 0.8, 1.1), "not enough data, ±20.0%"),
    ],
)
def test_the_answer_in_words(word: Verdict, interval: Interval, text: str):
    assert sentence(word, interval) == text
