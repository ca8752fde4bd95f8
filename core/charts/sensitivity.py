"""How sensitive a model is, layer by layer: a heat map over settings, or bars for one setting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from core.charts import lanes, palette, text
from core.records import LayerEffect

TITLE = "Sensitivity per layer"
ROW_PX, AROUND_PX = 22, 140
LONGEST = 34
SMALLEST = 1e-6
LIGHT_TO_DARK = [[0.0, "#dbe7fb"], [0.5, "#5b8def"], [1.0, "#0f2f75"]]


def sensitivity_figure(effects: Sequence[LayerEffect]) -> go.Figure:
    """Relative error of the outputs when one group of layers alone is changed.

    Rows are groups in the order of the network; `customdata` of each mark is (group, setting).
    """
    settings = list(dict.fromkeys(effect.setting for effect in effects))
    groups = list(dict.fromkeys(effect.layers for effect in effects))
    height = AROUND_PX + ROW_PX * len(groups)
    subtitle = "error of the outputs if it alone is changed, of their variance · on a log scale"
    figure = lanes.frame(TITLE, subtitle, height)
    if len(settings) > 1:
        figure.add_trace(_heat(effects, groups, settings))
    else:
        figure.add_trace(_bars(effects))
        # A bar of a logarithm starts at the smallest error shown: its label is the number.
        figure.update_xaxes(showticklabels=False, range=[0, -1.15 * math.log10(SMALLEST)])
    figure.update_yaxes(autorange="reversed", fixedrange=True, tickfont_size=11, automargin=True)
    figure.update_xaxes(fixedrange=True, tickfont_size=11, gridcolor=palette.GRID)
    return figure


def _heat(
    effects: Sequence[LayerEffect], groups: Sequence[tuple[str, ...]], settings: Sequence[str]
) -> go.Heatmap:
    known = {(effect.layers, effect.setting): effect for effect in effects}
    cells = [[known.get((group, setting)) for setting in settings] for group in groups]
    return go.Heatmap(
        x=list(settings),
        y=[label(group) for group in groups],
        z=[[None if cell is None else _log(cell.error) for cell in row] for row in cells],
        text=[["" if cell is None else percent(cell.error) for cell in row] for row in cells],
        texttemplate="%{text}",
        textfont_size=10,
        hovertext=[["" if cell is None else hover(cell) for cell in row] for row in cells],
        hoverinfo="text",
        colorscale=LIGHT_TO_DARK,
        showscale=False,
        xgap=2,
        ygap=2,
    )


def _bars(effects: Sequence[LayerEffect]) -> go.Bar:
    return go.Bar(
        x=[_log(effect.error) - math.log10(SMALLEST) for effect in effects],
        y=[label(effect.layers) for effect in effects],
        orientation="h",
        marker_color=palette.CANDIDATE,
        text=[percent(effect.error) for effect in effects],
        textposition="outside",
        cliponaxis=False,
        hovertext=[hover(effect) for effect in effects],
        hoverinfo="text",
        customdata=[list(effect.layers) for effect in effects],
    )


def label(layers: Sequence[str]) -> str:
    """A group by its first layer; the end of a long name says more than its beginning."""
    first = layers[0] if layers else "?"
    short = first if len(first) <= LONGEST else "…" + first[-LONGEST:]
    return text.escape(short + (f" +{len(layers) - 1}" if len(layers) > 1 else ""))


def percent(error: float) -> str:
    """A relative error with two digits: 0.12 %."""
    return f"{text.number(100 * error, 2)} %"


def hover(effect: LayerEffect) -> str:
    """Everything known of one mark."""
    lines = [f"<b>{text.escape(effect.setting)}</b>", f"output error {percent(effect.error)}"]
    if effect.agreement is not None:
        lines.append(f"same answer on {effect.agreement:.1f} % of the images")
    lines += [text.escape(name) for name in effect.layers[:4]]
    return "<br>".join(lines)


def _log(error: float) -> float:
    return math.log10(max(error, SMALLEST))
