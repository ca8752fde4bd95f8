"""Sizes: counted, not sampled."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.measure import (
    METRICS,
    Setting,
    Source,
    footprint,
    host,
    int8_outlook,
    sizes,
    startup,
    zipped_bytes,
)
from core.records import Host, Status
from tests.measure.subjects import admitted, net


def test_every_size_is_exact(tmp_path: Path):
    model = admitted(net(), tmp_path)
    rows = {row.metric: row for row in sizes(model)}
    assert rows["size_bytes"].value == model.path.stat().st_size
    assert rows["parameters"].value == 8 * 27 + 8 + 6 * 8 + 6
    assert rows["macs"].value == 64 * 8 * 27 + 6 * 8
    assert rows["nodes"].value == 5
    for row in rows.values():
        assert row.metric in METRICS
        assert (row.status, row.clock) == (Status.OK, "exact")
        assert row.low == row.value == row.high


@pytest.mark.backend
def test_peak_memory_is_that_of_the_worker_whatever_its_parent_holds(tmp_path: Path):
    model, setting = admitted(net(), tmp_path), Setting.of("onnxruntime")

    def peak() -> float:
        return startup(model, setting, Source(), lambda: False)[-1].value or 0.0

    held = np.ones(600 << 20, np.uint8)
    fat = peak()
    del held
    assert 10 << 20 < fat < 300 << 20  # an interpreter takes more than ten, a runtime a hundred
    assert fat == pytest.approx(peak(), rel=0.2)


@pytest.mark.parametrize("content", [b"", b"\0" * 3_000_000, random.Random(0).randbytes(100_000)])
def test_zipped_is_what_a_zip_takes(tmp_path: Path, content: bytes):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m", content)
    (entry,) = zipfile.ZipFile(whole).infolist()
    assert zipped_bytes(path) == pytest.approx(entry.compress_size, abs=16)


def test_the_host_is_one_record_with_a_short_name():
    assert host() == host()
    assert host().cores >= 1
    assert "onnxruntime" in host().versions
    assert host().device.id != Host("other", (), 1, "Linux").device.id


@pytest.mark.parametrize(
    ("flags", "words"),
    [(("AVX-512 VNNI",), "two to four times"), (("AVX2",), "No VNNI"), ((), "save size, not time")],
)
def test_what_int8_can_gain_here(flags: tuple[str, ...], words: str):
    assert words in int8_outlook(Host("cpu", flags, 1, "Linux"))


def test_a_file_deflated_in_parts_is_as_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes(byte & 63 for byte in random.Random(0).randbytes(600_000)))
    whole = zipped_bytes(path)
    monkeypatch.setattr(footprint, "CHUNK", 1 << 16)
    monkeypatch.setattr(footprint, "PART", 1 << 17)
    assert zipped_bytes(path) == pytest.approx(whole, rel=2e-3)
