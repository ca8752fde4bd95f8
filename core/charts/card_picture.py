"""Result card as a picture: wide, square or tall, light or dark, as SVG.

Whatever is on it is laid out by its extent: sizes shrink until all of it fits the format, and where
even the smallest is too large the picture grows taller. Nothing is cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.charts import palette, qr
from core.charts.card import Card
from core.charts.drawing import Box, Drawing, Shape, Text, paragraph, svg, width_of
from core.charts.panel_picture import draw_panel, legend
from core.charts.summary import Delta

Form = Literal["wide", "square", "tall"]
Look = Literal["light", "dark"]
LOOKS: Mapping[Look, Mapping[str, str]] = {
    "light": {
        "page": "#ffffff", "ink": "#1b2333", "soft": "#4b566b", "panel": "#f3f5fa",
        "good": "#0b6b45", "bad": "#b42318", "failed": "#e0483e", "interval": "#5b6780",
    },
    "dark": {
        "page": "#0e1320", "ink": "#e7ebf5", "soft": "#aab4c8", "panel": "#1a2133",
        "good": "#6ee7a8", "bad": "#fca5a5", "failed": "#f0685f", "interval": "#c3cad9",
    },
}  # fmt: skip
PAD, GAP, CODE = 40.0, 26.0, 150.0


@dataclass(frozen=True, slots=True)
class Format:
    """The page of a form: its size, how many panels stand beside each other, its largest scale."""

    width: float
    height: float
    rows: tuple[int, ...]
    most: float


FORMATS: Mapping[Form, Format] = {
    "wide": Format(1200, 630, (3,), 1.3),
    "square": Format(1080, 1080, (1, 2), 1.5),
    "tall": Format(1080, 1350, (1, 1, 1), 1.7),
}
LEAST = 0.6
Pieces = tuple[list[Shape], float]  # shapes, and where they end


def picture(card: Card, form: Form = "wide") -> Drawing:
    """The card drawn at the largest size that fits; taller than the format if none does."""
    page, scale = FORMATS[form], FORMATS[form].most
    while True:
        shapes, needed = _draw(card, page, scale)
        if needed <= page.height or scale <= LEAST:
            break
        scale = max(LEAST, scale - 0.04)
    about = f"{card.model}: {' + '.join(card.recipe)}. {card.answer}"
    return Drawing(page.width, max(page.height, needed), shapes, about)


def card_svg(card: Card, form: Form = "wide", look: Look = "light") -> str:
    """The picture as SVG."""
    shown = dict(zip(("first", "second", "third"), _three(card.colors), strict=True))
    colors = {**LOOKS[look], "baseline": palette.BASELINE, **shown}
    return svg(picture(card, form), colors, colors["page"])


def _three(colors: Sequence[str]) -> list[str]:
    """Three colours for the legend, as far as there are so many."""
    known = list(dict.fromkeys(colors)) or [palette.CANDIDATE]
    return [known[min(at, len(known) - 1)] for at in range(3)]


def _draw(card: Card, page: Format, scale: float) -> Pieces:
    """All of it at one scale. What is left of the height goes between head, charts and foot."""
    inner = page.width - 2 * PAD
    top = PAD * min(scale, 1.0)
    head, below = _head(card, top, inner, scale)
    tiles, below = _tiles(card.deltas, below + 14 * scale, inner, scale)
    charts, below = _charts(card, below + 16 * scale, inner, page.rows, scale)
    foot, height = _foot(card, inner, scale)
    begins = max(below + 12 * scale, page.height - top - height)
    moved, _ = _foot(card, inner, scale, begins)
    return [*head, *tiles, *charts, *moved], begins + height + top if foot else below + top


def _head(card: Card, top: float, inner: float, scale: float) -> Pieces:
    sign = f"Lathe · {card.date}"
    size = 17 * scale
    room = inner - width_of(sign, size, 700) - GAP
    made, below = paragraph(card.model, PAD, top, room, 32 * scale, weight=700, leading=1.2)
    made.append(
        Text(PAD + inner, top + 1.3 * size, sign, size, 700, "soft", anchor="end")
    )  # fmt: skip
    more, below = paragraph(
        " + ".join(card.recipe), PAD, below + 2 * scale, inner, 19 * scale, weight=700,
        color="soft",
    )  # fmt: skip
    answer, below = paragraph(card.answer, PAD, below + 6 * scale, inner, 18 * scale)
    return [*made, *more, *answer], below


def _tiles(found: Sequence[Delta], top: float, inner: float, scale: float) -> Pieces:
    width = (inner - GAP * (len(found) - 1)) / max(len(found), 1)
    made: list[Shape] = []
    ends = [top]
    for at, delta in enumerate(found):
        shapes, below = _tile(delta, PAD + at * (width + GAP), top, width, scale)
        made += shapes
        ends.append(below)
    return made, max(ends)


def _tile(delta: Delta, x: float, top: float, width: float, scale: float) -> Pieces:
    made, below = paragraph(delta.label, x, top, width, 15 * scale, color="soft", leading=1.2)
    measured = [words for words in (delta.before, delta.after) if words != "–"]
    if measured:
        words = " → ".join(dict.fromkeys(measured))
        large = 28 * scale
        fits = min(large, large * width / max(width_of(words, large, 700), 1.0))
        more, below = paragraph(words, x, below, width + 1, max(fits, 16 * scale), weight=700)
        made += more
    tone = delta.tone or "ink"
    said = " · ".join(filter(None, (delta.change, delta.verdict, delta.caution)))
    more, below = paragraph(said, x, below, width, 17 * scale, weight=600, color=tone, leading=1.2)
    made += more
    if delta.interval:
        more, below = paragraph(
            f"95 % interval {delta.interval}", x, below, width, 14 * scale, color="soft"
        )
        made += more
    return made, below


def _charts(card: Card, top: float, inner: float, rows: Sequence[int], scale: float) -> Pieces:
    if not card.panels:
        return paragraph("Nothing was measured yet.", PAD, top, inner, 18 * scale)
    left, made = list(card.panels), list[Shape]()
    below = top
    for count in rows:
        taken, left = left[:count], left[count:]
        if not taken:
            break
        width = (inner - GAP * (len(taken) - 1)) / len(taken)
        drawn = [
            draw_panel(panel, PAD + at * (width + GAP), below, width, scale)
            for at, panel in enumerate(taken)
        ]
        tallest = max(height for _, height in drawn)
        for (ground, *shapes), _ in drawn:
            made += [replace(ground, height=tallest) if isinstance(ground, Box) else ground]
            made += shapes
        below += tallest + 0.5 * GAP * scale
    keys, below = legend(PAD, below, inner, scale)
    return [*made, *keys], below


def _foot(card: Card, inner: float, scale: float, top: float = 0.0) -> Pieces:
    """Conditions left, the link and its code right; the shapes, and the height that they take."""
    size, made = 14 * scale, list[Shape]()
    room, below = inner, top
    if card.link:
        room = inner - qr.side_of(card.link, CODE * scale)[0] - GAP
    facts = [*card.conditions, *([("", card.unmeasured)] if card.unmeasured else [])]
    if card.link:
        facts.append(("Link", card.link))
    for name, words in facts:
        lead = width_of(f"{name} ", size, 700) if name else 0.0
        if name:
            made.append(Text(PAD, below + 0.93 * size, name, size, 700, "soft"))
        mono = name in ("File", "Link")
        more, below = paragraph(
            words, PAD + lead + 4 * scale * bool(name), below, room - lead - 4 * scale,
            0.88 * size if mono else size, color="soft", mono=mono, leading=1.48 if mono else 1.3,
        )  # fmt: skip
        made += more
    height = below - top
    if card.link:
        side, module = qr.side_of(card.link, min(CODE * scale, height))
        made += qr.draw(card.link, PAD + inner - side, top, module)
        height = max(height, side)
    return made, height
