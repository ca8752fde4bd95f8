"""What is said beside the answer: of the original while it is alone, and of a busy machine."""

from __future__ import annotations

from core.charts import palette, text
from core.charts.standing import (
    Standing,
    baseline,
    crowd_words,
    first_threads,
    run_input,
    threads_text,
)
from core.records import Candidate, Run


def original(run: Run) -> str:
    """What is known of the original while nothing else is; empty before it was timed."""
    rows, base = Standing(run), baseline(run)
    said = [
        f"{text.number(row.value)} ms on {palette.label(backend)}"
        for backend in run.spec.backends
        if base is not None
        and (row := rows.row(base.digest, "latency_ms", backend, first_threads(run))) is not None
        and row.value is not None
    ]
    where = threads_text(first_threads(run))
    where = ", ".join(filter(None, (where, run_input(run))))
    return f"The original takes {', '.join(said)} ({where})." if said else ""


def crowd(run: Run, made: Candidate) -> str:
    """A sentence on the backends that were timed while others had the cores."""
    rows = Standing(run)
    found = [
        (palette.label(backend), row)
        for backend in run.spec.backends
        if (row := rows.row(made.digest, "latency_ratio", backend, first_threads(run))) is not None
        and crowd_words(row)
    ]
    if not found:
        return ""
    worst = max((row for _, row in found), key=lambda row: row.detail.get("waited_share", 0.0))
    who = " and ".join(label for label, _ in found)
    was = "were" if len(found) > 1 else "was"
    return f" While {who} {was} timed, {crowd_words(worst)}; measure again when it is quiet."
