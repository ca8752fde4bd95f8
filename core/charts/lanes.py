"""The one layout of the before/after charts: a lane per row, its label above its two marks.

Labels stand above the marks and not on an axis, so the chart reads at phone width. The lanes of a
run are there before their numbers are, and the axis ends at a round number: nothing moves when a
number arrives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import plotly.graph_objects as go

from core.charts import palette, text

HEIGHT = 340
FEWEST_LANES = 3
INTERVAL = "#5b6780"


@dataclass(frozen=True, slots=True)
class Spacing:
    """Where in a lane of height 1 its label and its two marks stand, and how tall a bar is."""

    label: float
    marks: tuple[float, float]
    bar: float


_ROOMY = Spacing(0.17, (0.47, 0.78), 0.26)
_TIGHT = Spacing(0.12, (0.50, 0.80), 0.20)
_ROOMY_LANES = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """One bar or dot, or the sign that stands for a missing one.

    Attributes:
        value: None draws a cross (failed) or a hollow ring at the start of the axis.
        hollow: not measured here.
        text: printed beside the mark; never trusted to be free of markup.
        hover: markup made by `text.wrap` or `text.escape`.
    """

    value: float | None
    color: str
    text: str = ""
    hover: str = ""
    low: float | None = None
    high: float | None = None
    hollow: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """A label with a note beside it (ratio and verdict), and the marks: before, after."""

    label: str
    marks: Sequence[Mark]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A before/after chart as plain data: Plotly draws it here, a canvas draws it in the browser.

    Attributes:
        span: where the axis begins and ends.
        message: why there is nothing to draw; then there are no lanes.
    """

    title: str
    lanes: Sequence[Lane] = ()
    subtitle: str = ""
    axis: str = ""
    span: tuple[float, float] = (0.0, 1.0)
    kind: Literal["bars", "dots"] = "bars"
    ticks: Sequence[float] = ()
    message: str = ""


def draw(panel: Panel) -> go.Figure:
    """A panel as a figure of fixed height."""
    if panel.message:
        return message(panel.title, panel.message)
    rows = max(len(panel.lanes), FEWEST_LANES)
    spacing = _ROOMY if rows <= _ROOMY_LANES else _TIGHT
    placed = [
        (index + spacing.marks[place], mark)
        for index, lane in enumerate(panel.lanes)
        for place, mark in enumerate(lane.marks)
    ]
    shown = [(y, mark) for y, mark in placed if mark.value is not None]
    missing = [(y, mark) for y, mark in placed if mark.value is None]
    axis = {
        "range": list(panel.span), "title": {"text": panel.axis, "font": {"size": 12},
        "standoff": 12}, "gridcolor": palette.GRID, "zeroline": False, "fixedrange": True,
        "nticks": 6, "tickfont": {"size": 11},
    }  # fmt: skip
    if panel.ticks:
        axis |= {"tickmode": "array", "tickvals": list(panel.ticks)}
    # All at once: Plotly takes as long over one piece as over the whole.
    whole = layout(panel.title, panel.subtitle, HEIGHT) | {
        "annotations": [
            _label(index + spacing.label, lane) for index, lane in enumerate(panel.lanes)
        ],
        "xaxis": axis,
        "yaxis": {"range": [rows, 0], "visible": False, "fixedrange": True},
    }
    bars = _bars(shown, spacing.bar) if panel.kind == "bars" else _dots(shown)
    return go.Figure(
        {
            "data": [bars, _signs(missing, panel.span[0]), _words(placed, panel.span)],
            "layout": whole,
        }
    )


def _label(y: float, lane: Lane) -> dict[str, object]:
    """What stands above a lane."""
    note = f"  {text.escape(lane.note)}" if lane.note else ""
    return {
        "text": f"<b>{text.escape(text.shorten(lane.label, 34))}</b>{note}",
        "x": 0, "xref": "paper", "xanchor": "left", "y": y, "yanchor": "middle",
        "showarrow": False, "font": {"size": 12},
    }  # fmt: skip


