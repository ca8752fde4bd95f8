"""The answer at a glance: one sentence made from verdicts, and four tiles before -> after.

Sentence and tiles are one HTML element of fixed height: a moved slider repaints one thing, and
nothing moves when a number arrives. What was not measured is hollow and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.charts import palette, quantities, text
from core.charts.summary import NO_DELTA, Delta, accuracy_delta, latency_delta
from core.records import LIVE, OPEN_SHAPE, Hindsight, ModelSummary, Outcome, Preview, Run, Verdict
from core.records.standing import Standing
from core.workspace.facts import DELTA, Signature, primary_metric, task_of
from pages.optimize.forecast import Foreseen
from pages.shared import formatting
from pages.shared.formatting import BYTES, COUNT, escape


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
        accuracy_tile(top1, foreseen, accuracy_name(model)),
        Tile("Latency", NO_DELTA, note="not measured", hollow=True),
    ]
    if preview is None:
        return [*tiles, Tile("Size", NO_DELTA, hollow=True), Tile("MACs", NO_DELTA, hollow=True)]
    note = "counted in the file" if preview.exact else "an estimate, not measured"
    return [*tiles, *cost_tiles(model, preview, note, hollow=True)]


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


def cost_tiles(
    before: ModelSummary, after: ModelSummary | Preview, note: str, hollow: bool
) -> list[Tile]:
    """Size and MACs, which need no run."""
    return [
        _cost_tile("Size", (before.size_bytes, after.size_bytes), BYTES, note, hollow),
        _cost_tile("MACs", (before.macs, after.macs), COUNT, note, hollow),
    ]


def _cost_tile(
    label: str,
    pair: tuple[int | None, int | None],
    units: tuple[str, ...],
    note: str,
    hollow: bool,
) -> Tile:
    first, second = pair
    if first is None or second is None:
        return Tile(label, NO_DELTA, note=OPEN_SHAPE, hollow=hollow)
    return Tile(
        label,
        formatting.change(first, second, units),
        "unchanged" if first == second else formatting.percent_change(first, second),
        note,
        "good" if second < first else "bad" if second > first else "",
        hollow,
    )


def run_tiles(
    run: Run, outcome: Outcome | None, hindsights: Sequence[Hindsight] = ()
) -> list[Tile]:
    """The tiles of a measured recipe, and what had been forecast of it."""
    waiting = "measuring …" if run.progress.state in LIVE else "not measured"
    if outcome is None or outcome.candidate is None:
        return original_tiles(run, waiting)
    digest = outcome.candidate.digest
    accuracy = warn(delta_tile(accuracy_delta(run, digest), waiting), run, digest)
    tiles = [
        beside_forecast(accuracy, digest, hindsights),
        delta_tile(latency_delta(run, digest), waiting),
    ]
    if outcome.summary is None:
        return [*tiles, Tile("Size", NO_DELTA, note=waiting), Tile("MACs", NO_DELTA, note=waiting)]
    return tiles + cost_tiles(run.model, outcome.summary, "counted in the file", hollow=False)


def original_tiles(run: Run, waiting: str) -> list[Tile]:
    """What was measured of the original, while there is no candidate to compare it with."""
    base = run.model.digest
    names = (accuracy_name(run.model), "Latency", "Size", "MACs")
    tiles = [Tile(name, NO_DELTA, note=waiting) for name in names]
    note = "the original, counted in the file"
    tiles[2] = replace(tiles[2], value=formatting.size(run.model.size_bytes), note=note)
    if run.model.macs is None:
        tiles[3] = replace(tiles[3], note=OPEN_SHAPE)
    else:
        tiles[3] = replace(tiles[3], value=formatting.count(run.model.macs), note=note)
    for place, delta in enumerate((accuracy_delta(run, base), latency_delta(run, base))):
        if delta.after != NO_DELTA:
            words = ("the original", delta.label.partition(", ")[2])
            note = "; ".join(filter(None, (", ".join(words), delta.caution)))
            label = delta.label.partition(", ")[0]
            tiles[place] = replace(tiles[place], label=label, value=delta.after, note=note)
    return tiles


def delta_tile(delta: Delta, waiting: str) -> Tile:
    """A measured difference, its interval and where it was measured."""
    label, _, where = delta.label.partition(", ")
    value = delta.after
    if delta.before not in (NO_DELTA, delta.after):
        value = f"{delta.before.removesuffix(' ms').removesuffix(' %')} → {delta.after}"
    if delta.after == NO_DELTA:
        note = delta.verdict if delta.verdict == "no data" else waiting
        return Tile(label, NO_DELTA, note=note)
    change = delta.change
    if delta.verdict in (Verdict.FASTER.value, Verdict.SLOWER.value):
        change += f" {delta.verdict}"
    if delta.interval:
        change += f" ({delta.interval.replace('×', '').removesuffix(' points')})"
    note = f"{where}; {delta.caution}" if delta.caution else where
    return Tile(label, value, change, note, delta.tone)


def beside_forecast(tile: Tile, digest: str, hindsights: Sequence[Hindsight]) -> Tile:
    """The agreement that was counted, and what the forecast had been."""
    found = next((h for h in hindsights if h.candidate == digest), None)
    if found is None or tile.value == NO_DELTA:
        return tile
    expected = found.expected
    words = (
        f"same answers: measured {found.agreement:.1f} %; forecast was {expected.agreement:.1f} % "
        f"({expected.low:.1f}–{expected.high:.1f})"
    )
    return replace(tile, note=f"{tile.note}; {words}" if tile.note else words)


def warn(tile: Tile, run: Run, digest: str) -> Tile:
    """Name the backend whose accuracy falls out of the interval of the one that is shown."""
    standing = Standing(run)
    changed = primary_metric(standing) + DELTA
    rows = [r for r in standing if (r.candidate, r.metric) == (digest, changed)]
    shown = next((r for r in rows if palette.label(r.backend) == tile.note), None)
    if shown is None or shown.low is None:
        return tile
    worse = [r for r in rows if r.value is not None and r.value < shown.low - 0.05]
    if not worse:
        return tile
    worst = min(worse, key=lambda r: r.value or 0.0)
    words = f"but {text.signed(worst.value or 0.0)} on {palette.label(worst.backend)}"
    return replace(tile, note=f"{tile.note}; {words}", tone="bad")


def markup(answer: str, tiles: list[Tile], note: str = "", recipe: str = "") -> str:
    """Sentence and tiles of a recipe as one HTML element; every text in it is escaped."""
    parts = [
        f'<p class="lathe-sentence">{escape(answer)}</p>',
        f'<dl class="lathe-tiles" data-recipe="{escape(recipe)}">',
    ]
    for tile in tiles:
        kind = "lathe-tile lathe-hollow" if tile.hollow else "lathe-tile"
        arrow = {"good": "✓ ", "bad": "✕ "}.get(tile.tone, "")
        parts.append(
            f'<div class="{kind}"><dt>{escape(tile.label)}</dt>'
            f'<dd class="lathe-value">{escape(tile.value)}</dd>'
            f'<dd class="lathe-delta {tile.tone}">{arrow}{escape(tile.delta)}&nbsp;</dd>'
            f'<dd class="lathe-note">{escape(tile.note)}&nbsp;</dd></div>'
        )
    parts.append(f'</dl><p class="lathe-caption">{escape(note)}&nbsp;</p>')
    return "".join(parts)
