"""How the numbers of a layer are distributed, before in grey and after in colour."""

from __future__ import annotations

import plotly.graph_objects as go

from core.charts import lanes, palette, text
from core.records import Histogram

HEIGHT = 260
EDGES = 2  # points of a step: where a bin begins and where it ends


def distribution_figure(
    title: str, before: Histogram | None, after: Histogram | None = None, about: str = ""
) -> go.Figure:
    """Both histograms as densities, so that bins of other widths compare.

    Args:
        title: of what they are.
        before: of the original.
        after: of what a recipe made of it.
        about: the line below the title.
    """
    shown = [
        (histogram, name, color)
        for histogram, name, color in (
            (before, "before", palette.BASELINE),
            (after, "after", palette.CANDIDATE),
        )
        if histogram is not None
    ]
    if not shown:
        return lanes.message(title, "This layer has none.").update_layout(height=HEIGHT)
    figure = lanes.frame(title, about, HEIGHT)
    for histogram, name, color in shown:
        x, y = _steps(histogram)
        figure.add_trace(
            go.Scatter(
                x=x,
                y=y,
                name=name,
                mode="lines",
                line={"color": color, "width": 1.6},
                fill="tozeroy",
                fillcolor=palette.faint(color, 0.25),
                hovertemplate="%{x:.4g}<extra>" + name + "</extra>",
            )
        )
    return figure.update_layout(
        showlegend=len(shown) > 1,
        yaxis={"visible": False, "fixedrange": True},
        xaxis={"fixedrange": True, "gridcolor": palette.GRID, "tickfont": {"size": 11}},
    )


def facts(histogram: Histogram) -> str:
    """Range, mean, spread, zeros and levels in one line."""
    low, high, mean, spread = (
        text.number(value)
        for value in (histogram.low, histogram.high, histogram.mean, histogram.deviation)
    )
    words = [f"{low} to {high}", f"mean {mean}", f"standard deviation {spread}"]
    if histogram.zeros:
        words.append(f"{text.number(100 * histogram.zeros, 2)} % zeros")
    if histogram.levels:
        words.append(f"{histogram.levels} different values")
    counted = f"{histogram.whole:,} numbers"
    if histogram.counted < histogram.whole:
        counted = f"{histogram.counted:,} of {counted} counted"
    return ", ".join([*words, counted])


def _steps(histogram: Histogram) -> tuple[list[float], list[float]]:
    """The outline of the bars: of each bin both ends at its density."""
    width = (histogram.high - histogram.low) / len(histogram.counts)
    whole = max(histogram.counted, 1) * width
    x = [
        histogram.low + width * (place + end)
        for place in range(len(histogram.counts))
        for end in range(EDGES)
    ]
    return x, [count / whole for count in histogram.counts for _ in range(EDGES)]
