"""Where a model runs: every target as it is, with exact rewrites, or the nodes in the way."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.charts import palette
from core.errors import CoreError
from core.records import Diagnosis, Fate, Finding, ModelSummary, Obstacle
from core.workspace import Workspace
from core.workspace.passes import FREEZE, labels, steps
from pages.model.state import state
from pages.shared import data_picker, formatting, row_cards, session
from pages.shared.state import forms, uploads, visit

LOOK_S = 2.0
ALL = ""
SHOWN = 12  # nodes of one target
FATES = {
    Fate.RUNS: "runs",
    Fate.WRONG: "wrong answers",
    Fate.REFUSED: "does not run",
    Fate.UNCHECKED: "runs, not compared",
    Fate.ABSENT: "not installed",
}
COLUMNS = ("Target", "As it is", "After rewrites", "In the way")
Asked = tuple[str, str, str]  # model, images, visitor


def show(workspace: Workspace, model: ModelSummary) -> None:
    """The matrix, once it is known; before that a button that asks for it."""
    st.header("Where it runs")
    data = data_picker.chosen_for(workspace, model.digest).evaluation
    asked: Asked = (model.digest, data, session.owner())
    with session.spoken():
        found = workspace.insights.diagnosed(*asked)
        if found is None:
            waits = state.doctor.get() == asked
            st.fragment(_panel, run_every=LOOK_S if waits else None)(workspace, asked, waits)
        else:
            _findings(found)
            _apply(workspace, model, found)
    if done := state.adapted.take():
        st.success(done)
    if notice := visit.notice.take():
        st.error(formatting.plain(notice))


@session.spoken()
def _panel(workspace: Workspace, asked: Asked, waits: bool) -> None:
    """The button, or how far the work is; a click makes the page look again, or stop looking."""
    if (state.doctor.get() == asked) != waits:
        st.rerun()
    if not waits:
        st.caption(
            "Loads and runs the model on every runtime that is here, compares the answers, and "
            "finds which exact rewrites help where it fails. About a minute."
        )
        st.button("Try every target", key="doctor.try", on_click=_begin, args=(asked,))
        refused = state.untried.get()
        if refused is not None and refused[0] == asked:
            st.warning(formatting.plain(refused[1]))
        return
    try:
        known = workspace.insights.diagnosis(*asked) is not None
    except CoreError as error:
        state.untried.set((asked, error.reason))
        known = True
    if known:
        state.doctor.clear()
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(formatting.plain(workspace.insights.diagnosis_told(*asked)) + " …")
        st.button("Stop", key="doctor.stop", on_click=_stop, args=(workspace, asked))


def _begin(asked: Asked) -> None:
    state.untried.clear()
    state.doctor.set(asked)


def _stop(workspace: Workspace, asked: Asked) -> None:
    workspace.insights.stop_diagnosis(*asked)
    state.doctor.clear()


def _findings(found: Diagnosis) -> None:
    """A row for each target, the alarms, and why targets fail."""
    st.caption(formatting.plain(_conditions(found)))
    for name in found.constant:
        st.warning(f"Output {formatting.plain(name)} is the same for every input.")
    rows = [dict(zip(COLUMNS, _row(finding), strict=True)) for finding in found.findings]
    row_cards.show("targets", rows, COLUMNS[:1], COLUMNS[1:], unfolded=True)
    row_cards.wide("targets").dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={COLUMNS[2]: st.column_config.TextColumn(width="large")},
        alt="What becomes of the model on each target",
    )
    failing = [f for f in found.findings if f.as_it_is.fate in (Fate.WRONG, Fate.REFUSED)]
    if failing:
        with st.expander("What stands in the way"):
            for finding in failing:
                _why(finding)


def _conditions(found: Diagnosis) -> str:
    inputs = "the first evaluation images" if found.images else "made-up inputs"
    sizes = ", ".join(f"{name} = {size}" for name, size in found.dims.items())
    return f"Compared by name with ONNX Runtime on {inputs}" + (f", {sizes}." if sizes else ".")


def _row(finding: Finding) -> tuple[str, str, str, str]:
    now = FATES[finding.as_it_is.fate]
    after = ""
    if finding.unlocked:
        after = f"runs with: {_named(finding.rewrites)}"
    elif finding.rewritten is not None:
        after = f"{FATES[finding.rewritten.fate]} either"
    left = finding.remaining or finding.obstacles
    kinds = ", ".join(dict.fromkeys(one.operator for one in left))
    return palette.label(finding.target), now, after, kinds


def _why(finding: Finding) -> None:
    """The target's own words, and the nodes that it names or that fail alone."""
    st.markdown(f"**{formatting.plain(palette.label(finding.target))}**")
    st.caption(formatting.plain(finding.as_it_is.reason))
    nodes = finding.remaining or finding.obstacles
    lines = [f"- {_obstacle(one)}" for one in nodes[:SHOWN]]
    if len(nodes) > SHOWN:
        lines.append(f"- and {len(nodes) - SHOWN} more")
    if not nodes:
        lines.append("- No node fails alone: it is the shapes, or how the target joins nodes.")
    st.markdown("\n".join(lines))


def _obstacle(one: Obstacle) -> str:
    name = f"{formatting.plain(one.operator)} {formatting.plain(one.node)}"
    return f"{name}: {formatting.plain(one.reason)}" if one.reason else name


def _named(names: Sequence[str]) -> str:
    return ", ".join(labels()[name] for name in names)


def _apply(workspace: Workspace, model: ModelSummary, found: Diagnosis) -> None:
    """One click switches the rewrites on: for all targets, or for one."""
    if not found.for_all:
        return
    helped = [finding.target for finding in found.findings if finding.unlocked]
    if state.target.get() not in (ALL, *helped):
        state.target.clear()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        target = st.selectbox(
            "Rewrites for",
            [ALL, *helped],
            format_func=lambda name: palette.label(name) if name else "all of them",
            key=state.target.key,
            width=280,
        )
        names = next((f.rewrites for f in found.findings if f.target == target), found.for_all)
        st.button(
            "Apply",
            type="primary",
            key="doctor.apply",
            on_click=_adapt,
            args=(workspace, model, dict(found.dims), names),
            help="Switches these rewrites on in the recipe on Optimize. Shapes that must be fixed "
            "make another model of it, which is chosen then.",
        )
    st.caption(formatting.plain(f"{_named(names)}. {_broken(found, target)}".strip()))


def _broken(found: Diagnosis, target: str) -> str:
    """Targets that all rewrites together do not suit."""
    lost = [
        palette.label(f.target)
        for f in found.findings
        if target == ALL and f.together is not None and not f.together.runs
        if f.as_it_is.runs or f.unlocked
    ]
    return f"All together do not run on {', '.join(lost)}." if lost else ""


def _adapt(
    workspace: Workspace, model: ModelSummary, dims: dict[str, int], names: Sequence[str]
) -> None:
    """Put the rewrites into the recipe, whatever else is in it; freeze the model where asked."""
    try:
        if FREEZE in names:
            frozen = workspace.models.freeze(model.digest, dims, session.owner())
            uploads.pending("model").set(frozen.digest)
    except CoreError as error:
        visit.notice.set(error.reason)
        return
    forms.added.set(steps(names))
    said = f"Applied: {_named(names)}."
    if FREEZE in names:
        said += " The model with fixed shapes is chosen now."
    if steps(names):
        said += " The rewrites are switched on in the recipe on Optimize."
    state.adapted.set(formatting.plain(said))
