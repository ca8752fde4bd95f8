"""The quantities that Lathe measures, with their units."""

from __future__ import annotations

from collections.abc import Mapping

from core.records import Better, Metric

_LOWER, _HIGHER = Better.LOWER, Better.HIGHER

METRICS: Mapping[str, Metric] = {
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
        Metric("top1", "%", _HIGHER),
        Metric("top5", "%", _HIGHER),
        Metric("top1_delta", "points", _HIGHER),
        Metric("agreement", "%", _HIGHER),
        Metric("sqnr_db", "dB", _HIGHER),
        Metric("latency_ms", "ms", _LOWER),
        Metric("latency_ratio", "x", _LOWER),
    )
}
