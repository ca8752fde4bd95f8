"""The answer at a glance: one sentence made from verdicts, and three tiles of one backend.

The tiles are one HTML element of fixed height: a moved slider repaints one thing, and nothing
moves when a number arrives. What was not measured is hollow and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.charts import palette, quantities, text
from core.charts.summary import (
    NO_DELTA,
    UNMEASURED,
    Delta,
    accuracy_delta,
    file_sizes,
    latency_delta,
)
from core.records import LIVE, Hindsight, ModelSummary, Outcome, Preview, Run, Verdict
from core.records.standing import Standing
from core.workspace.facts import DELTA, Signature, primary_metric, task_of
from pages.optimize.forecast import Foreseen
from pages.shared import formatting
from pages.shared.formatting import BYTES, escape

COUNTED = "counted in the file"
REASON = 120  # letters of why there is no number


@dataclass(frozen=True, slots=True)
class Tile:
    """One number: what it was and became, by how much, and where it comes from.

    Attributes:
        tone: "good", "bad" or "" where no difference is shown.
        hollow: not measured.
    """

    label: str
    value: str
    delta: str = ""
    note: str = ""
    tone: str = ""
    hollow: bool = False


def draft_tiles(
    model: ModelSummary, preview: Preview | None, top1: float | None, foreseen: Foreseen
) -> list[Tile]:
    """The tiles of a recipe that was not measured."""
    tiles = [
        Tile("Latency", NO_DELTA, note="not measured", hollow=True),
        accuracy_tile(top1, foreseen, accuracy_name(model)),
    ]
    if preview is None:
        return [*tiles, Tile("File size", NO_DELTA, hollow=True)]
    note = COUNTED if preview.exact else "an estimate, not measured"
    return [*tiles, size_tile(model.size_bytes, preview.size_bytes, note)]


def accuracy_name(model: ModelSummary) -> str:
    """What the tile of a model's accuracy is called before anything is measured."""
    return quantities.title(task_of(Signature.of_model(model)).primary)


def accuracy_tile(top1: float | None, foreseen: Foreseen, label: str = "Top-1") -> Tile:
    """The forecast where there is one, else what is known of the original."""
    if foreseen.expected is not None:
        expected = foreseen.expected
        return Tile(
            "Same answers as the original",
            f"≈ {expected.agreement:.1f} %",
            f"{expected.low:.1f} … {expected.high:.1f} %",
            f"forecast from {foreseen.images}; not measured",
            hollow=True,
        )
    known = f"{top1:.1f} %" if top1 is not None else NO_DELTA
    note = foreseen.reason or "not measured here"
    return Tile(label, known, note=f"the original's; {note}" if top1 else note, hollow=True)


def size_tile(before: float, after: float, note: str, hollow: bool = True) -> Tile:
    """The size of the file, which needs no run."""
    return Tile(
        "File size",
        formatting.change(before, after, BYTES),
        "unchanged" if before == after else formatting.percent_change(before, after),
        note,
        "good" if after < before else "bad" if after > before else "",
        hollow,
    )


def run_tiles(
    run: Run, outcome: Outcome | None, backend: str, hindsights: Sequence[Hindsight] = ()
) -> list[Tile]:
    """Latency, accuracy and size of a measured recipe on one backend."""
    waiting = "measuring …" if run.progress.state in LIVE else UNMEASURED
    if outcome is None or outcome.candidate is None:
        return original_tiles(run, waiting, backend)
    digest = outcome.candidate.digest
    accuracy = delta_tile(accuracy_delta(run, digest, backend), waiting)
    before, after = file_sizes(run, outcome)
    size = Tile("File size", NO_DELTA, note=waiting)
    if before is not None and after is not None:
        size = size_tile(before, after, COUNTED, hollow=False)
    return [
        delta_tile(latency_delta(run, digest, backend), waiting),
        beside_forecast(beside_others(accuracy, run, digest, backend), digest, backend, hindsights),
        size,
    ]


