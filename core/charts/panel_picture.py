"""Panel as a still picture: the bars and dots of `lanes` in shapes, each number beside its mark."""

from __future__ import annotations

from collections.abc import Sequence

from core.charts.drawing import Box, Dot, Drawing, Line, Shape, Text, paragraph, width_of
from core.charts.lanes import Lane, Mark, Panel

GAP = 7.0


def draw_panel(
    panel: Panel, x: float, y: float, width: float, scale: float = 1.0
) -> tuple[list[Shape], float]:
    """The panel on its card; its shapes, and the height that they take.

    Args:
        panel: what is drawn.
        x: of its left edge.
        y: of its upper edge.
        width: of the card.
        scale: of texts and bars; 1 writes numbers in 14 pixels.
    """
    pad = 14 * scale
    left, inner = x + pad, width - 2 * pad
    body, below = paragraph(
        panel.title, left, y + 0.6 * pad, inner, 17 * scale, weight=700, color="ink"
    )
    if panel.axis:
        more, below = paragraph(
            _axis(panel), left, below, inner, 13 * scale, color="soft", leading=1.2
        )
        body += more
    below += 4 * scale
    if panel.message:
        more, below = paragraph(panel.message, left, below, inner, 15 * scale)
        body += more
    else:
        room = _room(panel.lanes, inner, scale)
        for lane in panel.lanes:
            more, below = _lane(panel, lane, left, below, inner, room, scale)
            body += more
    height = below + 0.6 * pad - y
    return [Box(x, y, width, height, "panel", radius=10), *body], height


def _axis(panel: Panel) -> str:
    """What the axis is of; one that does not begin at zero says where it does."""
    begins = panel.span[0]
    return f"{panel.axis}, axis from {begins:g}" if begins else panel.axis


def _room(lanes: Sequence[Lane], inner: float, scale: float) -> float:
    """Pixels of the axis: what the longest number beside a mark leaves."""
    texts = [width_of(mark.text, 14 * scale) for lane in lanes for mark in lane.marks]
    return max(inner - max(texts, default=0.0) - GAP * scale, 0.25 * inner)


def _lane(
    panel: Panel, lane: Lane, x: float, y: float, inner: float, room: float, scale: float
) -> tuple[list[Shape], float]:
    size = 14 * scale
    made, below = paragraph(lane.label, x, y, inner, size, weight=700)
    if lane.note:
        label = width_of(lane.label, size, 700) + 8 * scale
        note = width_of(lane.note, size)
        if label + note <= inner:
            made.append(Text(x + label, y + 0.93 * size, lane.note, size, color="soft"))
        else:
            more, below = paragraph(lane.note, x, below, inner, size, color="soft")
            made += more
    tall = 17 * scale
    for mark in lane.marks:
        more, used = _mark(panel, mark, x, below, inner, room, tall, scale)
        made += more
        below += used
    return made, below + 7 * scale


def _mark(
    panel: Panel, mark: Mark, x: float, y: float, inner: float, room: float, tall: float,
    scale: float,
) -> tuple[list[Shape], float]:  # fmt: skip
    size, middle = 14 * scale, y + tall / 2
    if mark.value is None:
        sign = Dot(x + 5 * scale, middle, 4 * scale, "failed" if mark.failed else mark.color, True)
        words, below = paragraph(mark.text, x + 16 * scale, y, inner - 16 * scale, size)
        return [sign, *words], max(tall, below - y)
    low, high = _ends(panel)

    def at(value: float) -> float:
        return x + (min(max(value, low), high) - low) / (high - low) * room

    tip = at(mark.value)
    made: list[Shape] = []
    if panel.kind == "bars":
        bar = max(tip - x, 1.0)
        paint = ("none", mark.color) if mark.hollow else (mark.color, "none")
        made.append(Box(x, y + 1, bar, tall - 3 * scale, *paint))
    else:
        made.append(Dot(tip, middle, 5.5 * scale, mark.color, mark.hollow))
    end = tip + (5.5 * scale if panel.kind == "dots" else 0.0)
    if mark.low is not None and mark.high is not None and mark.low != mark.high:
        a, b, half = at(mark.low), at(mark.high), 3.5 * scale
        made += [Line(((a, middle), (b, middle)), "interval", 1.6 * scale)]
        made += [Line(((c, middle - half), (c, middle + half)), "interval", 1.6) for c in (a, b)]
        end = max(end, b)
    made.append(Text(end + GAP * scale, middle + 0.36 * size, mark.text, size))
    return made, tall


def _ends(panel: Panel) -> tuple[float, float]:
    """Where the axis begins, and the largest end of a mark or of its interval."""
    marks = [mark for lane in panel.lanes for mark in lane.marks if mark.value is not None]
    low = panel.span[0]
    tops = [max(mark.value or 0.0, mark.high or mark.value or 0.0) for mark in marks]
    high = max(tops, default=panel.span[1])
    return low, high if high > low else low + 1.0


def legend(x: float, y: float, width: float, scale: float) -> tuple[list[Shape], float]:
    """What grey, colour and whiskers mean, wrapped; the shapes, and where they end."""
    size, left, top = 14 * scale, x, y
    made: list[Shape] = []
    for sign, words in (
        ("baseline", "original"),
        ("recipe", "this recipe"),
        ("interval", "95 % interval"),
    ):
        taken = 26 * scale + width_of(words, size) + 22 * scale
        if left > x and left + taken > x + width:
            left, top = x, top + 1.4 * size
        middle = top + 0.65 * size
        made += _key(sign, left, middle, scale)
        made.append(Text(left + 26 * scale, middle + 0.36 * size, words, size, color="soft"))
        left += taken
    return made, top + 1.4 * size


def _key(sign: str, x: float, y: float, scale: float) -> list[Shape]:
    if sign == "interval":
        half, end = 4 * scale, x + 18 * scale
        ends = [Line(((c, y - half), (c, y + half)), sign, 1.6) for c in (x, end)]
        return [Line(((x, y), (end, y)), sign, 1.6 * scale), *ends]
    wide = 18 * scale
    if sign == "baseline":
        return [Box(x, y - 5 * scale, wide, 10 * scale, sign)]
    third = wide / 3  # a recipe has the colour of its backend
    return [
        Box(x + at * third, y - 5 * scale, third, 10 * scale, color)
        for at, color in enumerate(("first", "second", "third"))
    ]


def panel_drawing(panel: Panel, width: float) -> Drawing:
    """The panel as a drawing of its own."""
    shapes, height = draw_panel(panel, 0, 0, width)
    return Drawing(width, height, shapes, panel.title)
