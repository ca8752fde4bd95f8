"""The trade-off: accuracy against latency or size, with the Pareto front of every backend.

The front (`core.search.pareto`) is drawn as the staircase of what is reachable: between two of its
points nothing was measured, so nothing is interpolated.
"""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go

from core.charts import lanes, palette, quantities, text
from core.charts.conditions import run_input
from core.fidelity import CAP_DB
from core.metrics.base import catalogue
from core.recipes import name_of
from core.records import Run
from core.records.standing import Standing
from core.search.pareto import Cost, Point, points
from core.tasks.base import primary_metric

HEIGHT = 460
COSTS: dict[Cost, tuple[str, float, str]] = {
    "latency": ("latency (ms)", 1.0, "ms"),
    "ratio": ("latency against the original (×)", 1.0, "×"),
    "size": ("file size (MB)", 1e6, "MB"),
    "zipped": ("zipped size (MB)", 1e6, "MB"),
}


def tradeoff_figure(
    run: Run,
    cost: Cost = "latency",
    threads: int | None = None,
    selected: tuple[str, str] | None = None,
) -> go.Figure:
    """Accuracy against a cost; each point's `customdata` is (candidate digest, backend).

    Args:
        run: with or without numbers yet.
        cost: what the horizontal axis shows.
        threads: of the latency; without one, the run's first.
        selected: (digest, backend) of the point to ring; no backend rings the recipe on all.
    """
    title = title_of(cost)
    found, axis = drawn(run, cost, threads)
    if not found:
        return _empty(run, title)
    digest, backend = selected or ("", "")
    ringed = [p for p in found if p.digest == digest and backend in ("", p.backend)]
    metric = primary_metric(Standing(run))
    return front_figure(title, found, cost, axis, metric, ringed)


def front_figure(
    title: str, found: list[Point], cost: Cost, axis: str, metric: str, ringed: list[Point]
) -> go.Figure:
    """Points in the unit of the axis, with the front of each backend.

    Args:
        title: above the chart.
        found: one point at least; `customdata` of each is its digest and backend.
        cost: what the horizontal axis shows.
        axis: what it says.
        metric: that is gained.
        ringed: those of them that are chosen.
    """
    figure = lanes.frame(title, "line: best reachable per backend · diamond: original", HEIGHT)
    unit = catalogue()[metric].unit
    for backend in dict.fromkeys(point.backend for point in found):
        here = [p for p in found if p.backend == backend]
        figure.add_trace(_front([p for p in here if p.front], backend))
        # The legend shows the first point's sign, which shall not be the original's diamond.
        figure.add_trace(_cloud(sorted(here, key=lambda p: p.is_baseline), backend, cost, unit))
    if ringed:
        figure.add_trace(_ring(ringed))
    _axes(figure, found, metric, axis)
    return figure


def title_of(cost: Cost) -> str:
    """What a chart of accuracy against a cost is called."""
    return f"Accuracy against {'size' if cost in ('size', 'zipped') else 'latency'}"


def drawn(run: Run, cost: Cost, threads: int | None = None) -> tuple[list[Point], str]:
    """The points of a run in the unit of the axis, and what the axis says."""
    words = COSTS[cost][0]
    shape = run_input(run) if cost == "latency" else ""
    found = [scaled(point, cost) for point in points(run, cost, threads)]
    return found, ", ".join(filter(None, (words, shape)))


def scaled(point: Point, cost: Cost) -> Point:
    """The point in the unit of the axis."""
    divisor, (low, high) = COSTS[cost][1], point.cost_span
    return replace(point, cost=point.cost / divisor, cost_span=(low / divisor, high / divisor))


def _front(edge: list[Point], backend: str) -> go.Scatter:
    ordered = sorted(edge, key=lambda p: p.cost)
    return go.Scatter(
        x=[p.cost for p in ordered], y=[p.gain for p in ordered], mode="lines",
        line={"color": palette.color(backend), "width": 2, "shape": "hv"},
        legendgroup=backend, showlegend=False, hoverinfo="skip",
    )  # fmt: skip


