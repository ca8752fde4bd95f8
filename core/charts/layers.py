"""Where a model's multiply-accumulates and bytes are, layer by layer."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import plotly.graph_objects as go

from core.charts import lanes, palette, text
from core.records import OPEN_SHAPE, LayerCost, ModelSummary

HEIGHT = 420
MOST_BARS = 600
REST = "other layers"
_KIND_COLORS = ("#2a7de1", "#d9660f", "#079a72", "#b565bf", "#8b7a1c", "#1a93ad", "#c04f86")
_OTHER = "#6f7b90"
Share = Literal["macs", "size_bytes", "parameters"]
_WORDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "macs": ("MACs", "multiply-accumulates for one sample", text.COUNT),
    "size_bytes": ("Bytes", "bytes of the weights", text.BYTES),
    "parameters": ("Parameters", "numbers in the weights", text.COUNT),
}


def layers_figure(summary: ModelSummary, share: Share = "macs") -> go.Figure:
    """A bar per layer, in the order of the graph, coloured by kind of layer."""
    title, about, units = _WORDS[share]
    colors = kind_colors(summary)
    kept = [layer for layer in summary.layers if getattr(layer, share)]
    if not kept:
        unknown = any(getattr(layer, share) is None for layer in summary.layers)
        return lanes.message(title, OPEN_SHAPE if unknown else "No layer of this model has any.")
    total = sum(getattr(layer, share) for layer in kept)
    if len(kept) > MOST_BARS:
        least = sorted((getattr(layer, share) for layer in kept), reverse=True)[MOST_BARS - 1]
        kept = [layer for layer in kept if getattr(layer, share) >= least][:MOST_BARS]
        about += f" · the {MOST_BARS} largest of {len(summary.layers):,} layers"
    divisor, unit = text.scale(max(getattr(layer, share) for layer in kept), units)
    figure = lanes.frame(f"{title} layer by layer", about, HEIGHT)
    for kind, color in colors.items():
        here = [(i, layer) for i, layer in enumerate(kept, 1) if _shown(layer, colors) == kind]
        if here:
            figure.add_trace(
                go.Bar(
                    x=[index for index, _ in here],
                    y=[getattr(layer, share) / divisor for _, layer in here],
                    name=text.escape(kind),
                    width=0.88,  # else the bars of a kind are as wide as its layers are apart
                    marker_color=color,
                    hovertext=[_hover(layer, share, total, units) for _, layer in here],
                    hoverinfo="text",
                )
            )
    figure.update_xaxes(
        title_text="layer, input to output", range=[0.4, max(len(kept), 8) + 0.6],
        gridcolor=palette.NOTHING, fixedrange=True, zeroline=False,
    )  # fmt: skip
    figure.update_yaxes(
        title_text=f"{title} ({unit})" if unit else title, rangemode="tozero", automargin=True,
        gridcolor=palette.GRID, fixedrange=True, zeroline=False,
    )  # fmt: skip
    return figure.update_layout(
        showlegend=True, bargap=0.12, barmode="overlay",
        margin={"l": 56, "r": 10, "t": 60, "b": 96},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
    )  # fmt: skip


def kind_colors(summary: ModelSummary) -> dict[str, str]:
    """Kind of layer -> colour, those that compute most first; the rare ones share the last."""
    weight: Counter[str] = Counter()
    for layer in summary.layers:
        weight[layer.kind] += (layer.macs or 0) + layer.parameters
    common = [kind for kind, _ in weight.most_common(len(_KIND_COLORS))]
    return dict(zip(common, _KIND_COLORS, strict=False)) | {REST: _OTHER}


def _shown(layer: LayerCost, colors: dict[str, str]) -> str:
    return layer.kind if layer.kind in colors else REST


def layer_rows(summary: ModelSummary) -> list[dict[str, object]]:
    """The layer table: one record per layer that computes, with its share of the MACs."""
    counted = [layer.macs for layer in summary.layers if layer.macs is not None]
    macs = sum(counted) if len(counted) == len(summary.layers) else None
    size = sum(layer.size_bytes for layer in summary.layers)
    return [
        {
            "layer": layer.name,
            "type": layer.kind,
            "operator": layer.op_type,
            "output shape": " × ".join(str(side) for side in layer.output_shape),
            "parameters": layer.parameters,
            "MACs": layer.macs,
            "MACs (%)": _percent(layer.macs, macs),
            "bytes": layer.size_bytes,
            "bytes (%)": 100 * layer.size_bytes / size if size else 0.0,
        }
        for layer in summary.layers
    ]


def _percent(part: int | None, whole: int | None) -> float | None:
    """None where either is unknown."""
    if part is None or whole is None:
        return None
    return 100 * part / whole if whole else 0.0


def _hover(layer: LayerCost, share: Share, total: int, units: tuple[str, ...]) -> str:
    value = getattr(layer, share)
    shape = " × ".join(str(side) for side in layer.output_shape)
    return "<br>".join(
        [
            f"<b>{text.wrap(layer.name, 44, 3)}</b>",
            f"{text.escape(layer.kind)} → {text.escape(shape)}",
            f"{text.quantity(value, units)} ({100 * value / total:.1f} %)",
        ]
    )
