"""A sweep as a table: one record per recipe and backend, with both sides of the trade-off."""

from __future__ import annotations

from typing import Any

from core.charts import palette
from core.charts.conditions import input_words
from core.metrics.base import DELTA, catalogue
from core.recipes import name_of
from core.records import LIVE, Measurement, Outcome, Run
from core.records.standing import Standing, baseline, first_threads, measured
from core.search.pareto import latency, points
from core.tasks.base import primary_metric


def sweep_rows(run: Run) -> list[dict[str, Any]]:
    """Every recipe on every backend; what has no number has its reason."""
    rows = Standing(run)
    front = {(p.digest, p.backend) for p in points(run) if p.front}
    records = []
    for outcome in run.outcomes:
        if outcome.candidate is None:
            records.append(_blank(run, outcome))
            continue
        for backend in run.spec.backends:
            on_front = (outcome.candidate.digest, backend) in front
            records.append(_record(run, rows, outcome, backend, on_front))
    return records


def _record(
    run: Run, rows: Standing, outcome: Outcome, backend: str, on_front: bool
) -> dict[str, Any]:
    digest = outcome.candidate.digest if outcome.candidate else ""
    base, threads = baseline(run), first_threads(run)
    metric = primary_metric(rows)
    gained = rows.row(digest, metric, backend)
    lost = rows.row(digest, metric + DELTA, backend)
    spent = latency(run, rows, digest, backend, threads)
    first = base is not None and base.digest == digest
    alone = first and catalogue()[metric].relative  # it has no score, and needs none
    ratio = rows.row(digest, "latency_ratio", backend, threads)
    size = rows.value(digest, "size_bytes")
    zipped = rows.value(digest, "zipped_bytes")
    macs = outcome.summary.macs if outcome.summary else None
    return {
        "recipe": name_of(outcome.recipe),
        "backend": palette.label(backend),
        "on the front": on_front,
        column(metric): measured(gained),
        "change (points)": measured(lost),
        "latency (ms)": measured(spent),
        "input": input_words(spent),
        "ratio (×)": measured(ratio),
        "verdict": str(ratio.detail.get("verdict", "")) if ratio else "",
        "file (MB)": None if size is None else size / 1e6,
        "zipped (MB)": None if zipped is None else zipped / 1e6,
        "MACs (M)": None if macs is None else macs / 1e6,
        "status": _status(run, *([spent] if alone else [gained, spent])),
        "candidate": digest,
    }


def column(metric: str) -> str:
    """What the column of the primary metric is called: "top-1 (%)", "mIoU (%)"."""
    about = catalogue()[metric]
    return f"{about.short} ({about.unit})"


def _status(run: Run, *rows: Measurement | None) -> str:
    if any(row is None for row in rows) and run.progress.state in LIVE:
        return "not measured yet"
    reasons = [f"{row.status.value}: {row.reason}" for row in rows if row and row.reason]
    return reasons[0] if reasons else "ok" if any(rows) else "not measured"


def _blank(run: Run, outcome: Outcome) -> dict[str, Any]:
    numbers = (
        column(primary_metric(Standing(run))), "change (points)", "latency (ms)", "ratio (×)",
        "file (MB)", "zipped (MB)", "MACs (M)",
    )  # fmt: skip
    return {
        "recipe": outcome.recipe.name,
        "backend": "",
        "on the front": False,
        **dict.fromkeys(numbers),
        "input": "",
        "verdict": "",
        "status": f"made no model: {outcome.reason}",
        "candidate": "",
    }
