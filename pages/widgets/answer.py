"""What a run says in words, made from verdicts and intervals, never from a bare point estimate."""

from __future__ import annotations

from collections.abc import Mapping

from core.records import (
    Candidate,
    Measurement,
    ModelSummary,
    Outcome,
    Preview,
    Run,
    State,
    Status,
    Verdict,
)
from pages.widgets import wording

MEASURED = (Status.OK, Status.UNSTABLE)
LIVE = (State.QUEUED, State.RUNNING)


def find(
    run: Run, candidate: str, metric: str, backend: str | None = None, threads: int | None = None
) -> list[Measurement]:
    """The standing rows of a candidate and metric: a later row supersedes its like."""
    found: dict[tuple[str, str], Measurement] = {}
    for row in run.measurements:
        if row.candidate != candidate or row.metric != metric:
            continue
        if backend is not None and row.backend != backend:
            continue
        if threads is not None and row.condition.get("threads") not in (None, str(threads)):
            continue
        found[row.backend, repr(sorted(row.condition.items()))] = row
    return list(found.values())


def backend_label(name: str, labels: Mapping[str, str]) -> str:
    """What a person calls "openvino:bf16", given the labels of the backends."""
    identifier, _, precision = name.partition(":")
    label = labels.get(identifier, identifier)
    return f"{label} {precision}" if precision else label


def sentence(run: Run, outcome: Outcome | None, labels: Mapping[str, str]) -> str:
    """What became faster, more accurate and smaller, in words and with what is certain of it."""
    if outcome is None:
        return "Making the candidate." if run.progress.state in LIVE else "Nothing was measured."
    if outcome.candidate is None:
        return f"This recipe made no model: {outcome.reason}"
    if not outcome.recipe.steps:
        return "The original model, as it is: the baseline of every comparison."
    parts = [
        speed_words(run, outcome.candidate, labels),
        accuracy_words(run, outcome.candidate, labels),
        size_words(run, outcome),
    ]
    text = "; ".join(part for part in parts if part)
    return f"{text[:1].upper()}{text[1:]}." if text else "Nothing was measured."


def speed_words(run: Run, candidate: Candidate, labels: Mapping[str, str]) -> str:
    """The verdict of every backend, faster ones first."""
    rows = find(run, candidate.digest, "latency_ratio", threads=run.spec.threads[0])
    groups: dict[str, list[str]] = {"faster": [], "slower": [], "same": [], "open": [], "fails": []}
    for row in sorted(rows, key=lambda r: r.value if r.value is not None else 9e9):
        label = backend_label(row.backend, labels)
        verdict = row.detail.get("verdict", "")
        if row.status not in MEASURED or row.value is None:
            groups["fails"].append(label)
        elif verdict == Verdict.FASTER.value:
            groups["faster"].append(f"{1 / row.value:.2g}× faster on {label}")
        elif verdict == Verdict.SLOWER.value:
            groups["slower"].append(f"{row.value:.2g}× slower on {label}")
        else:
            groups["same" if verdict == Verdict.SAME.value else "open"].append(label)
    words = groups["faster"] + groups["slower"]
    for key, start in (
        ("same", "no difference in speed shown on"),
        ("open", "not enough data yet on"),
        ("fails", "no result on"),
    ):
        if groups[key]:
            words.append(f"{start} {', '.join(groups[key])}")
    if not words and run.progress.state in LIVE:
        return "speed is still being measured"
    return ", ".join(words)


def accuracy_words(run: Run, candidate: Candidate, labels: Mapping[str, str]) -> str:
    """The paired difference in accuracy, with its interval; agreement where there are no labels."""
    if not run.spec.evaluation:
        return "accuracy unknown (no images)"
    reference = reference_row(find(run, candidate.digest, "top1_delta"))
    if reference is None:
        agreement = reference_row(find(run, candidate.digest, "agreement"))
        if agreement is None:
            live = run.progress.state in LIVE
            return "accuracy is still being measured" if live else "accuracy was not measured"
        return f"same answer as the original on {agreement.value:.1f} % of images"
    text = difference_words(reference)
    worse = [
        f"{wording.signed(row.value)} on {backend_label(row.backend, labels)}"
        for row in find(run, candidate.digest, "top1_delta")
        if row.value is not None and row.value < (reference.low or 0.0) - 0.05
    ]
    return f"{text} ({', '.join(worse)})" if worse else text


