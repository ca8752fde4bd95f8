"""What is said beside the answer: among how many it is best, of the original, of a busy machine."""

from __future__ import annotations

from core.charts import palette, quantities, text
from core.charts.conditions import crowd_words, run_input, threads_text
from core.data import KINDS
from core.metrics.base import DELTA, catalogue, ordered
from core.records import Candidate, Outcome, Run, Status
from core.records.standing import Standing, baseline, first_threads
from core.search.choose import SIGNAL, Grounds, judged

# Where no annotation decides: how that is said of what loses, and of what is best.
KNOWN_BY = {
    "agreement": (
        "without labels by the answers that stay the same",
        "the answers that stay the same",
    ),
    SIGNAL: ("by the error of its outputs", "the error of the outputs"),
}


def among(run: Run, outcome: Outcome) -> str:
    """What a recipe is among those of its run: "Best of 2 recipes: int8", or why not that."""
    choice, count = judged(run, outcome), len(run.spec.recipes) - 1
    name = outcome.recipe.name
    if not run.spec.evaluation:
        return f"Fastest of {count} recipes, accuracy unknown: {name}"
    if choice is None or choice.accuracy.grounds is Grounds.UNKNOWN:
        return f"Fastest of {count} recipes, accuracy not measured: {name}"
    by = _known_by(choice.accuracy.metric)
    if choice.accuracy.grounds is Grounds.LOSES:
        why = f", {by[0]}" if by else ""
        return f"Each of {count} recipes loses accuracy; {name} loses least{why}"
    why = f" by speed and by {by[1]}" if by else ""
    return f"Best of {count} recipes{why}: {name}"


def _known_by(metric: str) -> tuple[str, str] | None:
    """How a metric that stands in for annotations is said; None where they decide."""
    about = catalogue()[metric.removesuffix(DELTA)]
    if not about.relative:
        return None
    short = about.short.lower()
    return KNOWN_BY.get(metric, (f"without annotations by {short}", short))


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


def labels(run: Run) -> str:
    """A sentence where the annotations do not seem to be the model's own; else nothing.

    They may count further than the outputs, or the original may answer no better than one who
    guesses: then a difference of top-1 says nothing of what a recipe lost.
    """
    rows, base = Standing(run), baseline(run)
    for backend in run.spec.backends if base is not None else ():
        if base is None:
            return ""
        for metric in ordered():
            row = rows.row(base.digest, metric, backend)
            unfit = row is not None and any(row.detail.get(kind) for kind in KINDS)
            if row is not None and row.status is Status.FAILED and unfit:
                return f" {quantities.title(metric)} was not counted: {row.reason}"
        row = rows.row(base.digest, "top1", backend)
        if row is None:
            continue
        classes = int(row.detail.get("classes") or 0)
        if classes > 1 and row.low is not None and row.low <= 100 / classes:
            return (
                f" The original is right on {row.value:.1f} % of the images only, not shown to be "
                f"better than guessing among {classes:,} classes ({100 / classes:.3g} %): labels "
                "or preprocessing do not seem to be this model's, so its top-1 says nothing of "
                "what was lost."
            )
    return ""