def original_tiles(run: Run, waiting: str, backend: str) -> list[Tile]:
    """What was measured of the original, while there is no candidate to compare it with."""
    base = run.model.digest
    tiles = []
    for name, delta in (
        ("Latency", latency_delta(run, base, backend)),
        (accuracy_name(run.model), accuracy_delta(run, base, backend)),
    ):
        label, _, where = delta.label.partition(", ")
        note = "; ".join(filter(None, (f"the original, {where}", delta.caution)))
        if delta.after == NO_DELTA:
            label, note = name, waiting
        tiles.append(Tile(label, delta.after, note=note))
    size = formatting.size(run.model.size_bytes)
    return [*tiles, Tile("File size", size, note=f"the original, {COUNTED}")]


def delta_tile(delta: Delta, waiting: str) -> Tile:
    """A measured difference with its interval, and where it was measured."""
    label, _, where = delta.label.partition(", ")
    value = delta.after
    if delta.before not in (NO_DELTA, delta.after):
        unit = delta.after.rpartition(" ")[2]
        value = f"{delta.before.removesuffix(f' {unit}')} → {delta.after}"
    if delta.after == NO_DELTA:
        why = waiting if delta.verdict in ("", UNMEASURED) else delta.verdict
        return Tile(label, NO_DELTA, note=text.shorten(why, REASON))
    change = delta.change
    if delta.verdict in (Verdict.FASTER.value, Verdict.SLOWER.value):
        change += f" {delta.verdict}"
    if delta.interval:
        change += f" ({delta.interval.replace('× …', ' …').removesuffix(' points')})"
    note = f"{where}; {delta.caution}" if delta.caution else where
    return Tile(label, value, change, note, delta.tone)


def beside_forecast(tile: Tile, digest: str, backend: str, hindsights: Sequence[Hindsight]) -> Tile:
    """The agreement that was counted on this backend, and what the forecast had been."""
    asked = (digest, backend)
    found = next((h for h in hindsights if (h.candidate, h.backend) == asked), None)
    if found is None or tile.value == NO_DELTA:
        return tile
    expected = found.expected
    words = (
        f"same answers: measured {found.agreement:.1f} %; forecast was {expected.agreement:.1f} %, "
        f"90 % interval {expected.low:.1f} to {expected.high:.1f} %"
    )
    return replace(tile, note=f"{tile.note}; {words}" if tile.note else words)


def beside_others(tile: Tile, run: Run, digest: str, backend: str) -> Tile:
    """Name the backend whose accuracy falls out of the interval of the one that is shown."""
    rows = Standing(run)
    changed = primary_metric(rows) + DELTA
    shown = rows.row(digest, changed, backend)
    if shown is None or shown.low is None:
        return tile
    worse = [
        row
        for row in rows
        if (row.candidate, row.metric) == (digest, changed)
        and row.value is not None
        and row.value < shown.low - 0.05
    ]
    if not worse:
        return tile
    worst = min(worse, key=lambda r: r.value or 0.0)
    words = f"but {text.signed(worst.value or 0.0)} points on {palette.label(worst.backend)}"
    return replace(tile, note=f"{tile.note}; {words}")


def sentence_markup(answer: str) -> str:
    """The answer as one HTML element; every text in it is escaped."""
    return f'<p class="lathe-sentence">{escape(answer)}</p>'


def markup(tiles: list[Tile], notes: Sequence[str] = (), recipe: str = "") -> str:
    """The tiles of a recipe as one HTML element; every text in it is escaped.

    Args:
        tiles: of one backend; a recipe that was not measured has hollow ones.
        notes: what the numbers hold for, a line each.
        recipe: its name.
    """
    draft = " lathe-draft" * any(tile.hollow for tile in tiles)
    parts = [f'<dl class="lathe-tiles{draft}" data-recipe="{escape(recipe)}">']
    for tile in tiles:
        kind = "lathe-tile lathe-hollow" if tile.hollow else "lathe-tile"
        arrow = {"good": "✓ ", "bad": "✕ "}.get(tile.tone, "")
        parts.append(
            f'<div class="{kind}"><dt>{escape(tile.label)}</dt>'
            f'<dd class="lathe-value">{escape(tile.value)}</dd>'
            f'<dd class="lathe-delta {tile.tone}">{arrow}{escape(tile.delta)}&nbsp;</dd>'
            f'<dd class="lathe-note">{escape(tile.note)}&nbsp;</dd></div>'
        )
    parts.append("</dl>")
    parts += [f'<p class="lathe-caption">{escape(note)}</p>' for note in notes if note]
    return "".join(parts)