def difference_words(row: Measurement) -> str:
    """A difference in points, and whether the interval leaves zero."""
    value, low, high = row.value or 0.0, row.low or 0.0, row.high or 0.0
    interval = interval_text(row)
    if low <= 0 <= high:
        points = "±0.0" if value == 0 else wording.signed(value)
        return f"no loss of accuracy shown ({points} points, {interval})"
    word = "more" if value > 0 else "less"
    return f"{abs(value):.1f} points {word} accurate ({interval})"


def interval_text(row: Measurement, places: int = 1) -> str:
    """The 95 % interval of a difference."""
    if row.low is None or row.high is None:
        return "interval unknown"
    return f"{wording.signed(row.low, places)} … {wording.signed(row.high, places)}"


def size_words(run: Run, outcome: Outcome) -> str:
    """How much smaller the file is."""
    before, after = size_of(run, run.outcomes[0]), size_of(run, outcome)
    if before is None or after is None:
        return ""
    return size_phrase(before, after)


def size_phrase(before: float, after: float) -> str:
    """How much smaller or larger, in words."""
    percent = 100 * (1 - after / before)
    if abs(percent) < 0.05:
        return "same size"
    places = 0 if abs(percent) >= 1 else 1
    return f"{abs(percent):.{places}f} % {'smaller' if percent > 0 else 'larger'}"


def size_of(run: Run, outcome: Outcome) -> float | None:
    """File size of what a recipe made."""
    if outcome.candidate is None:
        return None
    rows = find(run, outcome.candidate.digest, "size_bytes")
    if rows and rows[-1].value is not None:
        return rows[-1].value
    return outcome.summary.size_bytes if outcome.summary else None


def reference_row(rows: list[Measurement]) -> Measurement | None:
    """The row that stands for all backends: ONNX Runtime's, else the first that succeeded."""
    good = [row for row in rows if row.status in MEASURED and row.value is not None]
    return next((row for row in good if row.backend.startswith("onnxruntime")), None) or (
        good[0] if good else None
    )


def draft_sentence(model: ModelSummary, preview: Preview | None, steps: int) -> str:
    """What is known of a recipe without running it."""
    if preview is None:
        return "This recipe cannot be previewed."
    if not steps:
        return "No pass is on: this is the original model. Switch passes on, then measure."
    parts = [size_phrase(model.size_bytes, preview.size_bytes)]
    if model.macs and preview.macs != model.macs:
        parts.append(f"{wording.percent_change(model.macs, preview.macs)} MACs")
    surely = "known without running" if preview.exact else "predicted"
    text = f"{', '.join(parts)}: {surely}. Measure to learn what it does to speed and accuracy."
    return text[:1].upper() + text[1:]


def condition(run: Run) -> str:
    """What the numbers hold for: images, threads, machine."""
    rows = [row for row in run.measurements if row.metric in ("top1", "agreement")]
    images = rows[-1].condition.get("images", "") if rows else ""
    parts = [f"{int(images):,} images" if images.isdigit() else "", host_words(run)]
    parts.insert(1, threads_words(run.spec.threads[0]))
    return "Measured with " + ", ".join(part for part in parts if part)


def host_words(run: Run) -> str:
    """The machine that the run was measured on."""
    return f"on {run.host.cpu} ({run.host.cores} cores)" if run.host else ""


def threads_words(threads: int) -> str:
    """How a person says it."""
    return "all cores" if threads == 0 else f"{threads} thread{'s' if threads > 1 else ''}"
