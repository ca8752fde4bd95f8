"""Size before and after: the file, the zipped file, and what each kind of layer takes."""

from __future__ import annotations

from collections import Counter

import plotly.graph_objects as go

from core.charts import lanes, palette, text
from core.records import LIVE, OPEN_SHAPE, ModelSummary, Preview, Run
from core.records.standing import Standing, baseline, outcome_of

TITLE = "Size"
KINDS_SHOWN = 3
REST = "everything else"
Pair = tuple[str, float | None, float | None]


def size_figure(run: Run, candidate: str | None = None) -> go.Figure:
    """File bytes, zipped bytes and bytes by kind of layer, before and after.

    Args:
        run: with or without the candidate yet.
        candidate: digest; without one, the last recipe of the run.
    """
    return lanes.draw(size_panel(run, candidate))


def size_panel(run: Run, candidate: str | None = None) -> lanes.Panel:
    """The data of `size_figure`."""
    outcome = outcome_of(run, candidate)
    if outcome is not None and outcome.candidate is None and run.progress.state not in LIVE:
        return lanes.Panel(TITLE, message=f"This recipe made no model: {outcome.reason}")
    rows, base = Standing(run), baseline(run)
    made = outcome.candidate if outcome else None
    after = outcome.summary if outcome else None
    file, zipped = (
        (
            name,
            rows.value(base.digest, metric) if base else None,
            rows.value(made.digest, metric) if made else None,
        )
        for name, metric in (("File", "size_bytes"), ("Zipped", "zipped_bytes"))
    )
    file = (file[0], file[1] or run.model.size_bytes, file[2] or _bytes(after))
    pairs = [file, zipped, *by_kind(run.model, after)]
    return _panel(pairs, compared=len(run.spec.recipes) > 1)


def preview_figure(summary: ModelSummary, preview: Preview) -> go.Figure:
    """What a recipe would leave of the model, in percent; hollow where it is an estimate."""
    drawn = []
    for name, before, after, units in (
        ("File", summary.size_bytes, preview.size_bytes, text.BYTES),
        ("Parameters", summary.parameters, preview.parameters, text.COUNT),
        ("MACs", summary.macs, preview.macs, text.COUNT),
        ("Nodes", summary.nodes, preview.nodes, text.COUNT),
    ):
        if before is None or after is None:
            unknown = lanes.Mark(None, palette.BASELINE, OPEN_SHAPE, OPEN_SHAPE)
            drawn.append(lanes.Lane(name, [unknown], ""))
            continue
        share = 100 * after / before if before else 100.0
        words = text.quantity(after, units)
        certain = "exact" if preview.exact else "estimate"
        drawn.append(
            lanes.Lane(
                name,
                [
                    lanes.Mark(100.0, palette.BASELINE, text.quantity(before, units), "original"),
                    lanes.Mark(
                        share, palette.CANDIDATE, words, f"{words}, {certain}",
                        hollow=not preview.exact,
                    ),
                ],
                "unchanged" if before == after else text.percent_change(before, after),
            )
        )  # fmt: skip
    words = "counted" if preview.exact else "hollow: estimate"
    top = max(m.value or 0 for lane in drawn for m in lane.marks)
    return lanes.draw(
        lanes.Panel(
            TITLE, drawn, subtitle=f"grey original, blue recipe ({words})",
            axis="% of the original", span=(0.0, lanes.round_up(1.4 * top)),
        )
    )  # fmt: skip


def by_kind(before: ModelSummary, after: ModelSummary | None) -> list[Pair]:
    """Bytes of the largest kinds of layer, before and after, and of all the rest together."""
    first = _kinds(before)
    second = _kinds(after) if after is not None else None
    either = Counter(first)
    for kind, count in (second or {}).items():
        either[kind] = max(either[kind], count)
    largest = [kind for kind, count in either.most_common(KINDS_SHOWN) if count]
    pairs: list[Pair] = [
        (kind, first[kind], None if second is None else second[kind]) for kind in largest
    ]
    rest = sum(n for kind, n in first.items() if kind not in largest)
    left = None if second is None else sum(n for k, n in second.items() if k not in largest)
    if rest or left:
        pairs.append((REST, rest, left))
    return pairs


def _kinds(summary: ModelSummary) -> Counter[str]:
    found: Counter[str] = Counter()
    for layer in summary.layers:
        found[layer.kind] += layer.size_bytes
    return found


def _bytes(summary: ModelSummary | None) -> float | None:
    return float(summary.size_bytes) if summary is not None else None


def _panel(pairs: list[Pair], compared: bool) -> lanes.Panel:
    top = max((value or 0 for _, *values in pairs for value in values), default=0)
    divisor, unit = text.scale(top, text.BYTES)
    drawn = []
    for name, before, after in pairs:
        marks = [_mark(before, divisor, palette.BASELINE, f"original: {name}")]
        note = ""
        if compared:
            marks.append(_mark(after, divisor, palette.CANDIDATE, f"this recipe: {name}"))
            if before and after is not None:
                note = "unchanged" if before == after else text.percent_change(before, after)
        drawn.append(lanes.Lane(name, marks, note))
    end = lanes.round_up(1.35 * top / divisor)
    return lanes.Panel(
        TITLE, drawn, subtitle="grey original, blue this recipe",
        axis=f"size ({unit})", span=(0.0, end),
    )  # fmt: skip


def _mark(value: float | None, divisor: float, color: str, name: str) -> lanes.Mark:
    if value is None:
        return lanes.Mark(None, color, "not made yet", text.escape(f"{name}: not made yet"))
    words = text.quantity(value, text.BYTES)
    return lanes.Mark(value / divisor, color, words, f"{text.wrap(name)}<br>{words}")