def _cloud(here: list[Point], backend: str, cost: Cost, gained: str) -> go.Scatter:
    color = palette.color(backend)
    dim = palette.faint(color, 0.35)
    return go.Scatter(
        x=[p.cost for p in here], y=[p.gain for p in here], mode="markers",
        name=palette.label(backend), legendgroup=backend,
        customdata=[[p.digest, p.backend] for p in here],
        marker={
            "color": [color if p.front or p.is_baseline else dim for p in here],
            "size": [13 if p.is_baseline else 11 for p in here],
            "symbol": ["diamond" if p.is_baseline else palette.marker(backend) for p in here],
            "line": {"color": color, "width": 1.5},
            "opacity": 1,
        },
        error_x=_error([p.cost for p in here], [p.cost_span for p in here], color),
        error_y=_error([p.gain for p in here], [p.gain_span for p in here], color),
        hovertext=[_hover(p, cost, gained) for p in here], hoverinfo="text",
        # Streamlit dims what is not selected; the ring says which point is.
        unselected={"marker": {"opacity": 1}}, selected={"marker": {"opacity": 1}},
    )  # fmt: skip


def _error(values: list[float], spans: list[tuple[float, float]], color: str) -> dict[str, object]:
    return {
        "type": "data", "symmetric": False, "thickness": 1, "width": 0,
        "array": [high - v for v, (_, high) in zip(values, spans, strict=True)],
        "arrayminus": [v - low for v, (low, _) in zip(values, spans, strict=True)],
        "color": palette.faint(color, 0.45),
    }  # fmt: skip


def _ring(ring: list[Point]) -> go.Scatter:
    return go.Scatter(
        x=[p.cost for p in ring], y=[p.gain for p in ring], mode="markers", hoverinfo="skip",
        marker={"symbol": "circle-open", "size": 24, "color": palette.INK, "line": {"width": 2.5}},
        showlegend=False,
    )  # fmt: skip


def _hover(point: Point, cost: Cost, gained: str) -> str:
    name = name_of(point.recipe)
    unit = COSTS[cost][2]
    reading = text.number(point.cost)
    lines = [
        f"<b>{text.wrap(name, 44, 4)}</b>",
        text.escape(palette.label(point.backend)),
        f"{point.gain:.1f} {gained} ({point.gain_span[0]:.1f}–{point.gain_span[1]:.1f})",
        f"×{reading}" if unit == "×" else f"{reading} {unit}",
    ]
    if point.front:
        lines.append("on the front: nothing measured here is better in both")
    return "<br>".join(lines)


def _axes(figure: go.Figure, found: list[Point], gains: str, title: str) -> None:
    end = lanes.round_up(1.06 * max(p.cost_span[1] for p in found))
    lowest = min(p.gain_span[0] for p in found)
    highest = max(p.gain_span[1] for p in found)
    room = max(1.0, 0.08 * (highest - lowest))
    common = {"gridcolor": palette.GRID, "zeroline": False, "title_standoff": 6}
    is_share = catalogue()[gains].unit == "%"
    least, most = (0.0, 101.0) if is_share else (-1.5 * CAP_DB, 1.5 * CAP_DB)
    figure.update_xaxes(range=[0, end], title_text=title, **common)
    figure.update_yaxes(
        automargin=True, range=[max(least, lowest - room), min(most, highest + room)],
        title_text=quantities.axis(gains), **common,
    )  # fmt: skip
    figure.update_layout(
        showlegend=True, margin={"l": 52, "r": 10, "t": 60, "b": 84},
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0},
    )  # fmt: skip


def _empty(run: Run, title: str) -> go.Figure:
    if not run.spec.evaluation:
        words = "no data: without evaluation images there is no accuracy to weigh against the cost"
    else:
        words = "a point appears here for every recipe that has both numbers on a backend"
    figure = lanes.message(title, words)
    return figure.update_layout(height=HEIGHT)
