"""Result card: one recipe's answer with all that it holds under, ready to be drawn or kept.

It shows what was measured and nothing else: a backend without a number stands in one line by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.charts import palette, quantities
from core.charts.accuracy import SAME, accuracy_panel
from core.charts.conditions import run_input, threads_text
from core.charts.lanes import Lane, Panel
from core.charts.latency import latency_panel
from core.charts.recipe_words import steps_in_words
from core.charts.size import size_panel
from core.charts.summary import Delta, deltas, headline
from core.metrics.base import catalogue
from core.records import Measurement, Run
from core.records.standing import Standing, first_threads, measured, outcome_of
from core.tasks.base import primary_metric

MOST_SIZES = 3  # lanes of the size: the file, zipped, the largest kind of layer


@dataclass(frozen=True, slots=True)
class Card:
    """What a result card says.

    Attributes:
        model: its name.
        recipe: a line for each step.
        answer: the sentence.
        panels: charts of what was measured; none where nothing was.
        unmeasured: what has no number, in a sentence; empty where all has.
        conditions: what the numbers hold under, by name.
        colors: of the backends, for the legend.
        link: where the result can be seen; empty for none.
    """

    model: str
    recipe: Sequence[str]
    answer: str
    deltas: Sequence[Delta]
    panels: Sequence[Panel]
    unmeasured: str
    conditions: Sequence[tuple[str, str]]
    colors: Sequence[str]
    date: str
    link: str = ""


def card(run: Run, candidate: str, link: str = "") -> Card:
    """The card of a candidate of a run.

    Args:
        run: with or without numbers.
        candidate: digest.
        link: address of the run.
    """
    outcome = outcome_of(run, candidate)
    panels = [
        _measured(panel)
        for panel in (
            latency_panel(run, candidate, first_threads(run)),
            accuracy_panel(run, candidate),
            _size(run, candidate),
        )
    ]
    return Card(
        model=run.model.name,
        recipe=steps_in_words(outcome.recipe) if outcome else (),
        answer=headline(run, candidate),
        deltas=deltas(run, candidate),
        panels=[panel for panel in panels if panel.lanes],
        unmeasured=_unmeasured(run, candidate),
        conditions=_conditions(run, candidate),
        colors=tuple(map(palette.color, run.spec.backends)),
        date=run.created[:10],
        link=link,
    )


def _measured(panel: Panel) -> Panel:
    """The panel with the lanes that have the recipe's number."""
    return replace(panel, lanes=[lane for lane in panel.lanes if _has_number(lane)])


def _has_number(lane: Lane) -> bool:
    last = lane.marks[-1] if lane.marks else None
    return last is not None and (last.value is not None or last.text == SAME)


def _size(run: Run, candidate: str) -> Panel:
    panel = size_panel(run, candidate)
    return replace(panel, lanes=panel.lanes[:MOST_SIZES])


def _unmeasured(run: Run, candidate: str) -> str:
    """Backends without a latency or, where there are images, without accuracy."""
    rows, threads = Standing(run), first_threads(run)
    metric = primary_metric(rows)
    said = []
    for what, name, count in (("latency", "latency_ms", threads), ("accuracy", metric, None)):
        if what == "accuracy" and not run.spec.evaluation:
            continue
        lacking = [
            palette.label(backend)
            for backend in run.spec.backends
            if measured(rows.row(candidate, name, backend, count)) is None
        ]
        if lacking:
            said.append(f"{what} on {', '.join(lacking)}")
    return f"No number: {'; '.join(said)}." if said else ""


def _conditions(run: Run, candidate: str) -> list[tuple[str, str]]:
    """Device, versions, input, images and the file, as far as they are known."""
    host = run.host
    shape = run_input(run).removeprefix("input ")
    facts = [
        ("Device", f"{host.cpu}, {host.cores} cores, {host.os}" if host else ""),
        ("Versions", _versions(run, candidate)),
        ("Input", f"{shape} (batch first), {threads_text(first_threads(run))}" if shape else ""),
        ("Images", _images(run, candidate)),
        ("File", f"SHA-256 {candidate}"),
    ]
    return [(name, words) for name, words in facts if words]


def _versions(run: Run, candidate: str) -> str:
    """Those of the backends that gave a number."""
    found: dict[str, str] = {}
    for row in run.measurements:
        if row.candidate == candidate and row.backend and measured(row) is not None:
            found.setdefault(palette.label(row.backend), _version(run, row))
    return ", ".join(f"{name} {version}".strip() for name, version in found.items())


def _version(run: Run, row: Measurement) -> str:
    if row.target is not None and row.target.version:
        return row.target.version
    return run.host.target(row.backend).version if run.host else ""


def _images(run: Run, candidate: str) -> str:
    """How many images the accuracy is of, and by what it is told."""
    rows = Standing(run)
    metric = primary_metric(rows)
    counts = {
        row.condition["images"]
        for row in rows
        if row.candidate == candidate and row.metric == metric and "images" in row.condition
    }
    if not counts:
        return "" if run.spec.evaluation else "none: accuracy is unknown"
    count = max(counts, key=lambda words: (len(words), words))
    whole = f"{int(count):,}" if count.isdigit() else count
    relative = catalogue()[metric].relative
    return f"{whole}, {quantities.name(metric)}{'' if relative else ', by annotations'}"