def layout(title: str, subtitle: str, height: int) -> dict[str, Any]:
    """The common title, margins and neutral colours."""
    return {
        "title": {
            "text": title, "x": 0, "xref": "paper", "y": 0.985, "yanchor": "top",
            "font": {"size": 15},
            "subtitle": {"text": subtitle, "font": {"size": 12}},
        },
        "height": height, "margin": {"l": 6, "r": 10, "t": 56, "b": 50},
        "showlegend": False, "bargap": 0, "hoverlabel": {"align": "left", "namelength": -1},
        "paper_bgcolor": palette.NOTHING, "plot_bgcolor": palette.NOTHING, "dragmode": False,
    }  # fmt: skip


def frame(title: str, subtitle: str, height: int = HEIGHT) -> go.Figure:
    """An empty figure with the common title, margins and neutral colours."""
    return go.Figure({"layout": layout(title, subtitle, height)})


def message(title: str, words: str) -> go.Figure:
    """A chart that has nothing to draw and says why, as tall as the others."""
    figure = frame(title, "")
    figure.add_annotation(
        text=text.wrap(words, 40), x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False,
        font_size=14,
    )  # fmt: skip
    figure.update_xaxes(visible=False, fixedrange=True)
    figure.update_yaxes(visible=False, fixedrange=True)
    return figure


def round_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten: an end that seldom moves."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return next((step * power for step in steps if value <= step * power * 1.0001), 10 * power)


Placed = list[tuple[float, Mark]]


def _errors(marks: Placed) -> dict[str, object]:
    above = [(m.high if m.high is not None else m.value) - m.value for _, m in marks]  # type: ignore[operator]
    below = [m.value - (m.low if m.low is not None else m.value) for _, m in marks]  # type: ignore[operator]
    return {
        "type": "data", "symmetric": False, "array": above, "arrayminus": below,
        "thickness": 1.6, "width": 4, "color": INTERVAL, "visible": any(above) or any(below),
    }  # fmt: skip


def _bars(marks: Placed, width: float) -> dict[str, object]:
    return dict(
        type="bar", orientation="h", x=[m.value for _, m in marks], y=[y for y, _ in marks],
        width=width,
        marker={
            "color": [palette.NOTHING if m.hollow else m.color for _, m in marks],
            "line": {"color": [m.color for _, m in marks], "width": 1.6},
        },
        error_x=_errors(marks), hovertext=[m.hover for _, m in marks], hoverinfo="text",
    )  # fmt: skip


def _dots(marks: Placed) -> dict[str, object]:
    return dict(
        type="scatter", mode="markers", x=[m.value for _, m in marks], y=[y for y, _ in marks],
        marker={
            "size": 12, "symbol": ["circle-open" if m.hollow else "circle" for _, m in marks],
            "color": [m.color for _, m in marks],
            "line": {"color": [m.color for _, m in marks], "width": 2},
        },
        error_x=_errors(marks), hovertext=[m.hover for _, m in marks], hoverinfo="text",
        cliponaxis=False,
    )  # fmt: skip


def _signs(marks: Placed, start: float) -> dict[str, object]:
    return dict(
        type="scatter", mode="markers", x=[start] * len(marks), y=[y for y, _ in marks],
        marker={
            "size": 10, "symbol": ["x" if m.failed else "circle-open" for _, m in marks],
            "color": [palette.FAILED if m.failed else m.color for _, m in marks],
            "line": {"width": [0 if m.failed else 1.6 for _, m in marks]},
        },
        hovertext=[m.hover for _, m in marks], hoverinfo="text", cliponaxis=False,
    )  # fmt: skip


def _words(marks: Placed, span: tuple[float, float]) -> go.Scatter:
    gap = (span[1] - span[0]) * 0.018
    ends = [
        span[0] + 1.4 * gap if m.value is None else max(m.value, m.high or m.value) + gap
        for _, m in marks
    ]
    return go.Scatter(
        mode="text", x=ends, y=[y for y, _ in marks],
        text=[text.escape(m.text) for _, m in marks], textposition="middle right",
        textfont={"size": 12}, hoverinfo="skip", cliponaxis=False,
    )  # fmt: skip
