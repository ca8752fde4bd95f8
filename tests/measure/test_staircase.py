"""The staircase: the algebra of its differences, its cache, and how it stops; time is made up."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import timings
from core.backends.base import catalogue
from core.devices.local import lock
from core.errors import InferenceFailed, WorkerCrashed
from core.measure import host, staircase
from core.pipeline.client import Workshop
from core.records import Target
from core.timings import Chain, LayerSignature, MicroModel
from core.worker.client import Cancelled
from core.worker.setting import Setting

SETTING = Setting.of("onnxruntime")
CALL_NS, TAP_NS, REFERENCE_NS = 20_000.0, 1_000.0, 50_000.0


def dense(outputs: int) -> Chain:
    return (LayerSignature("Gemm", 8, outputs),)


class Files:
    """Stands for the workshop: a file's name says what is in it."""

    def __init__(self) -> None:
        self.written: list[Chain] = []

    def __call__(self, chains: Sequence[Chain], folder: Path) -> list[MicroModel]:
        self.written += chains
        return [self._model(chain, folder) for chain in chains]

    def _model(self, chain: Chain, folder: Path) -> MicroModel:
        name = {staircase.REFERENCE: "reference", staircase.TAP: "tap"}.get(
            chain, f"{chain[0].outputs}"
        )
        one, many = folder / f"{name}_1.onnx", folder / f"{name}_5.onnx"
        one.touch()
        many.touch()
        return MicroModel(chain, one, many, 5, (), ())


class FakeWorker:
    """A net of Gemms takes `outputs` microseconds a copy; the clock drifts from call to call."""

    drift = 1.0
    dies_at: str = ""
    refuses: str = ""

    def __init__(self, model: object, cancelled: object, device: object) -> None:
        del model, cancelled, device

    def time_files(self, files, setting, plan) -> list[list[float]]:
        del setting
        FakeWorker.drift *= 1.25
        return [[self._ns(path) * FakeWorker.drift] * plan.blocks for path, _ in files]

    def _ns(self, path: Path) -> float:
        name, _, copies = path.stem.partition("_")
        if name == self.dies_at:
            raise WorkerCrashed("killed by signal 11")
        if name == self.refuses:
            raise InferenceFailed("no such kernel")
        layer_ns = {"reference": REFERENCE_NS, "tap": 0.0}.get(name)
        layer_ns = float(name) * 1e3 if layer_ns is None else layer_ns
        return CALL_NS + int(copies) * (layer_ns + TAP_NS)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(staircase, "Worker", FakeWorker)
    monkeypatch.setattr(lock, "path", lambda: tmp_path / "lock")
    monkeypatch.setattr(FakeWorker, "drift", 1.0)
    monkeypatch.setattr(FakeWorker, "dies_at", "")
    monkeypatch.setattr(FakeWorker, "refuses", "")


def test_the_call_the_tap_and_the_drift_cancel(tmp_path: Path):
    chains = [dense(n) for n in (8, 16, 40)]
    table = staircase.measure(chains, SETTING, tmp_path / "t.jsonl", Files())
    first = table.seconds(*staircase.REFERENCE) / (REFERENCE_NS + TAP_NS) * 1e9
    for chain in chains:
        assert table.seconds(*chain) / first == pytest.approx(chain[0].outputs * 1e-6)


def test_nothing_is_timed_twice(tmp_path: Path):
    path, files = tmp_path / "t.jsonl", Files()
    staircase.measure([dense(8), dense(8)], SETTING, path, files)
    assert files.written.count(dense(8)) == 1
    again = Files()
    table = staircase.measure([dense(8)], SETTING, path, again)
    assert again.written == []
    assert table.seconds(*dense(8)) == timings.load(path).seconds(*dense(8))


