"""The accuracy to expect of a recipe that prunes, before it is measured: drawn as a forecast."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from core.errors import CoreError
from core.records import AccuracyForecast, ModelSummary, Preview, Recipe, Sensitivity
from core.workspace import Workspace
from core.workspace.forecasts import (
    before_a_cut,
    cutting,
    forecast,
    obstacle,
    uncut,
)
from pages.shared import data_picker, session
from pages.shared.data_picker import Data
from pages.shared.state import panels

POLL_S = 1.5
IMAGES = "calibration images"
FAMILIAR_IMAGES = "enlarged images, as it knows them"  # two lines of a tile


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What is known of the accuracy: a forecast, that one is being made, or why there is none.

    Attributes:
        expected: the forecast.
        waiting: whether one is being made.
        reason: why there is none.
        warning: that it is a bad one, and what may be better.
        images: what the forecast is told from.
    """

    expected: AccuracyForecast | None = None
    waiting: bool = False
    reason: str = ""
    warning: str = ""
    images: str = IMAGES


def of(
    workspace: Workspace, model: ModelSummary, recipe: Recipe, preview: Preview | None
) -> Foreseen:
    """The forecast for a recipe whose only loss is a repaired cut with exact counts."""
    position = cutting(preview)
    if position is None or preview is None:
        return Foreseen()
    data = data_picker.chosen()
    if why := obstacle(model, recipe, preview, position, bool(data.calibration)):
        return Foreseen(reason=why)
    try:
        known = sensitivity(workspace, model.digest, recipe, position, data)
    except CoreError as error:
        return Foreseen(reason=f"no forecast: {error.message}")
    if known is None:
        return Foreseen(waiting=True, reason="a forecast is being made …")
    cuts = preview.report[position].cuts
    expected = forecast(cuts, known)
    if expected is None:
        return Foreseen(reason="no forecast for this model")
    warning = before_a_cut(expected, cuts, known)
    images = FAMILIAR_IMAGES if known.familiar else IMAGES
    return Foreseen(expected, warning=warning, images=images)


def sensitivity(
    workspace: Workspace, model: str, recipe: Recipe, position: int, data: Data
) -> Sensitivity | None:
    """What pruning costs the model as the steps before it leave it; None while that is measured.

    Raises:
        CoreError: it cannot be measured.
    """
    before = uncut(recipe, position)
    panels.sensitivity_asked(model).set(True)  # the heat map rests on the same measurement
    visitor = session.owner()
    return workspace.insights.sensitivity(model, before, data.calibration, data.evaluation, visitor)


def wait(workspace: Workspace, model: str, recipe: Recipe, position: int) -> None:
    """Look again now and then, and paint the page anew once the forecast is there."""
    try:
        known = sensitivity(workspace, model, recipe, position, data_picker.chosen())
    except CoreError:
        st.rerun()
    if known is not None:
        st.rerun()
