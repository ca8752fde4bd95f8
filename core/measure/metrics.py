"""The quantities that Lathe measures, with their units; those of outputs are found by file."""

from __future__ import annotations

from collections.abc import Mapping

from core.metrics.base import definitions
from core.records import Better, Metric

_LOWER = Better.LOWER

_OF_FILES_AND_TIMES = {
    metric.name: metric
    for metric in (
        Metric("size_bytes", "B", _LOWER),
        Metric("zipped_bytes", "B", _LOWER),
        Metric("parameters", "", _LOWER),
        Metric("macs", "", _LOWER),
        Metric("nodes", "", _LOWER),
        Metric("load_ms", "ms", _LOWER),
        Metric("first_ms", "ms", _LOWER),
        Metric("peak_memory_bytes", "B", _LOWER),
        Metric("latency_ms", "ms", _LOWER),
        Metric("latency_ratio", "x", _LOWER),
    )
}

METRICS: Mapping[str, Metric] = {**_OF_FILES_AND_TIMES, **definitions()}
