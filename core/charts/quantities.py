"""Measured quantities as a person reads them: their names, and numbers with a unit that suits."""

from __future__ import annotations

from collections.abc import Mapping

from core.charts import text
from core.measure import METRICS
from core.metrics.base import DELTA, catalogue

_OF_FILES_AND_TIMES = {
    "size_bytes": "file size",
    "zipped_bytes": "zipped size",
    "parameters": "parameters",
    "macs": "MACs",
    "nodes": "nodes",
    "load_ms": "time to load",
    "first_ms": "first prediction",
    "peak_memory_bytes": "peak memory",
    "latency_ms": "median latency",
    "latency_ratio": "latency against the original",
}
MEANINGS: Mapping[str, str] = {
    "size_bytes": "bytes of the file, external data included",
    "zipped_bytes": "bytes of the file in a .zip, as an app would ship it",
    "parameters": "numbers that the model holds",
    "macs": "multiplications with an addition, for one image",
    "nodes": "operators of the graph",
    "load_ms": "time from the file to a session that can be asked",
    "first_ms": "time of the first call, which often prepares what later ones use",
    "peak_memory_bytes": "most memory of the process while it loads and runs the model",
    "latency_ms": "median time of a call, with p90 and p99",
    "latency_ratio": "latency of the candidate divided by the baseline's, timed in turns",
}
NAMES: Mapping[str, str] = {
    **_OF_FILES_AND_TIMES,
    **{metric: about.label for metric, about in catalogue().items()},
    **{
        metric + DELTA: f"{about.short} against the original"
        for metric, about in catalogue().items()
        if about.paired
    },
}


def axis(metric: str) -> str:
    """What an axis of a metric of outputs says: "top-1 (%)", "agreement with the original (%)"."""
    about = catalogue()[metric]
    relation = " with the original" if about.relative and about.unit == "%" else ""
    return f"{about.short}{relation} ({about.unit})"


def title(metric: str) -> str:
    """A metric of outputs where a sentence or a tile begins: "Top-1", "mIoU"."""
    short = catalogue()[metric].short
    is_word = short.split(" ")[0].split("-")[0].islower()
    return short[:1].upper() + short[1:] if is_word else short


def name(metric: str) -> str:
    """What a person calls a metric; one that is not known keeps its identifier."""
    return NAMES.get(metric, metric)


def reading(metric: str, value: float | None) -> str:
    """A number with its unit: 1.21 MB, 0.386 ms, −1.6 points; empty where there is none."""
    if value is None:
        return ""
    unit = METRICS[metric].unit if metric in METRICS else ""
    if unit == "B":
        return text.quantity(value, text.BYTES)
    if unit in ("%", "dB"):
        return f"{value:.1f} {unit}".replace("-", text.MINUS)
    if unit == "points":
        return f"{text.signed(value)} points"
    if unit == "x":
        return f"×{value:.2f}"
    if unit:
        return f"{text.number(value)} {unit}"
    return text.quantity(value, text.COUNT)


def interval(metric: str, low: float | None, high: float | None) -> str:
    """A 95 % interval with its unit; empty where there is none, as for what is counted."""
    if low is None or high is None or low == high:
        return ""
    first, second = reading(metric, low), reading(metric, high)
    unit = first.rpartition(" ")[2]
    if " " in first and second.endswith(f" {unit}"):
        first = first.removesuffix(f" {unit}")
    return f"{first} … {second}"
