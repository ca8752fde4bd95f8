"""The staircase behind a slider: estimated time of the layers that it changes, value by value.

Its x axis has the ends of the slider and no margins: drawn under one it lies exactly below the
track, and the thumb is its cursor. So the figure stays the same while the slider moves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from core.charts import palette, text
from core.records import Stair, Staircase

HEIGHT = 170
LABEL_WIDTH, LABEL_HEIGHT = 0.25, 0.15  # of a tick, as shares of the plot
MOST_TICKS = 4
TITLE = "estimate from measured layer times"


def staircase_figure(staircases: Sequence[Staircase], low: float, high: float) -> go.Figure:
    """One dashed line per backend, a hollow mark where time really falls.

    Args:
        staircases: of one parameter.
        low: of the slider.
        high: of the slider.
    """
    figure = go.Figure([_line(found) for found in staircases])
    near = low + LABEL_WIDTH * (high - low)
    tops = [1e3 * stair.seconds for found in staircases for stair in found.stairs]
    top = 1.12 * max(tops, default=1.0)
    marks = ticks(top, [1e3 * s.seconds for f in staircases for s in f.stairs if s.at <= near])
    figure.update_layout(
        height=HEIGHT, margin={"l": 6, "r": 6, "t": 40, "b": 20}, showlegend=False,
        plot_bgcolor=palette.NOTHING, paper_bgcolor=palette.NOTHING, dragmode=False,
        title={
            "text": f"ms in the layers that it changes<br>{TITLE}", "font_size": 11,
            "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "pad": {"t": 10, "l": 6},
        },
        hoverlabel={"font_size": 11},
    )  # fmt: skip
    figure.update_xaxes(
        range=[low, high], fixedrange=True, tickformat=".0%", tickfont_size=10, nticks=5,
        ticklabeloverflow="hide past domain", showgrid=False, zeroline=False, automargin=False,
    )  # fmt: skip
    figure.update_yaxes(
        range=[0, top], fixedrange=True, ticklabelposition="inside top", tickvals=marks,
        automargin=False,
        tickfont_size=10, ticksuffix=" ms", gridcolor=palette.GRID, zerolinecolor=palette.GRID,
    )  # fmt: skip
    return figure


def ticks(top: float, lines: Sequence[float]) -> list[float]:
    """Round values below `top` whose labels, above them, touch no line at the left end.

    Args:
        top: of the axis.
        lines: values of the lines there.
    """
    power = 10.0 ** math.floor(math.log10(top / MOST_TICKS))
    step = next(power * m for m in (1, 2, 5, 10) if power * m * MOST_TICKS >= top)
    values = [step * i for i in range(math.ceil(top / step))]
    below, above = LABEL_HEIGHT * top / 4, LABEL_HEIGHT * top
    return [v for v in values if not any(v - below <= line <= v + above for line in lines)]


def _line(found: Staircase) -> go.Scatter:
    color = palette.color(found.backend)
    stairs = found.stairs
    return go.Scatter(
        x=[stair.at for stair in stairs],
        y=[1e3 * stair.seconds for stair in stairs],
        mode="lines+markers",
        line={"shape": "hv", "color": color, "dash": "dot", "width": 1.6},
        marker={
            "symbol": f"{palette.marker(found.backend)}-open", "color": color,
            "size": [8 if stair.falls else 0.1 for stair in stairs],
            "line": {"width": 1.6, "color": color},
        },
        name=palette.label(found.backend),
        hovertext=[_hover(found, stair) for stair in stairs],
        hoverinfo="text",
        cliponaxis=False,
    )  # fmt: skip


def _hover(found: Staircase, stair: Stair) -> str:
    span = text.span(1e3 * stair.low, 1e3 * stair.high)
    lines = [
        f"<b>{text.escape(palette.label(found.backend))}</b> at {stair.at:.0%}",
        f"≈ {text.number(1e3 * stair.seconds)} ms in {found.layers} layers {span}".rstrip(),
        "time falls here" if stair.falls else "no faster than a smaller value",
        TITLE,
    ]
    return "<br>".join(lines)


def at(found: Staircase, value: float) -> Stair | None:
    """The stair of a value of the slider; None if it is not timed."""
    return next((stair for stair in found.stairs if math.isclose(stair.at, value)), None)
