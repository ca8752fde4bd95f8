"""See the net: the graph of the model, and beside it what a recipe of the run made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from core.charts.net import Side, is_drawn, net, too_many
from core.records import Explanation, ModelSummary, Outcome, Run
from core.records.standing import outcome_of
from core.workspace import Workspace
from pages.model import distributions, times
from pages.model.state import picked, state
from pages.shared import component, downloads, formatting, session
from pages.shared.field import select

ALONE = ""
ORIGINAL = "Original"
_FRONT = Path(__file__).parents[2] / "static" / "net"
# The modules lie where the browser finds and keeps them; only this line travels with the page.
_LOAD = """
let view = null;
export default function (component) {
  view ??= import(new URL("app/static/net/view.js", document.baseURI).href);
  view.then(({ show }) => show(component));
}
"""


@session.spoken()
def show(workspace: Workspace, model: ModelSummary, run: Run | None) -> None:
    """The picture, what it is compared with, and the histograms of the layer that is picked."""
    st.header("The net")
    outcome = answer = None
    if run is not None and run.spec.model == model.digest:
        with st.container(horizontal=True, vertical_alignment="bottom", key="net_choices"):
            outcome = _compared(run)
            made = outcome.candidate if outcome is not None else None
            answer = times.show(workspace, run, made.digest if made is not None else model.digest)
    sides = _sides(workspace, model, outcome)
    if words := too_many(sides):
        st.info(formatting.plain(words))
    if is_drawn(sides):
        draw(sides, answer, frozenset(layer.name for layer in model.layers))
        distributions.show(workspace, model, sides)


def draw(sides: Sequence[Side], answer: Explanation | None, listed: Collection[str]) -> None:
    """The graphs, which the browser lays out; what is picked there, the table shows too."""
    drawn = net(sides, answer)
    layer, turn = state.focus.get()
    data = {
        "key": hashlib.sha256(json.dumps(drawn).encode()).hexdigest(),
        "net": drawn,
        "focus": {"layer": layer, "turn": turn},
    }
    _view()(data=data, key=state.net.key, on_layer_change=lambda: _picked(listed))


def _picked(listed: Collection[str]) -> None:
    name = next((name for name in picked() if name in listed), "")
    asked, turn = state.focus.get()
    if name == asked:
        return  # the table asked for it: its rows stay where they are
    state.focus.set((name, turn))
    state.first.set(name)
    select(state.layers, [0] if name else ())


def _compared(run: Run) -> Outcome | None:
    """The candidate to be compared with: the one that is looked at elsewhere, until another."""
    made = {
        outcome.candidate.digest: outcome.recipe.name
        for outcome in run.outcomes[1:]
        if outcome.candidate is not None and outcome.candidate.digest != run.spec.model
    }
    if not made:
        return None
    if state.after.get() not in (*made, ALONE) or not state.after.is_set():
        shown = downloads.chosen(run)
        digest = shown.candidate.digest if shown is not None and shown.candidate else ""
        state.after.set(digest if digest in made else next(iter(made)))
    names = formatting.apart({ALONE: "nothing: the original alone"} | made)
    st.selectbox("Compare with", list(names), format_func=names.__getitem__, key=state.after.key)
    return outcome_of(run, state.after.get()) if state.after.get() else None


def _sides(workspace: Workspace, model: ModelSummary, outcome: Outcome | None) -> list[Side]:
    """The models, read when they are first seen."""
    with st.spinner("Reading the graph"):
        sides = [Side(ORIGINAL, model.digest, workspace.insights.topology(model.digest))]
        if outcome is not None and outcome.candidate is not None:
            made = outcome.candidate
            topology = workspace.insights.topology(made.digest)
            sides.append(Side(outcome.recipe.name, made.digest, topology, made.report))
    return sides


def _view() -> Any:
    html, css = ((_FRONT / f"view.{kind}").read_text(encoding="utf-8") for kind in ("html", "css"))
    return component.component("net", html, css, _LOAD)
