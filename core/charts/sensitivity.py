"""How sensitive a model is, layer by layer: a heat map over settings, or bars for one setting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from core.charts import lanes, palette, text
from core.records import LayerEffect

TITLE = "Sensitivity per layer"
ROW_PX, AROUND_PX = 22, 140
LONGEST = 22
ERROR, ANSWERS, ACCURACY = "Output error", "Answers changed", "Top-1 lost"
SUBTITLES = {
    ERROR: "error of the outputs, % of their variance · on a log scale",
    ANSWERS: "% of the calibration images that get another answer",
    ACCURACY: "points of top-1 on the labelled calibration images",
}
SMALLEST = 1e-6
# Fast through the middle, on which neither dark nor white figures could be read.
LIGHT_TO_DARK = [[0.0, "#eaf1fd"], [0.55, "#a8c4f6"], [0.68, "#3f6fd1"], [1.0, "#0f2f75"]]


def measures(effects: Sequence[LayerEffect]) -> tuple[str, ...]:
    """What can be shown of these effects, the error of the outputs first."""
    found = [ERROR]
    if any(effect.agreement is not None for effect in effects):
        found.append(ANSWERS)
    if any(effect.accuracy_lost is not None for effect in effects):
        found.append(ACCURACY)
    return tuple(found)


def sensitivity_figure(effects: Sequence[LayerEffect], measure: str = ERROR) -> go.Figure:
    """What happens if one group of layers alone is changed.

    Rows are groups in the order of the network; `customdata` of each bar is its layers.

    Args:
        effects: of one step.
        measure: one of `measures`.
    """
    settings = list(dict.fromkeys(effect.setting for effect in effects))
    groups = list(dict.fromkeys(effect.layers for effect in effects))
    height = AROUND_PX + ROW_PX * len(groups)
    layout = lanes.layout(TITLE, SUBTITLES[measure], height)
    title = {"xref": "container", "x": 0, "pad": {"l": 6}}
    axis: dict[str, object] = {
        "fixedrange": True, "tickfont": {"size": 11}, "gridcolor": palette.GRID,
    }  # fmt: skip
    if len(settings) > 1:
        trace = _heat(effects, groups, settings, measure)
        below = "share of the channels removed" if any(e.share for e in effects) else ""
        axis |= {"type": "category", "title": {"text": below, "font": {"size": 11}}}
    else:
        trace = _bars(effects, measure)
        # A bar of a logarithm starts at the smallest error shown: its label is the number.
        top = max([_height(effect, measure) for effect in effects], default=0.0)
        least = -math.log10(SMALLEST) if measure == ERROR else 1.0
        axis |= {"showticklabels": False, "range": [0, 1.2 * max(top, least)]}
    rows = {
        "autorange": "reversed", "fixedrange": True, "tickfont": {"size": 11}, "automargin": True,
    }  # fmt: skip
    layout["title"] = {**layout["title"], **title}
    return go.Figure({"data": [trace], "layout": layout | {"xaxis": axis, "yaxis": rows}})


def _heat(
    effects: Sequence[LayerEffect],
    groups: Sequence[tuple[str, ...]],
    settings: Sequence[str],
    measure: str,
) -> dict[str, object]:
    known = {(effect.layers, effect.setting): effect for effect in effects}
    cells = [[known.get((group, setting)) for setting in settings] for group in groups]
    top = max([_height(effect, measure) for effect in effects], default=1.0)
    return dict(
        type="heatmap",
        x=list(settings),
        y=[label(group) for group in groups],
        z=[[None if cell is None else _height(cell, measure) for cell in row] for row in cells],
        zmin=0.0,
        zmax=max(top, 1.0),
        text=[["" if cell is None else _short(cell, measure) for cell in row] for row in cells],
        texttemplate="%{text}",
        textfont={"size": 10},
        hovertext=[["" if cell is None else hover(cell) for cell in row] for row in cells],
        hoverinfo="text",
        colorscale=LIGHT_TO_DARK,
        showscale=False,
        xgap=2,
        ygap=2,
    )


def _bars(effects: Sequence[LayerEffect], measure: str) -> dict[str, object]:
    return dict(
        type="bar",
        x=[_height(effect, measure) for effect in effects],
        y=[label(effect.layers) for effect in effects],
        orientation="h",
        marker={"color": palette.CANDIDATE},
        text=[words(effect, measure) for effect in effects],
        textposition="outside",
        cliponaxis=False,
        hovertext=[hover(effect) for effect in effects],
        hoverinfo="text",
        customdata=[list(effect.layers) for effect in effects],
    )


def words(effect: LayerEffect, measure: str) -> str:
    """What one mark says."""
    if measure == ERROR:
        return percent(effect.error)
    if measure == ANSWERS:
        return "" if effect.agreement is None else f"{100 - effect.agreement:.1f} %"
    return "" if effect.accuracy_lost is None else text.signed(-effect.accuracy_lost)


def _short(effect: LayerEffect, measure: str) -> str:
    """The same in a cell, which is narrow on a phone: the unit stands in the subtitle."""
    return words(effect, measure).removesuffix(" %")


def _height(effect: LayerEffect, measure: str) -> float:
    """How dark or how long a mark is; what is gained is as light as nothing lost."""
    if measure == ERROR:
        return _log(effect.error) - math.log10(SMALLEST)
    if measure == ANSWERS:
        return 0.0 if effect.agreement is None else 100 - effect.agreement
    return max(0.0, effect.accuracy_lost or 0.0)


def label(layers: Sequence[str]) -> str:
    """A group by its first layer; the end of a long name says more than its beginning."""
    first = layers[0] if layers else "?"
    short = first if len(first) <= LONGEST else "…" + first[-LONGEST:]
    return text.escape(short + (f" +{len(layers) - 1}" if len(layers) > 1 else ""))


def percent(error: float) -> str:
    """A relative error with two digits: 0.12 %."""
    if 0 < error < SMALLEST:
        return f"< {text.number(100 * SMALLEST, 1)} %"
    return f"{text.number(100 * error, 2)} %"


def hover(effect: LayerEffect) -> str:
    """Everything known of one mark."""
    lines = [f"<b>{text.escape(effect.setting)}</b>", f"output error {percent(effect.error)}"]
    if effect.agreement is not None:
        lines.append(f"same answer on {effect.agreement:.1f} % of the images")
    if effect.accuracy_lost is not None:
        lines.append(f"top-1 {text.signed(-effect.accuracy_lost)} points")
    lines += [text.escape(name) for name in effect.layers[:4]]
    return "<br>".join(lines)


def _log(error: float) -> float:
    return math.log10(max(error, SMALLEST))
