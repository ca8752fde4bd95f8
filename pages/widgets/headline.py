"""The answer at a glance: one sentence made from verdicts, and four tiles before -> after.

Sentence and tiles are one HTML element of fixed height: a moved slider repaints one thing, and
nothing moves when a number arrives. What was not measured is hollow and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.records import Candidate, ModelSummary, Outcome, Preview, Run, Verdict
from pages.widgets import answer, wording
from pages.widgets.wording import BYTES, COUNT, escape

PENDING = "\N{EN DASH}"


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


def draft_tiles(model: ModelSummary, preview: Preview | None, top1: float | None) -> list[Tile]:
    """The tiles of a recipe that was not measured."""
    known = f"{top1:.1f} %" if top1 is not None else PENDING
    tiles = [
        Tile("Top-1", known, note="the original's; not measured here", hollow=True),
        Tile("Latency", PENDING, note="not measured", hollow=True),
    ]
    if preview is None:
        return [*tiles, Tile("Size", PENDING, hollow=True), Tile("MACs", PENDING, hollow=True)]
    note = "exact, not measured" if preview.exact else "predicted"
    return [*tiles, *cost_tiles(model, preview, note, hollow=True)]


def cost_tiles(
    before: ModelSummary, after: ModelSummary | Preview, note: str, hollow: bool
) -> list[Tile]:
    """Size and MACs, which need no run."""
    pairs = (
        ("Size", before.size_bytes, after.size_bytes, BYTES),
        ("MACs", before.macs, after.macs, COUNT),
    )
    return [
        Tile(
            label,
            wording.change(first, second, units),
            wording.percent_change(first, second),
            note,
            "good" if second < first else "bad" if second > first else "",
            hollow,
        )
        for label, first, second, units in pairs
    ]


def run_tiles(run: Run, outcome: Outcome | None, labels: Mapping[str, str]) -> list[Tile]:
    """The tiles of a measured recipe."""
    waiting = "measuring …" if run.progress.state in answer.LIVE else "not measured"
    if outcome is None or outcome.candidate is None or not run.outcomes:
        return [
            Tile(label, PENDING, note=waiting) for label in ("Top-1", "Latency", "Size", "MACs")
        ]
    tiles = [accuracy_tile(run, outcome.candidate, waiting)]
    tiles.append(latency_tile(run, outcome.candidate, labels, waiting))
    if outcome.summary is None:
        return [*tiles, Tile("Size", PENDING, note=waiting), Tile("MACs", PENDING, note=waiting)]
    return tiles + cost_tiles(run.model, outcome.summary, "counted in the file", hollow=False)


def accuracy_tile(run: Run, candidate: Candidate, waiting: str) -> Tile:
    """Top-1 with its paired difference; agreement where there are no labels."""
    if not run.spec.evaluation:
        return Tile("Top-1", PENDING, note="no data")
    row = answer.reference_row(answer.find(run, candidate.digest, "top1"))
    if row is None or row.value is None:
        agreement = answer.reference_row(answer.find(run, candidate.digest, "agreement"))
        if agreement is not None and agreement.value is not None:
            note = "of images answered like the original"
            return Tile("Agreement", f"{agreement.value:.1f} %", note=note)
        return Tile("Top-1", PENDING, note=waiting)
    base = run.outcomes[0].candidate
    first = (
        answer.reference_row(answer.find(run, base.digest, "top1", row.backend)) if base else None
    )
    value = f"{row.value:.1f} %"
    if first is not None and first.value is not None and base is not candidate:
        value = f"{first.value:.1f} → {row.value:.1f} %"
    delta = answer.reference_row(answer.find(run, candidate.digest, "top1_delta", row.backend))
    if delta is None or delta.value is None:
        return Tile("Top-1", value, note=waiting if base != candidate else "the baseline")
    tone = "good" if (delta.low or 0) > 0 else "bad" if (delta.high or 0) < 0 else ""
    return Tile(
        "Top-1",
        value,
        f"{wording.signed(delta.value)} points",
        f"95 %: {answer.interval_text(delta)}",
        tone,
    )


def latency_tile(run: Run, candidate: Candidate, labels: Mapping[str, str], waiting: str) -> Tile:
    """Median latency on the backend where the candidate is fastest."""
    threads = run.spec.threads[0]
    rows = [r for r in answer.find(run, candidate.digest, "latency_ms", threads=threads) if r.value]
    if not rows:
        return Tile("Latency", PENDING, note=waiting)
    best = min(rows, key=lambda row: row.value or 0.0)
    where = f"{answer.backend_label(best.backend, labels)}, {answer.threads_words(threads)}"
    base = run.outcomes[0].candidate
    first = answer.find(run, base.digest, "latency_ms", best.backend, threads) if base else []
    value = f"{wording.number(best.value or 0.0)} ms"
    if first and first[-1].value and base is not None and base.digest != candidate.digest:
        value = f"{wording.number(first[-1].value)} → {value}"
    ratios = answer.find(run, candidate.digest, "latency_ratio", best.backend, threads)
    if not ratios or ratios[-1].value is None:
        return Tile("Latency", value, note=where)
    ratio, verdict = ratios[-1], ratios[-1].detail.get("verdict")
    tone = {Verdict.FASTER.value: "good", Verdict.SLOWER.value: "bad"}.get(str(verdict), "")
    delta = f"×{ratio.value:.2f} ({ratio.low or 0:.2f} … {ratio.high or 0:.2f})"
    return Tile("Latency", value, delta, where, tone)


def markup(text: str, tiles: list[Tile], note: str = "") -> str:
    """Sentence and tiles as one HTML element; every text in it is escaped."""
    parts = [f'<p class="lathe-sentence">{escape(text)}</p>', '<dl class="lathe-tiles">']
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
