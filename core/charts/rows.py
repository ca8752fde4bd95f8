"""Every row of a run as flat records: raw for a spreadsheet, readable for a person."""

from __future__ import annotations

from typing import Any

from core.charts import palette, quantities
from core.charts.conditions import crowd_words, input_words, settings_words
from core.measure import METRICS
from core.recipes import ORIGINAL
from core.records import Measurement, Run, Status
from core.records.standing import Standing, baseline

STATUS_WORDS = {
    Status.OK: "ok",
    Status.UNSTABLE: "unstable",
    Status.UNAVAILABLE: "not available",
    Status.FAILED: "failed",
}


def rows_table(run: Run) -> list[dict[str, Any]]:
    """Every standing row and every recipe that made no model, one flat record each.

    Each value stands beside its unit; a record without a value has its status and reason.
    """
    names = {o.candidate.digest: o.recipe.name for o in run.outcomes if o.candidate is not None}
    base = baseline(run)
    if base is not None:
        names[base.digest] = ORIGINAL
    records = [_record(row, names) for row in Standing(run)]
    blank = dict.fromkeys(_COLUMNS, "")
    records += [
        blank
        | {"value": None, "low": None, "high": None}
        | {"recipe": o.recipe.name, "status": STATUS_WORDS[Status.FAILED], "reason": o.reason}
        for o in run.outcomes
        if o.candidate is None
    ]
    return records


def readable_rows(run: Run) -> list[dict[str, str]]:
    """The same rows for a person: quantities by name, each number in one text with its unit."""
    return [
        {
            "recipe": row["recipe"],
            "backend": row["backend"],
            "quantity": quantities.name(row["metric"]),
            "value": quantities.reading(row["metric"], row["value"]),
            "95 % interval": quantities.interval(row["metric"], row["low"], row["high"]),
            "threads": row["threads"],
            "input": row["input"],
            "images": f"{int(row['images']):,}" if row["images"].isdigit() else row["images"],
            "verdict": row["verdict"],
            "machine": row["machine"],
            "status": row["status"],
            "reason": row["reason"],
            "settings": row["settings"],
        }
        for row in rows_table(run)
    ]


_COLUMNS = (
    "recipe", "backend", "metric", "value", "unit", "low", "high", "threads", "input", "images",
    "verdict", "machine", "settings", "status", "reason", "clock", "candidate", "format", "version",
    "device",
)  # fmt: skip


def _record(row: Measurement, names: dict[str, str]) -> dict[str, Any]:
    metric = METRICS.get(row.metric)
    threads = row.condition.get("threads", "")
    name = names.get(row.candidate, row.candidate[:12])
    if "beside" in row.condition:
        beside = row.condition["beside"]
        name += f", beside {names.get(beside, beside[:12])}"
    return {
        "recipe": name,
        "backend": palette.label(row.backend) if row.backend else "",
        "metric": row.metric,
        "value": row.value,
        "unit": metric.unit if metric else "",
        "low": row.low,
        "high": row.high,
        "threads": "all" if threads == "0" else threads,
        "input": input_words(row),
        "images": row.condition.get("images", ""),
        "verdict": str(row.detail.get("verdict", "")),
        "machine": crowd_words(row),
        "settings": settings_words(row),
        "status": STATUS_WORDS[row.status],
        "reason": row.reason,
        "clock": row.clock,
        "candidate": row.candidate,
        "format": row.condition.get("format", ""),
        "version": row.target.version if row.target else "",
        "device": row.target.device if row.target else "",
    }
