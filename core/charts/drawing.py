"""Vector drawing of known extent: shapes, lines of text with their boxes, and the SVG of them.

Text is laid out by the advance widths of Helvetica, which Arial and Liberation Sans share. The SVG
states the width of each line (`textLength`), so that another font is squeezed into it and no word
runs into its neighbour. Source: Adobe Core 14 AFM files, Helvetica and Helvetica-Bold.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from core.charts.text import escape

SANS = "Helvetica, Arial, 'Liberation Sans', sans-serif"
MONO = "'Liberation Mono', 'Courier New', monospace"
BOLD = 600
# Thousandths of the size, from the space to the tilde.
_REGULAR = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 "
    "556 556 556 278 278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 "
    "722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 333 556 556 500 556 "
    "556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 "
    "260 334 584"
)
_BOLD = (
    "278 333 474 556 556 889 722 238 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 "
    "556 556 556 333 333 584 584 584 611 975 722 722 722 722 667 611 778 722 278 556 722 611 833 "
    "722 778 667 778 722 667 611 722 667 944 667 667 611 333 278 333 584 556 333 556 611 556 611 "
    "556 333 611 611 278 278 556 278 889 611 611 611 611 389 556 333 611 556 778 556 556 500 389 "
    "280 389 584"
)
_SIGNS = {"×": 584, "−": 584, "±": 549, "–": 556, "—": 1000, "…": 1000, "→": 1000, "·": 278}
_MONO_WIDTH, _WIDE, _OTHER = 600, 1000, 722


def _table(widths: str) -> dict[str, int]:
    return {chr(32 + at): int(width) for at, width in enumerate(widths.split())} | _SIGNS


_WIDTHS: Mapping[bool, Mapping[str, int]] = {False: _table(_REGULAR), True: _table(_BOLD)}

Sign = Literal["circle", "diamond", "square"]
Extent = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text.

    Attributes:
        x, y: where it begins, or ends, on its baseline.
        color: a name of the look, or a colour.
    """

    x: float
    y: float
    words: str
    size: float
    weight: int = 400
    color: str = "ink"
    anchor: Literal["start", "end"] = "start"
    mono: bool = False

    @property
    def width(self) -> float:
        """In pixels."""
        return width_of(self.words, self.size, self.weight, self.mono)

    @property
    def extent(self) -> Extent:
        """The box that it takes."""
        left = self.x if self.anchor == "start" else self.x - self.width
        return (left, self.y - 0.78 * self.size, left + self.width, self.y + 0.22 * self.size)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float
    fill: str = "none"
    stroke: str = "none"
    radius: float = 0.0
    stroke_width: float = 1.5


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points."""

    points: Sequence[tuple[float, float]]
    color: str
    width: float = 1.5


@dataclass(frozen=True, slots=True)
class Dot:
    """A circle, or what stands in its place to tell series apart."""

    x: float
    y: float
    radius: float
    color: str
    hollow: bool = False
    sign: Sign = "circle"
    about: str = ""  # shown while the mouse rests on it


Shape = Text | Box | Line | Dot


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes on a page of so many pixels; `about` is read out in their place."""

    width: float
    height: float
    shapes: Sequence[Shape]
    about: str = ""


def width_of(words: str, size: float, weight: int = 400, mono: bool = False) -> float:
    """Pixels that a line of text takes."""
    if mono:
        return size * sum(_MONO_WIDTH for _ in words) / 1000
    table = _WIDTHS[weight >= BOLD]
    return size * sum(table.get(sign) or _unlisted(sign) for sign in words) / 1000


