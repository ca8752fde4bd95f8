"""Size of a file, and what it costs to start: load time, first inference, peak memory."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.data import shape_text
from core.devices.local import lock
from core.errors import CoreError
from core.formats.base.artifacts import Artifacts
from core.measure import rows
from core.metrics.base.intervals import Interval
from core.records import OPEN_SHAPE, Measurement, ModelSummary
from core.records.artifacts import ONNX
from core.records.stored import files_of
from core.worker.client import Cancelled, Worker
from core.worker.setting import Setting, Source

CHUNK = 1 << 20
PART = 64 << 20
STARTUP_METRICS = ("load_ms", "first_ms", "peak_memory_bytes")


def sizes(model: ModelSummary) -> list[Measurement]:
    """Bytes of the file, bytes when zipped, and what was counted in the graph."""
    counted = {
        "size_bytes": model.size_bytes,
        "zipped_bytes": sum(map(zipped_bytes, files_of(model.path))),
        "parameters": model.parameters,
        "macs": model.macs,
        "nodes": model.nodes,
    }
    return [
        rows.unknown(model.digest, metric, OPEN_SHAPE)
        if value is None
        else rows.exact(model.digest, metric, value)
        for metric, value in counted.items()
    ]


def zipped_bytes(path: Path) -> int:
    """Bytes after deflate, as in a zip or an app package; zeros and repeats shrink.

    A large file is deflated in parts, one on each core, which differs by a few bytes a part.
    """
    starts = range(0, path.stat().st_size, PART)
    with ThreadPoolExecutor(os.cpu_count()) as cores:
        return sum(cores.map(lambda start: _deflated(path, start), starts))


def _deflated(path: Path, start: int) -> int:
    """Bytes after deflate of the part that begins at `start`."""
    deflate, total = zlib.compressobj(6), 0
    with path.open("rb") as file:
        file.seek(start)
        for _ in range(0, PART, CHUNK):
            total += len(deflate.compress(file.read(CHUNK)))
    return total + len(deflate.flush())


def startup(
    model: ModelSummary,
    setting: Setting,
    source: Source,
    cancelled: Callable[[], bool],
    artifacts: Artifacts | None = None,
) -> list[Measurement]:
    """Load time, first inference and peak memory in a fresh process; bytes of a converted file.

    Raises:
        Cancelled: the user asked to stop.
    """

    def check() -> None:
        if cancelled():
            raise Cancelled

    condition = {
        "threads": str(setting.options.threads),
        "input": shape_text(model.inputs),
    }
    artifacts = artifacts or Artifacts()
    found: list[Measurement] = []
    try:
        if setting.reads != ONNX:
            with lock.shared(check):
                found.append(_converted(model, setting, artifacts, check))
        place = setting.place
        with place.alone(check), Worker(model, cancelled, artifacts, place) as worker:
            worker.prepare(model, source, 1)
            reply = worker.startup("model", model, setting)
    except CoreError as error:
        return found + [
            rows.failed(model.digest, setting.spec, metric, error, condition)
            for metric in STARTUP_METRICS
        ]
    values = (reply.load_ns / 1e6, reply.first_ns / 1e6, float(reply.peak_bytes))
    clocks = ("perf_counter", "perf_counter", "high_water_mark")
    return found + [
        rows.measured(
            model.digest, setting.spec, metric, Interval(value, value, value), clock, condition,
            {"samples": 1, "settings": dict(reply.settings)},
        )
        for metric, value, clock in zip(STARTUP_METRICS, values, clocks, strict=True)
    ]  # fmt: skip


def _converted(
    model: ModelSummary, setting: Setting, artifacts: Artifacts, check: Callable[[], None]
) -> Measurement:
    """Bytes of the file that this backend is given instead of the ONNX file.

    Raises:
        CoreError: there is no such file.
    """
    artifact = artifacts.of(model.digest, model.path, setting.reads, check, model.inputs)
    size = float(artifact.size_bytes)
    condition = {"format": artifact.format}
    detail = {"digest": artifact.digest, "exporter": artifact.exporter}
    detail |= {"version": artifact.exporter_version}
    return rows.measured(
        model.digest, setting.spec, "size_bytes", Interval(size, size, size), "exact", condition,
        detail,
    )  # fmt: skip
