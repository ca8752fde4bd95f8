"""Trade-off as a still picture: accuracy against a cost, with the front of each backend."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.charts import lanes, palette, text
from core.charts.drawing import Dot, Drawing, Line, Shape, Sign, Text, paragraph, width_of
from core.recipes import name_of
from core.search.pareto import Point

WIDTH, HEIGHT = 460.0, 380.0
LEFT, RIGHT, BOTTOM, SIZE = 56.0, 16.0, 52.0, 13.0
Span = tuple[float, float]


def front_picture(
    title: str, points: Sequence[Point], cost: str, gain: str, width: float = WIDTH
) -> Drawing:
    """Every point with its intervals; diamonds are originals, the line is what can be reached.

    Args:
        title: above it.
        points: with costs in the unit of the axis.
        cost: what the horizontal axis says.
        gain: what the vertical axis says.
        width: in pixels.
    """
    backends = list(dict.fromkeys(point.backend for point in points))
    made, top = paragraph(title, 0, 0, width, 17, weight=700)
    keys, top = _legend(backends, top, width)
    more, top = paragraph(gain, 0, top, width, SIZE, color="soft")
    across = (0.0, lanes.round_up(1.04 * max(point.cost_span[1] for point in points)))
    upward = _upward(points)
    frame = _Frame((LEFT, width - RIGHT), (HEIGHT - BOTTOM, top + 8), across, upward)
    made += [*keys, *more, *frame.grid()]
    made.append(Text(width - RIGHT, HEIGHT - 8, cost, SIZE, color="soft", anchor="end"))
    for backend in backends:
        here = [point for point in points if point.backend == backend]
        made += frame.front([point for point in here if point.front], palette.color(backend))
        for point in here:
            made += frame.point(point)
    return Drawing(width, HEIGHT, made, title)


def _upward(points: Sequence[Point]) -> Span:
    low = min(point.gain_span[0] for point in points)
    high = max(point.gain_span[1] for point in points)
    room = max(1.0, 0.06 * (high - low))
    return low - room, high + room


def _legend(backends: Sequence[str], top: float, width: float) -> tuple[list[Shape], float]:
    made: list[Shape] = []
    left, y = 0.0, top
    for backend in backends:
        words = palette.label(backend)
        taken = 18 + width_of(words, SIZE) + 18
        if left and left + taken > width:
            left, y = 0.0, y + 20
        made.append(Dot(left + 6, y + 10, 4.5, palette.color(backend)))
        made.append(Text(left + 16, y + 14.5, words, SIZE, color="soft"))
        left += taken
    return made, y + 22


class _Frame:
    """The axes, and where a value lies on them."""

    def __init__(self, x: Span, y: Span, across: Span, upward: Span) -> None:
        """Pixels and values of both axes, each from its origin on."""
        self._x, self._y, self._across, self._upward = x, y, across, upward

    def x(self, value: float) -> float:
        return _between(value, self._across, self._x)

    def y(self, value: float) -> float:
        return _between(value, self._upward, self._y)

    def grid(self) -> list[Shape]:
        """Lines at round values, each with its number."""
        made: list[Shape] = []
        bottom = self._y[0]
        for value in ticks(*self._across):
            words, x = text.number(value), self.x(value)
            made.append(Line(((x, bottom), (x, self._y[1])), "line", 1))
            left = min(x - width_of(words, SIZE) / 2, self._x[1] + RIGHT - width_of(words, SIZE))
            made.append(Text(left, bottom + 16, words, SIZE, color="soft"))
        for value in ticks(*self._upward):
            y = self.y(value)
            made.append(Line(((self._x[0], y), (self._x[1], y)), "line", 1))
            made.append(
                Text(self._x[0] - 6, y + 4.5, f"{value:g}", SIZE, color="soft", anchor="end")
            )
        return made

    def front(self, edge: Sequence[Point], color: str) -> list[Shape]:
        """The staircase of what is reachable."""
        ordered = sorted(edge, key=lambda point: point.cost)
        way: list[tuple[float, float]] = []
        for point in ordered:
            x, y = self.x(point.cost), self.y(point.gain)
            way += [(x, way[-1][1])] if way else []
            way.append((x, y))
        return [Line(way, color, 2)] if len(way) > 1 else []

    def point(self, point: Point) -> list[Shape]:
        """The mark and its two intervals."""
        color, x, y = palette.color(point.backend), self.x(point.cost), self.y(point.gain)
        across = [(self.x(bound), y) for bound in point.cost_span]
        upward = [(x, self.y(bound)) for bound in point.gain_span]
        about = (
            f"{name_of(point.recipe)}, {palette.label(point.backend)}: "
            f"{text.number(point.cost)}; {point.gain:.1f}"
        )
        sign: Sign = "diamond" if point.is_baseline else "circle"
        solid = point.front or point.is_baseline
        mark = Dot(x, y, 6.5 if point.is_baseline else 5, color, not solid, sign, about)
        return [Line(across, color, 0.8), Line(upward, color, 0.8), mark]


def _between(value: float, values: Span, pixels: Span) -> float:
    share = (min(max(value, values[0]), values[1]) - values[0]) / (values[1] - values[0])
    return pixels[0] + share * (pixels[1] - pixels[0])


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values from low to high, so many at most."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * part for part in (1, 2, 5, 10) if power * part >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(at * step, 10) for at in range(first, last + 1)]
