"""Accuracy per backend, in the run's primary metric: against annotations, else the original."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from core.charts import lanes, palette, quantities, text
from core.charts.latency import missing
from core.fidelity import CAP_DB, in_words
from core.metrics.base import DELTA, catalogue, ordered
from core.records import LIVE, Candidate, Measurement, Outcome, Run, Status
from core.records.standing import Standing, baseline, measured, outcome_of
from core.tasks.base import primary_metric

TITLE = "Accuracy per backend"
SAME = "same outputs, bit for bit"


def accuracy_figure(run: Run, candidate: str | None = None) -> go.Figure:
    """The primary metric before and after with 95 % intervals; one against the original alone.

    Args:
        run: with or without numbers yet.
        candidate: digest; without one, the last recipe of the run.
    """
    return lanes.draw(accuracy_panel(run, candidate))


def accuracy_panel(run: Run, candidate: str | None = None) -> lanes.Panel:
    """The data of `accuracy_figure`."""
    if not run.spec.evaluation:
        words = "no data: without evaluation images accuracy is unknown"
        return lanes.Panel(TITLE, message=words)
    outcome = outcome_of(run, candidate)
    if outcome is not None and outcome.candidate is None and run.progress.state not in LIVE:
        return lanes.Panel(TITLE, message=f"This recipe made no model: {outcome.reason}")
    rows = Standing(run)
    metric = primary_metric(rows)
    drawn = [_lane(run, rows, outcome, backend, metric) for backend in run.spec.backends]
    span, ticks = axis_of(metric, drawn)
    return lanes.Panel(
        TITLE,
        drawn,
        subtitle="this recipe's outputs beside the original's"
        if catalogue()[metric].relative
        else "grey original, colour this recipe",
        axis=quantities.axis(metric),
        span=span,
        kind="dots",
        ticks=ticks,
    )


def axis_of(metric: str, drawn: Sequence[lanes.Lane]) -> tuple[tuple[float, float], list[float]]:
    """The span and the ticks of a metric's axis: percent, or decibels from 0 on."""
    if catalogue()[metric].unit == "%":
        return percent_axis(drawn)
    values = [m.value for lane in drawn for m in lane.marks if m.value is not None]
    end = lanes.round_up(max(values, default=40.0))
    return (min(0.0, *values, 0.0), 1.42 * end), [end * part / 4 for part in range(5)]


def percent_axis(drawn: Sequence[lanes.Lane]) -> tuple[tuple[float, float], list[float]]:
    """An axis that begins at a multiple of 5 % below every interval and ends past 100 %.

    The room past 100 % is for the number beside the mark of a good model.
    """
    lows = [
        min(m.value, m.low if m.low is not None else m.value)
        for lane in drawn
        for m in lane.marks
        if m.value is not None
    ]
    start = max(0.0, 5 * math.floor((min(lows, default=80.0) - 1) / 5))
    step = next((step for step in (1, 2, 5, 10, 20) if (100 - start) / step <= 6), 20)
    ticks = [float(tick) for tick in range(int(start), 101) if tick % step == 0]
    return (start, 100 + (100 - start) * 0.42), ticks


def delta_text(row: Measurement | None) -> str:
    """The paired difference in points with its interval: −0.4 points (−0.9 … +0.1)."""
    value = measured(row)
    if row is None or value is None:
        return ""
    words = f"{text.signed(value)} points"
    if row.low is None or row.high is None:
        return words
    return f"{words} ({text.signed(row.low)} … {text.signed(row.high)})"


def _lane(
    run: Run, rows: Standing, outcome: Outcome | None, backend: str, metric: str
) -> lanes.Lane:
    base, made = baseline(run), outcome.candidate if outcome else None
    marks = []
    relative = catalogue()[metric].relative
    if not relative:
        before = rows.row(base.digest, metric, backend) if base else None
        marks.append(mark(run, before, palette.BASELINE, "original"))
    if len(run.spec.recipes) > 1:
        after = rows.row(made.digest, metric, backend) if made else None
        name = outcome.recipe.name if outcome else "candidate"
        extra = _further(rows, made, backend, metric) if made else ""
        marks.append(mark(run, after, palette.color(backend), name, extra))
    note = delta_text(rows.row(made.digest, metric + DELTA, backend)) if made else ""
    if relative and made:
        note = _sqnr(rows, made, backend)
    return lanes.Lane(palette.label(backend), marks, note)


def mark(run: Run, row: Measurement | None, color: str, name: str, extra: str = "") -> lanes.Mark:
    """A number as a dot; the sign for a row that is missing or has none."""
    if row is None:
        words = "not measured yet" if run.progress.state in LIVE else "not measured"
        return lanes.Mark(None, color, words, text.wrap(f"{name}: {words}"))
    value = measured(row)
    if value is None:
        return missing(row, color, name)
    if row.metric == "sqnr_db" and value >= CAP_DB:
        return lanes.Mark(None, color, SAME, text.wrap(f"{name}: {SAME}"))
    unit = catalogue()[row.metric].unit
    reading = f"{value:.1f} {unit}"
    hover = [f"<b>{text.escape(text.shorten(name, 56))}</b>", reading]
    if row.low is not None and row.high is not None and row.low != row.high:
        hover.append(f"95 % interval {row.low:.1f}–{row.high:.1f} {unit}")
    if images := row.condition.get("images"):
        hover.append(f"{text.escape(images)} images")
    if extra:
        hover.append(extra)
    if row.status is Status.UNSTABLE:
        hover.append(text.wrap(row.reason))
    return lanes.Mark(value, color, reading, "<br>".join(hover), row.low, row.high)


def _further(rows: Standing, made: Candidate, backend: str, metric: str) -> str:
    """What else was measured of the same outputs."""
    parts = []
    for other in ordered():
        value = rows.value(made.digest, other, backend)
        if value is not None and other != metric and catalogue()[other].unit == "%":
            parts.append(f"{quantities.axis(other).removesuffix(' (%)')} {value:.1f} %")
    delta = rows.row(made.digest, metric + DELTA, backend)
    if delta is not None and "flips" in delta.detail:
        parts.append(f"{delta.detail['flips']} images flipped")
    parts.append(_sqnr(rows, made, backend))
    return "<br>".join(part for part in parts if part)


def _sqnr(rows: Standing, made: Candidate, backend: str) -> str:
    row = rows.row(made.digest, "sqnr_db", backend)
    value = measured(row) if row else None
    if row is None or value is None:
        return ""
    if not math.isfinite(value) or value >= CAP_DB:
        return SAME
    warning = in_words(value)
    return f"SQNR {value:.1f} dB" + (f", {warning}" if warning else "")
