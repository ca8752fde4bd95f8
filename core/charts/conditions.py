"""Measuring conditions in words: the shape of the input, threads, settings, a crowded machine."""

from __future__ import annotations

import re

from core.records import Measurement, Run

BETWEEN = re.compile(r"(?<=\d)x(?=\d)")  # the sizes of a shape


def crowd_words(row: Measurement | None) -> str:
    """What others took of the cores while it was timed; empty on a quiet machine."""
    return str(row.detail.get("note", "")) if row is not None and row.detail.get("busy") else ""


def input_words(row: Measurement | None) -> str:
    """The shape of what went in, the batch first: "1×3×224×224"; empty where it was not kept."""
    return BETWEEN.sub("×", row.condition.get("input", "")) if row is not None else ""


def run_input(run: Run) -> str:
    """The shape that the times of a run are of: "input 1×3×224×224"; empty before the first."""
    found = {input_words(row) for row in run.measurements if row.metric == "latency_ms"} - {""}
    return f"input {' and '.join(sorted(found))}" if found else ""


def settings_words(row: Measurement) -> str:
    """How the runtime was set, as it told: "threads 2, spinning on, the default"."""
    settings = row.detail.get("settings") or {}
    return "; ".join(f"{name} {value}" for name, value in settings.items())


def threads_text(threads: int) -> str:
    """A thread count in words; 0 stands for all cores."""
    if threads == 0:
        return "all cores"
    return "1 thread" if threads == 1 else f"{threads} threads"
