"""The trade-off: accuracy against latency or size, with the Pareto front of every backend.

A point is on the front if no other point of its backend is at least as good in both directions and
better in one. The front is drawn as the staircase of what is reachable: between two of its points
nothing was measured, so nothing is interpolated.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import plotly.graph_objects as go

from core.charts import lanes, palette, quantities, text
from core.charts.standing import Standing, baseline, first_threads, measured, run_input
from core.fidelity import CAP_DB
from core.metrics.base import catalogue
from core.records import Candidate, Measurement, Recipe, Run
from core.tasks.base import primary_metric

Cost = Literal["latency", "ratio", "size", "zipped"]
HEIGHT = 460
_COSTS: dict[str, tuple[str, str, float, str]] = {
    "latency": ("latency_ms", "latency (ms)", 1.0, "ms"),
    "ratio": ("latency_ratio", "latency against the original (×)", 1.0, "×"),
    "size": ("size_bytes", "file size (MB)", 1e6, "MB"),
    "zipped": ("zipped_bytes", "zipped size (MB)", 1e6, "MB"),
}


@dataclass(frozen=True, slots=True)
class Point:
    """One recipe on one backend.

    Attributes:
        cost: in the unit of the axis; smaller is better.
        gain: the run's primary metric, in its unit; larger is better.
        front: whether no other point of the backend beats it.
    """

    digest: str
    backend: str
    recipe: Recipe
    cost: float
    gain: float
    cost_span: tuple[float, float]
    gain_span: tuple[float, float]
    is_baseline: bool = False
    front: bool = False


def points(run: Run, cost: Cost = "latency", threads: int | None = None) -> tuple[Point, ...]:
    """Every recipe that has both numbers on a backend, with the front of each backend marked."""
    rows = Standing(run)
    found: list[Point] = []
    for backend in run.spec.backends:
        here = [
            point
            for candidate in _candidates(run)
            if (point := _point(run, rows, candidate, backend, cost, threads)) is not None
        ]
        edge = pareto([(p.cost, p.gain) for p in here])
        found += [_marked(p) if index in edge else p for index, p in enumerate(here)]
    return tuple(found)


def pareto(pairs: Sequence[tuple[float, float]]) -> set[int]:
    """Indices of the pairs (cost, gain) that no other pair beats; equal pairs are all kept."""
    front: set[int] = set()
    best_gain, best_cost = float("-inf"), float("nan")
    for index in sorted(range(len(pairs)), key=lambda i: (pairs[i][0], -pairs[i][1])):
        cost, gain = pairs[index]
        if gain > best_gain or (gain == best_gain and cost == best_cost):
            front.add(index)
            best_gain, best_cost = gain, cost
    return front


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
    title = f"Accuracy against {'size' if cost in ('size', 'zipped') else 'latency'}"
    found = points(run, cost, threads)
    if not found:
        return _empty(run, title)
    figure = lanes.frame(title, "line: best reachable per backend · diamond: original", HEIGHT)
    unit = catalogue()[primary_metric(Standing(run))].unit
    for backend in run.spec.backends:
        here = [p for p in found if p.backend == backend]
        if here:
            figure.add_trace(_front([p for p in here if p.front], backend))
            # The legend shows the first point's sign, which shall not be the original's diamond.
            figure.add_trace(_cloud(sorted(here, key=lambda p: p.is_baseline), backend, cost, unit))
    digest, backend = selected or ("", "")
    ring = [p for p in found if p.digest == digest and backend in ("", p.backend)]
    if ring:
        figure.add_trace(_ring(ring))
    _axes(figure, found, run, cost)
    return figure


def _candidates(run: Run) -> list[Candidate]:
    unique: dict[str, Candidate] = {}
    for outcome in run.outcomes:
        if outcome.candidate is not None:
            unique.setdefault(outcome.candidate.digest, outcome.candidate)
    return list(unique.values())


def _point(
    run: Run, rows: Standing, candidate: Candidate, backend: str, cost: Cost, threads: int | None
) -> Point | None:
    metric, _, divisor, _ = _COSTS[cost]
    sized = cost in ("size", "zipped")
    base = baseline(run)
    first = base is not None and base.digest == candidate.digest
    count = first_threads(run) if threads is None else threads
    spent = rows.row(candidate.digest, metric, "" if sized else backend, None if sized else count)
    gains = primary_metric(rows)
    about = catalogue()[gains]
    gained = rows.row(candidate.digest, gains, backend)
    value = rows.value(candidate.digest, metric, "" if sized else backend, None if sized else count)
    gain = rows.value(candidate.digest, gains, backend)
    if first and cost == "ratio":
        value = 1.0
    if cost == "latency":
        spent = paired(rows, base.digest if base else "", candidate.digest, backend, count) or spent
        value = measured(spent)
    if first and about.relative and about.unit == "%":
        gain = 100.0
    if value is None or gain is None:
        return None
    value /= divisor
    low, high = _span(spent, value * divisor)
    return Point(
        candidate.digest, backend, candidate.recipe, value, gain,
        (low / divisor, high / divisor), _span(gained, gain), is_baseline=first,
    )  # fmt: skip


def paired(
    rows: Standing, base: str, candidate: str, backend: str, threads: int
) -> Measurement | None:
    """A latency that compares between candidates that were timed at different moments.

    The machine drifts between comparisons, so a candidate's own median would be compared with
    another moment's. Each is placed at its paired ratio times one latency of the original: the
    median over all comparisons.
    """
    originals = [
        m for row in rows.rows(base, "latency_ms", backend, threads) if (m := measured(row))
    ]
    if not originals:
        return None
    common = statistics.median(originals)
    if candidate == base:
        row = rows.row(base, "latency_ms", backend, threads)
        return replace(row, value=common, low=common, high=common) if row else None
    ratio = rows.row(candidate, "latency_ratio", backend, threads)
    if ratio is None or measured(ratio) is None or ratio.low is None or ratio.high is None:
        return None
    value, low, high = (common * (part or 0.0) for part in (ratio.value, ratio.low, ratio.high))
    return replace(ratio, metric="latency_ms", value=value, low=low, high=high)


def _span(row: Any, value: float) -> tuple[float, float]:
    if row is None or row.low is None or row.high is None:
        return (value, value)
    return (row.low, row.high)


def _marked(point: Point) -> Point:
    return Point(
        point.digest, point.backend, point.recipe, point.cost, point.gain, point.cost_span,
        point.gain_span, point.is_baseline, front=True,
    )  # fmt: skip


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
    name = "original" if point.is_baseline else point.recipe.name
    unit = _COSTS[cost][3]
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


def _axes(figure: go.Figure, found: tuple[Point, ...], run: Run, cost: Cost) -> None:
    end = lanes.round_up(1.06 * max(p.cost_span[1] for p in found))
    lowest = min(p.gain_span[0] for p in found)
    highest = max(p.gain_span[1] for p in found)
    room = max(1.0, 0.08 * (highest - lowest))
    common = {"gridcolor": palette.GRID, "zeroline": False, "title_standoff": 6}
    gains = primary_metric(Standing(run))
    most = 101.0 if catalogue()[gains].unit == "%" else 1.5 * CAP_DB
    shape = run_input(run) if cost == "latency" else ""
    title = ", ".join(filter(None, (_COSTS[cost][1], shape)))
    figure.update_xaxes(range=[0, end], title_text=title, **common)
    figure.update_yaxes(
        automargin=True, range=[max(0.0, lowest - room), min(most, highest + room)],
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
