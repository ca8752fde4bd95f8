"""The answer in words: measured, in the making, or counted in the file before anything runs."""

from __future__ import annotations

from core.charts import asides, steps
from core.charts.conditions import run_input, threads_text
from core.charts.summary import answer, aside
from core.records import LIVE, ModelSummary, Outcome, Preview, Run, State
from core.records.standing import Standing, first_threads
from core.workspace.facts import ordered
from core.workspace.passes import catalogue
from pages.optimize import goal
from pages.shared import formatting

BRACKETS = "in brackets: 95 % interval"


def sentence(run: Run, outcome: Outcome | None, backend: str) -> str:
    """What a run says of one recipe on one backend; `outcome` is None before that is made."""
    if outcome is None:
        if run.progress.state not in LIVE:
            return asides.original(run) or "This recipe was not measured."
        if run.progress.state is State.QUEUED:
            return "Waiting for the machine: numbers appear here as they are measured."
        making = "Searching." if run.spec.goal is not None else "Making the candidate."
        return f"{making} {asides.original(run)}".strip()
    if outcome.candidate is None:
        reason = steps.said(outcome.reason)
        return reason if outcome.failed else f"This recipe made no model: {reason}"
    if not outcome.recipe.steps:
        return "The original model as it is: what every recipe is compared with."
    if outcome.candidate.digest == run.spec.model:
        unchanged = "This recipe changes nothing in this model: what it made is the original."
        return steps.missing(outcome) + unchanged
    found = answer(run, outcome, backend)
    if towards := goal.sentence(run, outcome):
        found = f"{towards}: {found[:1].lower()}{found[1:]}"
    return f"{steps.missing(outcome)}{found}."


def draft_sentence(model: ModelSummary, preview: Preview | None, steps: int) -> str:
    """What is known of a recipe without running it."""
    if preview is None:
        return "This recipe cannot be previewed."
    if not steps:
        return "No pass is on: this is the original model. Switch passes on, then measure."
    parts = [size_words(model.size_bytes, preview.size_bytes)]
    if model.macs and preview.macs is not None and preview.macs != model.macs:
        parts.append(f"{formatting.percent_change(model.macs, preview.macs)} MACs")
    why = idle(preview)
    if len(why) == len(preview.report) > 0:
        return " ".join(["This recipe changes nothing in this model.", *why])
    surely = "counted in the file" if preview.exact else "an estimate"
    text = f"{', '.join(parts)} ({surely}). Measure to see speed and accuracy."
    return " ".join([text[:1].upper() + text[1:], *why])


def idle(preview: Preview) -> list[str]:
    """Steps that do nothing to this model, each with its reason."""
    found = []
    for step in preview.report:
        kind = catalogue().get(step.step.pass_name)
        name = kind.label if kind is not None else step.step.pass_name
        if step.reverted:
            found.append(f"{name} is left out: {steps.said(step.reverted)}")
        elif not step.changed and step.notes:
            found.append(f"{name}: {steps.said(step.notes[0])}")
    return found


def size_words(before: float, after: float) -> str:
    """How much smaller or larger, in words."""
    if before == after:
        return "same size"
    percent = formatting.percent_change(before, after).lstrip(f"+{formatting.MINUS}±")
    return f"{percent} {'smaller' if after < before else 'larger'}"


def notes(run: Run, outcome: Outcome | None, backend: str) -> tuple[str, ...]:
    """Below the tiles: what else was counted, what the numbers hold for, what to know of them."""
    if outcome is None or outcome.candidate is None:
        return (condition(run),)
    return details(run, outcome, backend), f"{condition(run)} · {BRACKETS}", aside(run, outcome)


def details(run: Run, outcome: Outcome, backend: str) -> str:
    """The quantities that have no tile, before and after: MACs, parameters, memory."""
    if outcome.candidate is None or outcome.summary is None:
        return ""
    before, after, rows = run.model, outcome.summary, Standing(run)
    parts = [
        f"{word} {formatting.change(was, now, formatting.COUNT)}"
        for word, was, now in (
            ("MACs", before.macs, after.macs),
            ("parameters", before.parameters, after.parameters),
        )
        if was is not None and now is not None
    ]
    memory = [
        rows.value(digest, "peak_memory_bytes", backend)
        for digest in (before.digest, outcome.candidate.digest)
    ]
    if memory[0] is not None and memory[1] is not None:
        parts.append(f"memory {formatting.change(memory[0], memory[1], formatting.BYTES)}")
    return f"Also: {' · '.join(parts)}" if parts else ""


def condition(run: Run) -> str:
    """What the numbers hold for: images, threads, machine."""
    rows = [row for row in run.measurements if row.metric in ordered()]
    images = rows[-1].condition.get("images", "") if rows else ""
    parts = [f"{int(images):,} images"] if images.isdigit() else []
    parts.append(threads_text(first_threads(run)))
    parts += filter(None, (run_input(run),))
    if run.host is not None:
        parts.append(f"{run.host.cpu}, {run.host.cores} cores")
    return f"Measured here: {' · '.join(parts)}"