def _unlisted(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return _WIDE if unicodedata.east_asian_width(sign) in "WF" else _OTHER


def wrap(words: str, size: float, width: float, weight: int = 400, mono: bool = False) -> list[str]:
    """Text in lines of at most `width` pixels; a word that is longer is broken, nothing is cut."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size, weight, mono) <= width:
            lines[-1] = longer
        else:
            lines += _pieces(word, size, width, weight, mono)
    return lines


def _pieces(word: str, size: float, width: float, weight: int, mono: bool) -> list[str]:
    """A word in pieces that fit."""
    found = [""]
    for sign in word:
        if found[-1] and width_of(found[-1] + sign, size, weight, mono) > width:
            found.append("")
        found[-1] += sign
    return found


def paragraph(
    words: str, x: float, y: float, width: float, size: float, *, weight: int = 400,
    color: str = "ink", mono: bool = False, leading: float = 1.3,
) -> tuple[list[Shape], float]:  # fmt: skip
    """Wrapped text whose first line begins below `y`; the lines, and where the last one ends."""
    lines = wrap(words, size, width, weight, mono)
    step = size * leading
    made: list[Shape] = [
        Text(x, y + at * step + 0.5 * (step - size) + 0.78 * size, line, size, weight, color,
             mono=mono)
        for at, line in enumerate(lines)
    ]  # fmt: skip
    return made, y + len(lines) * step


def extents(drawing: Drawing) -> list[Extent]:
    """The boxes of all its texts."""
    return [shape.extent for shape in drawing.shapes if isinstance(shape, Text)]


def svg(drawing: Drawing, look: Mapping[str, str], page: str = "") -> str:
    """The drawing as SVG that needs nothing from elsewhere.

    Args:
        drawing: what is drawn.
        look: colours by name.
        page: colour behind it; none where it is empty.
    """
    width, height = _n(drawing.width), _n(drawing.height)
    about = escape(_legible(drawing.about))
    ground = f'<rect width="{width}" height="{height}" fill="{page}"/>' if page else ""
    body = "".join(_markup(shape, look) for shape in drawing.shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{about}" '
        f'font-family="{SANS}"><title>{about}</title>{ground}{body}</svg>'
    )


def _markup(shape: Shape, look: Mapping[str, str]) -> str:
    if isinstance(shape, Text):
        return _text(shape, look)
    if isinstance(shape, Box):
        fill, stroke = (look.get(name, name) for name in (shape.fill, shape.stroke))
        radius = f' rx="{_n(shape.radius)}"' if shape.radius else ""
        edge = "" if stroke == "none" else f' stroke="{stroke}" stroke-width="{shape.stroke_width}"'
        return (
            f'<rect x="{_n(shape.x)}" y="{_n(shape.y)}" width="{_n(shape.width)}" '
            f'height="{_n(shape.height)}"{radius} fill="{fill}"{edge}/>'
        )
    if isinstance(shape, Line):
        way = "L".join(f"{_n(x)} {_n(y)}" for x, y in shape.points)
        color = look.get(shape.color, shape.color)
        return f'<path d="M{way}" fill="none" stroke="{color}" stroke-width="{_n(shape.width)}"/>'
    return _dot(shape, look)


def _text(shape: Text, look: Mapping[str, str]) -> str:
    words = escape(_legible(shape.words))
    if not words:
        return ""
    more = ' text-anchor="end"' if shape.anchor == "end" else ""
    more += f' font-weight="{shape.weight}"' if shape.weight != 400 else ""
    more += f' font-family="{MONO}"' if shape.mono else ""
    return (
        f'<text x="{_n(shape.x)}" y="{_n(shape.y)}" font-size="{_n(shape.size)}"{more} '
        f'fill="{look.get(shape.color, shape.color)}" textLength="{_n(shape.width)}" '
        f'lengthAdjust="spacingAndGlyphs" xml:space="preserve">{words}</text>'
    )


def _dot(dot: Dot, look: Mapping[str, str]) -> str:
    color = look.get(dot.color, dot.color)
    x, y, r = dot.x, dot.y, dot.radius
    paint = f'stroke="{color}" stroke-width="1.8" fill="{"none" if dot.hollow else color}"'
    about = f"<title>{escape(_legible(dot.about))}</title>" if dot.about else ""
    if dot.sign == "circle":
        return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}" {paint}>{about}</circle>'
    corners: Iterable[tuple[float, float]] = (
        ((x - r, y), (x, y - r), (x + r, y), (x, y + r))
        if dot.sign == "diamond"
        else ((x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r))
    )
    way = "L".join(f"{_n(a)} {_n(b)}" for a, b in corners)
    return f'<path d="M{way}Z" {paint}>{about}</path>'


def _n(value: float) -> str:
    """A number as short as it can be said to a hundredth of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _legible(words: str) -> str:
    """Text without the control characters that XML forbids."""
    return "".join(sign for sign in words if sign >= " " and not 0xD800 <= ord(sign) <= 0xDFFF)