def test_a_table_that_goes_on_keeps_its_scale(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    before = staircase.measure([dense(8)], SETTING, path, Files())
    after = staircase.measure([dense(16)], SETTING, path, Files())
    assert after.seconds(*dense(16)) == pytest.approx(2 * before.seconds(*dense(8)))


def test_cancelled_half_way_keeps_what_it_has(tmp_path: Path):
    path, done = tmp_path / "t.jsonl", []

    def told(count: int, total: int) -> None:
        done.append((count, total))
        if count == 2:
            raise Cancelled

    chains = [dense(n) for n in (8, 16, 24)]
    with pytest.raises(Cancelled):
        staircase.measure(chains, SETTING, path, Files(), told)
    assert done[-1] == (2, 3)
    kept = timings.load(path)
    assert [chain in kept for chain in chains] == [True, True, False]


@pytest.mark.parametrize(
    ("how", "reason"),
    [("dies_at", "killed by signal 11"),
     ("refuses", "no such kernel")],
)  # fmt: skip
def test_a_layer_that_fails_is_a_row_with_its_reason(tmp_path: Path, monkeypatch, how, reason):
    monkeypatch.setattr(FakeWorker, how, "16")
    chains = [dense(n) for n in (8, 16, 24)]
    table = staircase.measure(chains, SETTING, tmp_path / "t.jsonl", Files())
    assert table.row(dense(16)).reason == reason
    assert table.seconds(*dense(16)) is None
    assert table.seconds(*dense(24)) is not None


def test_a_table_of_another_host_is_begun_anew(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    timings.start(path, Target("elsewhere", "onnxruntime", "0.1", "f32", 1))
    timings.append(path, timings.LayerTime(dense(8), 1.0))
    table = staircase.measure([dense(8)], SETTING, path, Files())
    assert table.target == staircase.target(SETTING)
    assert table.seconds(*dense(8)) != 1.0


def test_each_setting_has_a_file_of_its_own(tmp_path: Path):
    specs = "openvino", "openvino@openvino_ir", "openvino@openvino_ir.fp16"
    settings = [Setting.of("onnxruntime"), Setting.of("onnxruntime", 2), *map(Setting.of, specs)]
    assert len({staircase.cache_path(tmp_path, setting) for setting in settings}) == 5
    assert len({staircase.target(setting) for setting in settings}) == 5


def test_installing_another_runtime_leaves_a_table_as_it_is(tmp_path: Path, monkeypatch):
    before = staircase.cache_path(tmp_path, SETTING)
    staircase.measure([dense(8)], SETTING, before, Files())
    here = host()
    others = replace(here, versions={**here.versions, "another": "1.0"})
    monkeypatch.setattr(staircase, "host", lambda: others)
    assert staircase.cache_path(tmp_path, SETTING) == before
    again = Files()
    staircase.measure([dense(8)], SETTING, before, again)
    assert again.written == []


def test_a_table_of_version_0_1_0_goes_on(tmp_path: Path, monkeypatch):
    version = catalogue()["onnxruntime"].version()
    old = tmp_path / f"{host().digest}-onnxruntime-{version}-1.jsonl"
    head = {"backend": "onnxruntime", "version": version, "threads": 1, "host": host().digest}
    old.write_text(json.dumps(head) + "\n")
    timings.append(old, timings.LayerTime(dense(8), 1.0))
    path = staircase.cache_path(tmp_path, SETTING)
    assert not old.exists()
    table = staircase.measure([dense(8)], SETTING, path, Files())
    assert table.target == staircase.target(SETTING)
    assert table.seconds(*dense(8)) == 1.0
    assert timings.load(path).target == staircase.target(SETTING)
    here = host()
    others = replace(here, versions={**here.versions, "another": "1.0"})
    monkeypatch.setattr(staircase, "host", lambda: others)
    again = Files()
    staircase.measure([dense(8)], SETTING, path, again)
    assert again.written == []


@pytest.mark.backend
def test_a_real_layer_on_a_real_backend(tmp_path: Path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(lock, "path", lambda: tmp_path / "lock")
    conv = LayerSignature("Conv", 32, 32, (3, 3), (1, 1), (1, 1), (1,) * 4, size=(32, 32))
    with Workshop() as shop:
        table = staircase.measure([(conv,)], SETTING, tmp_path / "t.jsonl", shop.micro_models)
    row = table.row((conv,))
    assert not row.reason
    assert row.low <= row.seconds <= row.high
    assert np.isfinite(row.seconds)
