"""Session state of Model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.charts.layers import Share
from pages.shared.field import Field, Pick

Question = tuple[str, str, str, int]  # run, candidate, backend, threads


@dataclass(frozen=True, slots=True)
class ModelState:
    """How the layers are drawn, and which one is looked at.

    Attributes:
        share: of what each layer's part is drawn.
        net: the picture of the graph; it keeps the layer that is picked in it.
        layers: the table, in which a layer can be picked.
        first: name of the layer that was picked in the picture: the table begins with it.
        focus: the layer that the picture is to show, and how often it was asked to.
        after: digest of the candidate that the model is compared with; empty for none.
        backend: whose layer times are shown.
        timing: the layer times that are being measured.
        refused: the layer times that could not be measured, and why.
        histograms: whether those of the picked layer are shown.
        doctor: the model, images and visitor whose targets are being tried.
        untried: those that could not be tried, and why.
        target: that rewrites are applied for; empty for all.
        adapted: what was applied, to say once.
    """

    share: Field[Share] = Field("model.share", "macs")
    net: Field[Mapping[str, Any] | None] = Field("model.net", None)
    layers: Field[Pick | None] = Field("model.layers", None)
    first: Field[str] = Field("model.first", "")
    focus: Field[tuple[str, int]] = Field("model.focus", ("", 0))
    after: Field[str] = Field("model.after", "")
    backend: Field[str] = Field("model.backend", "")
    timing: Field[Question | None] = Field("model.timing", None)
    refused: Field[tuple[Question, str] | None] = Field("model.refused", None)
    histograms: Field[bool] = Field("model.histograms", False)
    doctor: Field[tuple[str, str, str] | None] = Field("model.doctor", None)
    untried: Field[tuple[tuple[str, str, str], str] | None] = Field("model.untried", None)
    target: Field[str] = Field("model.target", "")
    adapted: Field[str] = Field("model.adapted", "")


state = ModelState()


def picked() -> tuple[str, str]:
    """Names of the layer that is picked in the picture, before and after; empty for none."""
    layer = (state.net.get() or {}).get("layer") or {}
    return str(layer.get("before") or ""), str(layer.get("after") or "")
