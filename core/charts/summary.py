"""A run in words and numbers: the answer, and the three deltas.

The answer is made from verdicts and intervals, never from a bare point estimate: what is not shown
is not said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.charts import asides, palette, quantities, steps, text
from core.charts.conditions import crowd_words, input_words, threads_text
from core.charts.parts import beside_parts
from core.charts.rows import STATUS_WORDS
from core.metrics.base import DELTA
from core.metrics.base import catalogue as metrics
from core.records import LIVE, MEASURED, Candidate, Measurement, Outcome, Run, Verdict
from core.records.standing import Standing, baseline, first_threads, measured, outcome_of
from core.search.choose import best
from core.search.loss import standing_for
from core.tasks.base import order, primary_metric

NO_DELTA = "–"
UNMEASURED = "not measured"
BUSY = "the machine was busy"
OPEN = "no difference shown"


@dataclass(frozen=True, slots=True)
class Delta:
    """What a recipe did to one quantity, ready to print.

    Attributes:
        label: the quantity and where it was measured.
        before, after: with their unit; "–" where there is none.
        change: "1.9×" (faster), "−0.4 points", "−71 %"; empty where nothing was compared.
        interval: 95 %, in the terms of `change`; empty for what is exact.
        verdict: in words: "faster", "no difference shown", "smaller", "not measured".
        tone: "good", "bad" or "" where no difference is shown.
        caution: what makes it worth less, in few words: "the machine was busy".
        metric: of the accuracy, its name; empty for other quantities.
    """

    label: str
    before: str
    after: str
    change: str = ""
    interval: str = ""
    verdict: str = ""
    tone: str = ""
    caution: str = ""
    metric: str = ""


def headline(run: Run, candidate: str | None = None, of: Outcome | None = None) -> str:
    """The answer sentence: speed by verdict, accuracy by interval, size by count.

    Args:
        run: with or without numbers.
        candidate: digest; without one, the recipe that `best` names.
        of: the recipe that made it, where several made the same file.
    """
    outcome = of or (best(run) if candidate is None else outcome_of(run, candidate))
    if outcome is None:
        waiting = run.progress.state in LIVE
        return "Nothing is measured yet." if waiting else "Only the original was measured."
    if outcome.candidate is None:
        return f"{outcome.recipe.name} made no model: {outcome.reason}"
    sentence, beside = answer(run, outcome), aside(run, outcome)
    if len(run.spec.recipes) > 2 and candidate is None:
        among = asides.among(run, outcome)
        so_far = "So far: " if run.progress.state in LIVE else ""
        sentence = f"{so_far}{among}. {sentence}"
    return f"{steps.missing(outcome)}{sentence}. {beside}".strip()


def aside(run: Run, outcome: Outcome) -> str:
    """What is to be known beside the answer: a busy machine, odd labels, each part alone."""
    if outcome.candidate is None:
        return ""
    caution = asides.crowd(run, outcome.candidate) + asides.labels(run)
    return f"{caution} {beside_parts(run, outcome)}".strip()


def answer(run: Run, outcome: Outcome, backend: str | None = None) -> str:
    """Speed, accuracy and size of a recipe that made a model, without a full stop.

    Args:
        run: with or without numbers.
        outcome: of the recipe.
        backend: the one that it is about; None for all.
    """
    made = outcome.candidate
    if made is None:
        return outcome.reason
    rows, backends = Standing(run), run.spec.backends if backend is None else (backend,)
    parts = (
        _speed(run, rows, made, backends),
        _accuracy(run, rows, made, backend),
        _smaller(run, rows, outcome),
    )
    return _upper("; ".join(filter(None, parts)))


def deltas(run: Run, candidate: str) -> tuple[Delta, Delta, Delta]:
    """Accuracy, latency and size of a candidate against the original."""
    return (
        accuracy_delta(run, candidate),
        latency_delta(run, candidate),
        size_delta(run, candidate),
    )


def accuracy_delta(run: Run, candidate: str, backend: str | None = None) -> Delta:
    """The primary metric and its paired difference; where it is missing, what stands in for it.

    Args:
        run: with or without numbers.
        candidate: digest.
        backend: where it ran; None for the one that stands for all.
    """
    if not run.spec.evaluation:
        return Delta("Accuracy", NO_DELTA, NO_DELTA, verdict="no data")
    rows = Standing(run)
    first = primary_metric(rows)
    stand_ins = [name for name in order() if metrics()[name].unit == metrics()[first].unit]
    where = run.spec.backends if backend is None else (backend,)
    found = (standing_for(rows, candidate, name, where) for name in (first, *stand_ins))
    row = next((row for row in found if row is not None), None)
    if row is None:
        return Delta("Accuracy", NO_DELTA, NO_DELTA, verdict=UNMEASURED)
    about = metrics()[row.metric]
    label = f"{quantities.title(row.metric)}, {palette.label(row.backend)}"
    value = quantities.reading(row.metric, row.value)
    if about.relative:
        whole = "100 %" if about.unit == "%" else NO_DELTA
        said = about.label
        return Delta(
            label, whole, value, interval=_percent_span(row), verdict=said, metric=row.metric
        )
    base = baseline(run)
    before = rows.value(base.digest, row.metric, row.backend) if base else None
    return Delta(
        label,
        NO_DELTA if before is None else quantities.reading(row.metric, before),
        value,
        metric=row.metric,
        **_changed(run, rows, candidate, row),
    )


def _changed(run: Run, rows: Standing, candidate: str, row: Measurement) -> dict[str, str]:
    """The paired difference of a metric, in words."""
    base, delta = baseline(run), rows.row(candidate, row.metric + DELTA, row.backend)
    known = measured(delta)
    if delta is None or known is None:
        return {"verdict": "baseline" if base and base.digest == candidate else "not compared"}
    low, high = _bounds(delta)
    tone = "good" if low > 0 else "bad" if high < 0 else ""
    worse, better = metrics()[row.metric].comparatives
    return {
        "change": f"{text.signed(known)} points",
        "interval": f"{text.signed(low)} … {text.signed(high)} points",
        "verdict": {"good": better, "bad": worse}.get(tone, OPEN),
        "tone": tone,
    }


def latency_delta(run: Run, candidate: str, backend: str | None = None) -> Delta:
    """Median latency and ratio on one backend; without one, where the candidate runs fastest."""
    rows, base, threads = Standing(run), baseline(run), first_threads(run)
    found = {
        name: value
        for name in ([backend] if backend else run.spec.backends)
        if (value := rows.value(candidate, "latency_ms", name, threads)) is not None
    }
    if not found:
        row = rows.row(candidate, "latency_ms", backend, threads) if backend else None
        label = f"Latency, {palette.label(backend)}" if backend else "Latency"
        words = f"{STATUS_WORDS[row.status]}: {row.reason}" if row else UNMEASURED
        return Delta(label, NO_DELTA, NO_DELTA, verdict=words)
    where = min(found, key=lambda name: found[name])
    before = rows.value(base.digest, "latency_ms", where, threads, candidate) if base else None
    ratio = rows.row(candidate, "latency_ratio", where, threads)
    shape = input_words(rows.row(candidate, "latency_ms", where, threads))
    label = f"Latency, {palette.label(where)}, {threads_text(threads)}"
    label += f", input {shape}" if shape else ""
    first = NO_DELTA if before is None else f"{text.number(before)} ms"
    after = f"{text.number(found[where])} ms"
    value = measured(ratio)
    if ratio is None or value is None:
        row = rows.row(candidate, "latency_ms", where, threads)
        caution = BUSY if crowd_words(row) else ""
        return Delta(label, first, after, verdict="not compared", caution=caution)
    low, high = _bounds(ratio)
    verdict = str(ratio.detail.get("verdict", ""))
    tone = {Verdict.FASTER.value: "good", Verdict.SLOWER.value: "bad"}.get(verdict, "")
    said = "no difference shown" if verdict == Verdict.SAME.value else verdict
    change, span = _times(value, low, high, verdict)
    return Delta(label, first, after, change, span, said, tone, BUSY if crowd_words(ratio) else "")


def _times(value: float, low: float, high: float, verdict: str) -> tuple[str, str]:
    """A ratio and its interval: of speeds where it is faster, of times where it is not."""
    if verdict == Verdict.FASTER.value and low > 0:
        return text.times(1 / value), f"{text.times(1 / high)} … {text.times(1 / low)}"
    if verdict == Verdict.SLOWER.value:
        return text.times(value), f"{text.times(low)} … {text.times(high)}"
    return f"×{value:.2f}", f"×{low:.2f} … ×{high:.2f}"


def size_delta(run: Run, candidate: str) -> Delta:
    """File size before and after; exact."""
    before, after = file_sizes(run, outcome_of(run, candidate))
    if before is None or after is None:
        return Delta("Size", NO_DELTA, NO_DELTA, verdict="not made")
    tone = "good" if after < before else "bad" if after > before else ""
    return Delta(
        "File size",
        text.quantity(before, text.BYTES),
        text.quantity(after, text.BYTES),
        text.percent_change(before, after),
        verdict={"good": "smaller", "bad": "larger"}.get(tone, "same size"),
        tone=tone,
    )


def file_sizes(run: Run, outcome: Outcome | None) -> tuple[float | None, float | None]:
    """File bytes of the original and of what a recipe made."""
    rows, base = Standing(run), baseline(run)
    before = rows.value(base.digest, "size_bytes") if base else None
    if outcome is None or outcome.candidate is None:
        return before or float(run.model.size_bytes), None
    after = rows.value(outcome.candidate.digest, "size_bytes")
    if after is None and outcome.summary is not None:
        after = float(outcome.summary.size_bytes)
    return before or float(run.model.size_bytes), after


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:] if words else "Nothing was measured"


def _bounds(row: Measurement) -> tuple[float, float]:
    value = row.value or 0.0
    return (
        row.low if row.low is not None else value,
        row.high if row.high is not None else value,
    )


def _percent_span(row: Measurement) -> str:
    low, high = _bounds(row)
    return f"{low:.1f} … {high:.1f} %" if metrics()[row.metric].unit == "%" else ""


def _speed(run: Run, rows: Standing, made: Candidate, backends: Sequence[str]) -> str:
    kinds = ("faster", "slower", "same", "open", "failed", "none")
    said: dict[str, list[str]] = {kind: [] for kind in kinds}
    threads = first_threads(run)
    found = [
        (
            backend,
            rows.row(made.digest, "latency_ratio", backend, threads)
            or rows.row(made.digest, "latency_ms", backend, threads),  # what failed has no ratio
        )
        for backend in backends
    ]
    for backend, row in sorted(found, key=lambda pair: (pair[1] and pair[1].value) or 9e9):
        label = palette.label(backend)
        verdict = row.detail.get("verdict") if row is not None else None
        if row is not None and row.status not in MEASURED:
            said["failed"].append(label)
        elif row is None or row.value is None or row.metric != "latency_ratio":
            said["none"].append(label)
        elif verdict == Verdict.FASTER.value:
            said["faster"].append(f"{text.times(1 / row.value)} faster on {label}")
        elif verdict == Verdict.SLOWER.value:
            said["slower"].append(f"{text.times(row.value)} slower on {label}")
        else:
            said["same" if verdict == Verdict.SAME.value else "open"].append(label)
    live = run.progress.state in LIVE
    if live and len(said["none"]) == len(found):
        return "speed is still being measured"
    words = said["faster"] + said["slower"]
    for key, start in (
        ("same", "no difference in speed shown on"),
        ("open", "not enough data yet on" if live else "too noisy for a verdict on speed on"),
        ("failed", "no time on"),
        ("none", "still being measured on" if live else "not measured on"),
    ):
        if said[key]:
            words.append(f"{start} {', '.join(said[key])}")
    return ", ".join(words)


def _accuracy(run: Run, rows: Standing, made: Candidate, backend: str | None) -> str:
    delta = accuracy_delta(run, made.digest, backend)
    if delta.verdict == "no data":
        return "accuracy unknown (no images)"
    if delta.verdict == UNMEASURED:
        live = run.progress.state in LIVE
        return "accuracy is still being measured" if live else "accuracy was not measured"
    if not delta.change:
        about = metrics()[delta.metric]
        said = about.phrase.format(delta.after)
        return said if about.relative else f"{about.short} {delta.after}"
    if delta.tone:
        points = delta.change.lstrip("+" + text.MINUS)
        return f"{points} {delta.verdict} ({delta.interval})"
    where = run.spec.backends if backend is None else (backend,)
    row = standing_for(rows, made.digest, delta.metric + DELTA, where)
    return "" if row is None else _within(row, metrics()[delta.metric].short)


def _within(row: Measurement, what: str) -> str:
    """A difference that may be none: what was counted, and what it could be."""
    low, high = (round(bound, 1) + 0.0 for bound in _bounds(row))
    value = round(row.value or 0.0, 1)
    way = "less" if value < 0 else "more"
    said = f"{what} {abs(value):g} points {way}" if value else f"{what} unchanged"
    if low == high == 0:
        return said
    if low < 0 < high:
        return f"{said}; could be {-low:g} less to {high:g} more"
    if not value:
        return f"{said}; could be up to {max(-low, high):g} {'less' if low < 0 else 'more'}"
    near, far = sorted((abs(low), abs(high)))
    return f"{said}; could be {near:g} to {far:g}"


def _smaller(run: Run, rows: Standing, outcome: Outcome) -> str:
    before, after = file_sizes(run, outcome)
    if not before or after is None:
        return ""
    if before == after:
        return "same size"
    change = text.percent_change(before, after).lstrip("+" + text.MINUS)
    return f"{change} {'smaller' if after < before else 'larger'}"
