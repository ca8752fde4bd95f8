"""Latency per backend: the original in grey, the candidate in the backend's colour."""

from __future__ import annotations

import re

import plotly.graph_objects as go

from core.charts import lanes, palette, text
from core.charts.conditions import crowd_words, input_words, run_input, settings_words, threads_text
from core.records import LIVE, MEASURED, Measurement, Outcome, Run, Status, Verdict
from core.records.standing import Standing, baseline, first_threads, measured, outcome_of

TITLE = "Latency per backend"
MOST_LANES = 6
CODE = re.compile(r"^[A-Z]\w+: ")  # of an error: there is room for its words alone
UNSTABLE = " ~"
BUSY = ", machine busy"


def latency_figure(run: Run, candidate: str | None = None, threads: int | None = None) -> go.Figure:
    """Median latency before and after, per backend, with 95 % intervals.

    Args:
        run: with or without numbers yet.
        candidate: digest; without one, the last recipe of the run.
        threads: one thread count; without one all, or the first where all would not fit.
    """
    return lanes.draw(latency_panel(run, candidate, threads))


def latency_panel(
    run: Run, candidate: str | None = None, threads: int | None = None
) -> lanes.Panel:
    """The data of `latency_figure`."""
    outcome = outcome_of(run, candidate)
    if outcome is not None and outcome.candidate is None and run.progress.state not in LIVE:
        return lanes.Panel(TITLE, message=f"This recipe made no model: {outcome.reason}")
    rows = Standing(run)
    counts = _thread_counts(run, threads)
    several = len(counts) > 1
    drawn = [
        _lane(run, rows, outcome, backend, count, several)
        for backend in run.spec.backends
        for count in counts
    ]
    tops = [max(m.value, m.high or 0) for lane in drawn for m in lane.marks if m.value is not None]
    where = "" if several else f" · {threads_text(counts[0])}"
    if any(mark.text.endswith(UNSTABLE) for lane in drawn for mark in lane.marks):
        where += f" ·{UNSTABLE} unstable"
    return lanes.Panel(
        TITLE,
        drawn,
        subtitle=f"grey original, colour this recipe{where}",
        axis=", ".join(filter(None, ("median latency (ms)", run_input(run)))),
        span=(0.0, lanes.round_up(1.3 * max(tops, default=0.77))),
    )


def _thread_counts(run: Run, threads: int | None) -> tuple[int, ...]:
    if threads is not None:
        return (threads,)
    if len(run.spec.threads) * len(run.spec.backends) <= MOST_LANES and run.spec.threads:
        return run.spec.threads
    return (first_threads(run),)


def _lane(
    run: Run, rows: Standing, outcome: Outcome | None, backend: str, threads: int, several: bool
) -> lanes.Lane:
    label = palette.label(backend)
    if several:
        label += f" · {threads_text(threads)}"
    base = baseline(run)
    made = outcome.candidate if outcome else None
    beside = made.digest if made else ""
    before = rows.row(base.digest, "latency_ms", backend, threads, beside) if base else None
    marks = [mark(run, before, palette.BASELINE, "original")]
    if run.spec.recipes and len(run.spec.recipes) > 1:
        after = rows.row(made.digest, "latency_ms", backend, threads) if made else None
        name = outcome.recipe.name if outcome else "candidate"
        marks.append(mark(run, after, palette.color(backend), name))
    ratio = rows.row(made.digest, "latency_ratio", backend, threads) if made else None
    return lanes.Lane(label, marks, note=ratio_text(ratio))


def mark(run: Run, row: Measurement | None, color: str, name: str) -> lanes.Mark:
    """A median latency as a bar; the sign for a row that is missing or has no number."""
    if row is None:
        words = "not measured yet" if run.progress.state in LIVE else "not measured"
        return lanes.Mark(None, color, words, text.wrap(f"{name}: {words}"))
    value = measured(row)
    if value is None:
        return missing(row, color, name)
    reading = f"{text.number(value)} ms"
    hover = [f"<b>{text.escape(text.shorten(name, 56))}</b>", f"median {reading}"]
    interval = text.span(row.low, row.high)
    if interval:
        hover.append(f"95 % interval {interval} ms")
    if shape := input_words(row):
        hover.append(text.wrap(f"input {shape}"))
    hover += [
        f"{key} {text.number(row.detail[key])} ms" for key in ("p90", "p99") if key in row.detail
    ]
    if settings := settings_words(row):
        hover.append(text.wrap(settings))
    if crowd := crowd_words(row):
        hover.append(text.wrap(crowd))
    if row.status is Status.UNSTABLE:
        reading += UNSTABLE
        hover.append(text.wrap(f"unstable: {row.reason}"))
    return lanes.Mark(value, color, reading, "<br>".join(hover), row.low, row.high)


def missing(row: Measurement, color: str, name: str) -> lanes.Mark:
    """The sign for a row without a number: a cross if it failed, a ring if it was not tried."""
    failed = row.status is Status.FAILED
    word = "failed" if failed else "not available"
    return lanes.Mark(
        None,
        color,
        text.shorten(f"{word}: {CODE.sub('', row.reason)}", 38),
        f"<b>{text.escape(text.shorten(name, 56))}</b><br>{text.wrap(f'{word}: {row.reason}')}",
        failed=failed,
    )


def verdict_words(verdict: str) -> str:
    """A verdict as it is said: what is called "same" was only not shown to differ."""
    return "no difference shown" if verdict == Verdict.SAME.value else verdict


def ratio_text(row: Measurement | None) -> str:
    """The verdict in words: 1.9× faster."""
    if row is None or row.value is None or row.status not in MEASURED:
        return ""
    busy = BUSY if crowd_words(row) else ""
    verdict = str(row.detail.get("verdict", ""))
    if verdict == Verdict.FASTER.value and row.value > 0:
        return f"{text.times(1 / row.value)} faster{busy}"
    if verdict == Verdict.SLOWER.value:
        return f"{text.times(row.value)} slower{busy}"
    return f"×{row.value:.2f} {verdict_words(verdict)}".strip() + busy
