"""Histograms of the picked layer: its weights, and what leaves it over some images."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from core.charts.distribution import HEIGHT, distribution_figure, facts
from core.charts.net import Side
from core.records import Distributions, Histogram, ModelSummary
from core.workspace import Workspace
from pages.model.state import picked, state
from pages.shared import data_picker, session
from pages.shared.data_picker import Data

LOOK_S = 1.0
Layers = Sequence[tuple[str, str]]  # digest of a model, name of a layer of it
CONFIG = {"displaylogo": False, "displayModeBar": False}


def show(workspace: Workspace, model: ModelSummary, sides: Sequence[Side]) -> None:
    """A switch; while it is on, the histograms of whatever layer is picked."""
    on = st.toggle("Weights and activations of the picked layer", key=state.histograms.key)
    if not on:
        return
    layers = [(side.digest, name) for side, name in zip(sides, picked(), strict=False)]
    if not any(name for _, name in layers):
        st.caption("Pick a layer in the graph or in the list.")
        return
    data = data_picker.chosen_for(workspace, model.digest)
    waits = any(look is None for look in _asked(workspace, layers, data))
    st.fragment(_panel, run_every=LOOK_S if waits else None)(workspace, layers, data, waits)


@session.spoken()
def _panel(workspace: Workspace, layers: Layers, data: Data, waits: bool) -> None:
    found = _asked(workspace, layers, data)
    missing = any(one is None for one in found)
    if waits and not missing:
        st.rerun()  # from here on nothing is looked for any more
    if missing:
        st.caption("Counting …")
        return
    known = [one or Distributions() for one in found]
    draw(known, bool(data.calibration))


def _asked(workspace: Workspace, layers: Layers, data: Data) -> list[Distributions | None]:
    """Of each side; one that has no such layer has nothing to show."""
    return [
        workspace.insights.distributions(
            digest, name, data.calibration, data.evaluation, session.owner()
        )
        if name
        else Distributions()
        for digest, name in layers
    ]


def draw(known: Sequence[Distributions], has_images: bool) -> None:
    """Weights left, activations right; below each other on a phone."""
    left, right = st.columns(2)
    before, after = known[0], known[1] if len(known) > 1 else Distributions()
    with left:
        _figure(distribution_figure("Weights", before.weights, after.weights), "weights")
        _facts((before.weights, after.weights))
    with right:
        if has_images:
            about = f"over {max(before.images, after.images):,} calibration images"
            both = before.activations, after.activations
            _figure(distribution_figure("What leaves the layer", *both, about), "activations")
            _facts(both)
        else:
            st.caption("What leaves the layer needs calibration images: choose some on Optimize.")
    st.caption(
        "Weights are shown as the model computes with them. Folding a batch norm and equalising "
        "channels change their scale, not what the net computes."
    )


def _figure(figure: go.Figure, what: str) -> None:
    alt = f"Distribution of the {what} of the picked layer, before and after"
    st.plotly_chart(figure, key=f"model.{what}", height=HEIGHT, config=CONFIG, alt=alt)


def _facts(both: Sequence[Histogram | None]) -> None:
    for name, histogram in zip(("Before", "After"), both, strict=True):
        if histogram is not None:
            st.caption(f"{name}: {facts(histogram)}.")
