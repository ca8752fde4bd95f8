"""On which backends, with how many threads and images a recipe is measured."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.errors import CoreError, OpenShape
from core.recipes import original
from core.records import BackendInfo, ExperimentSpec, ModelSummary, Recipe
from core.workspace import Workspace
from core.workspace.facts import label as label_of
from core.workspace.facts import opening as opening_backends
from core.workspace.inputs import open_dims
from pages.shared import formatting, size_form
from pages.shared.data_picker import Data
from pages.shared.state import forms, visit

THREAD_WORDS = {1: "1", 2: "2", 0: "all"}
BUDGETS_S = (2, 5, 12, 30, 60)


@dataclass(frozen=True, slots=True)
class Target:
    """A choice of the multiselect: a backend at one of its precisions, or reading a format."""

    spec: str
    label: str


def targets(infos: tuple[BackendInfo, ...]) -> dict[str, Target]:
    """What can be measured here, by `name`, `name:precision` or `name@format`."""
    found = {}
    for info in infos:
        if info.reason:
            continue
        found[info.name] = Target(info.name, info.label)
        for precision in info.precisions[1:]:
            spec = f"{info.name}:{precision}"
            found[spec] = Target(spec, label_of(spec))
        for form in info.accepts[1:]:
            spec = f"{info.name}@{form}"
            found[spec] = Target(spec, label_of(spec))
    return found


def load(spec: ExperimentSpec) -> None:
    """Set the widgets to what a run was asked; call it before `show` in the same script run."""
    forms.backends.set(list(spec.backends))
    forms.threads.set([t for t in spec.threads if t in THREAD_WORDS])
    forms.images.set(spec.images)
    forms.budget.set(min(BUDGETS_S, key=lambda s: abs(s - spec.latency_budget_s)))
    forms.calibration.set(spec.calibration)
    forms.evaluation.set(spec.evaluation)
    size_form.load(spec)


def show(infos: tuple[BackendInfo, ...]) -> None:
    """Draw the widgets; their values are read by `spec`."""
    known = targets(infos)
    opening = [name for name in opening_backends() if name in known] or list(known)[:1]
    forms.backends.begin(opening)
    forms.backends.settle([name for name in forms.backends.get() if name in known])
    forms.threads.begin([1])
    forms.images.begin(forms.images.default)
    forms.budget.begin(forms.budget.default)
    st.pills(
        "Backends",
        list(known),
        selection_mode="multi",
        format_func=lambda name: known[name].label,
        key=forms.backends.key,
        persist_state="session",
        help="Accuracy and latency are measured on each of them.",
    )
    _missing(infos)
    st.pills(
        "Threads",
        list(THREAD_WORDS),
        selection_mode="multi",
        format_func=THREAD_WORDS.__getitem__,
        key=forms.threads.key,
        persist_state="session",
        help="Latency is measured once for each.",
    )
    with st.popover("How long to measure", type="tertiary"):
        st.number_input(
            "Evaluation images at most (0: all)",
            min_value=0,
            step=100,
            key=forms.images.key,
            persist_state="session",
            help="Fewer images answer sooner, with a wider interval.",
        )
        st.select_slider(
            "Seconds for a latency comparison",
            BUDGETS_S,
            key=forms.budget.key,
            persist_state="session",
            help="At most: it stops sooner once the interval is narrow enough.",
        )


def _missing(infos: tuple[BackendInfo, ...]) -> None:
    absent = [info for info in infos if info.reason]
    if not absent:
        return
    with st.popover(f"{len(absent)} more not installed here", type="tertiary"):
        for info in absent:
            st.markdown(f"**{formatting.plain(info.label)}**: {formatting.plain(info.reason)}")
            if info.remedy:
                st.code(info.remedy, language=None)


def spec(model: ModelSummary, recipe: Recipe, data: Data) -> ExperimentSpec:
    """The question that the widgets ask."""
    recipes = (original(), recipe) if recipe.steps else (original(),)
    return ExperimentSpec(
        title=f"{model.name}: {recipe.name}",
        model=model.digest,
        recipes=recipes,
        backends=tuple(forms.backends.get()),
        threads=tuple(sorted(forms.threads.get() or [1], key=lambda t: (t == 0, t))),
        calibration=data.calibration,
        evaluation=data.evaluation,
        images=int(forms.images.get()),
        latency_budget_s=float(forms.budget.get()),
        dims=size_form.dims(model),
    )


def look_at(workspace: Workspace, model: ModelSummary, owner: str) -> None:
    """Time the original of an upload at once, briefly; not where its size is still open."""
    known = [name for name in opening_backends() if name in targets(workspace.runs.backends())]
    if not known or open_dims(model.inputs):
        return
    asked = ExperimentSpec(
        title=f"{model.name}: the original",
        model=model.digest,
        recipes=(original(),),
        backends=tuple(known[:1]),
        latency_budget_s=float(BUDGETS_S[0]),
    )
    with contextlib.suppress(CoreError):  # nobody asked for it: Measure will say what is in the way
        run_id = workspace.runs.submit(asked, owner)
        visit.run.link(run_id)
        forms.filled_for.set(run_id)  # they keep the recipe that they begin with


def button(place: DeltaGenerator, busy: bool) -> bool:
    """The button that starts it; it waits while this visitor's run goes on."""
    return place.button(
        "Measuring …" if busy else "Measure",
        type="primary",
        key="measure",
        width="stretch",
        disabled=busy,
        help="Runs original and candidate on every chosen backend.",
    )


def submit(workspace: Workspace, question: ExperimentSpec, owner: str) -> str:
    """Start the run and put it into the address; say what is missing instead, if anything is.

    Returns:
        Its id; empty where none was started.
    """
    if not question.backends:
        visit.notice.set("Choose at least one backend to measure on.")
        return ""
    try:
        run_id = workspace.runs.submit(question, owner)
    except CoreError as error:
        where = "The fields stand under Measure on, beside the recipe."
        words = (error.message, error.remedy, where if isinstance(error, OpenShape) else "")
        visit.notice.set(" ".join(filter(None, words)))
        return ""
    visit.run.link(run_id)
    forms.filled_for.set(run_id)  # they stand at its question already
    return run_id
