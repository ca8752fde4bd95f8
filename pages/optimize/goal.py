"""Goal bar: what is wanted, as one sentence with fields, and the search for it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.recipes import key, name_of, same
from core.records import ExperimentSpec, Goal, ModelSummary, Objective, Outcome, Recipe, Run
from core.search import goal as search
from core.search import lookup
from core.search.choose import Choice, Grounds, Selection, answer, judged
from core.search.constraints import Limits
from core.wording import sentences
from core.workspace import Workspace
from pages.optimize.state import state
from pages.shared import formatting, measure_form, progress, recipe_form, size_form
from pages.shared.data_picker import Data
from pages.shared.state import forms

OBJECTIVES = tuple(objective.value for objective in Objective)
BOUNDS = {
    state.max_drop: (0.0, search.MOST_DROP),
    state.minutes: (search.LEAST_MINUTES, search.MOST_MINUTES),
}
NO_IMAGES = "Choose evaluation images first: without them nothing says what a recipe loses."


def show(workspace: Workspace, model: ModelSummary, data: Data, busy: bool) -> bool:
    """The sentence with its fields; whether Go was pressed."""
    known = measure_form.targets(workspace.runs.backends())
    _begin(list(known))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="goal"):
        _word("Make it")
        st.selectbox(
            "Objective", OBJECTIVES, key=state.objective.key, width=148, persist_state="session",
            label_visibility="collapsed",
        )  # fmt: skip
        _word("within")
        st.number_input(
            "Points to lose at most", *BOUNDS[state.max_drop], step=0.5, format="%.1f", width=116,
            key=state.max_drop.key, label_visibility="collapsed", persist_state="session",
        )  # fmt: skip
        _word("points, on")
        st.selectbox(
            "Backend of the goal", list(known), format_func=lambda name: known[name].label,
            key=state.goal_backend.key, width=184, label_visibility="collapsed",
            persist_state="session",
        )  # fmt: skip
        _word("in about")
        st.number_input(
            "Minutes", *BOUNDS[state.minutes], step=1.0, format="%g", width=104,
            key=state.minutes.key, label_visibility="collapsed", persist_state="session",
        )  # fmt: skip
        _word("min:")
        pressed = st.button(
            "Go", type="primary", key="goal.go", disabled=busy or not data.evaluation, width=72,
            help="Tries what is known to pay, measures each try, and shows the best so far.",
        )  # fmt: skip
    if not data.evaluation:
        st.caption(NO_IMAGES)
    return pressed


def _word(text: str) -> None:
    st.html(f'<span class="lathe-goal-word">{text}</span>', width="content")


def _begin(known: list[str]) -> None:
    """Stand every field at something that it offers."""
    state.objective.begin(state.objective.default)
    state.max_drop.begin(state.max_drop.default)
    state.minutes.begin(state.minutes.default)
    opening = [name for name in forms.backends.get() if name in known] or known
    if state.goal_backend.get() not in known:
        state.goal_backend.set(opening[0] if opening else "")


def wanted() -> Goal:
    """What the fields say."""
    return Goal(
        Objective(state.objective.get()),
        float(state.max_drop.get()),
        state.goal_backend.get(),
        float(state.minutes.get()),
    )


def question(model: ModelSummary, recipe: Recipe, data: Data) -> ExperimentSpec:
    """The question that the fields ask; the recipe of the form is no part of it."""
    return search.question(
        wanted(),
        model,
        data.calibration,
        data.evaluation,
        images=int(forms.images.get()),
        dims=size_form.dims(model),
    )


def opened(run: Run | None) -> None:
    """Stand the fields at the goal of a run that was opened, and note where the recipe stands.

    A form that came with another recipe of the run than its best shows that recipe's numbers.
    """
    goal = run.spec.goal if run is not None else None
    if run is None or goal is None or state.goal_at.get()[0] == run.id:
        return
    now = recipe_form.current()
    another = lookup.asks(run, run.spec.model, now) and not same(now, lookup.opening(run))
    state.goal_at.set((run.id, "" if another else key(now.steps)))
    state.objective.set(goal.objective.value)
    state.max_drop.set(goal.max_drop)
    state.goal_backend.set(goal.backend)
    state.minutes.set(goal.minutes)


def follow(run: str, recipe: Recipe) -> None:
    """Show the best of a search that begins, until the form is moved from where it stands."""
    state.goal_at.set((run, key(recipe.steps)))


def follows(run: Run, recipe: Recipe) -> bool:
    """Whether the best of the run is shown: the form was not moved since it was opened."""
    return run.spec.goal is not None and state.goal_at.get() == (run.id, key(recipe.steps))


def best_so_far(run: Run) -> Outcome | None:
    """What the search found, or what comes nearest."""
    found = answer(run)
    nearest = found and (found.best or found.closest)
    return nearest.outcome if nearest else None


def sentence(run: Run, outcome: Outcome | None) -> str:
    """Where the search stands, to go on behind a colon: what is best, or what is lacking."""
    goal, found = run.spec.goal, answer(run)
    if goal is None or found is None or outcome is None or _is_open(run, found.closest):
        return ""
    tried = sum(one.candidate is not None for one in run.outcomes[1:])
    points = f"{goal.max_drop:g} point{'s' * (goal.max_drop != 1)}"
    so_far = "So far the" if progress.is_live(run) else "The"
    if found.best is not None and found.best.outcome is outcome:
        return (
            f"{so_far} {goal.objective.value} of {tried} within {points} is "
            f"{name_of(outcome.recipe)}"
        )
    if found.best is None and found.closest is not None and found.closest.outcome is outcome:
        lack = found.lack.value if found.lack is not None else ""
        return f"{'So far ' * progress.is_live(run)}{lack}; closest is {name_of(outcome.recipe)}"
    return ""


def _is_open(run: Run, closest: Choice | None) -> bool:
    """Whether nothing can be said before what comes closest is measured."""
    unknown = closest is not None and closest.accuracy.grounds is Grounds.UNKNOWN
    return unknown and progress.is_live(run)


def tried(run: Run) -> None:
    """Every recipe of the search with what it gained and lost, and what was not tried."""
    goal = run.spec.goal
    if goal is None:
        return
    found, made = answer(run), {key(one.recipe.steps): one for one in reversed(run.outcomes)}
    rows = [
        _row(run, goal, recipe, made.get(key(recipe.steps)), found)
        for recipe in run.spec.recipes[1:]
    ]
    left = sentences(search.left_out(run.model, goal, bool(run.spec.calibration)))
    with st.expander(f"What was tried: {len(rows)}", expanded=True):
        if rows:
            st.dataframe(
                pd.DataFrame(rows),
                hide_index=True,
                height=min(35 * (len(rows) + 1) + 3, 420),
                column_config=COLUMNS,
                alt="Every recipe that the search tried",
            )
        for line in left:
            st.caption(formatting.plain(line))


COLUMNS = {
    "recipe": st.column_config.TextColumn(width=330),
    "time": st.column_config.NumberColumn("time, × the original's", format="%.2f", width=140),
    "lost": st.column_config.NumberColumn("lost (points)", format="%.1f", width=105),
    "size": st.column_config.NumberColumn("size (MB)", format="%.2f", width=90),
    "result": st.column_config.TextColumn("result", width="large"),
}


def _row(
    run: Run, goal: Goal, recipe: Recipe, outcome: Outcome | None, found: Selection | None
) -> dict[str, object]:
    row: dict[str, object] = {"recipe": name_of(recipe), "time": None, "lost": None, "size": None}
    if outcome is None:
        return row | {"result": "in the making" if progress.is_live(run) else "not finished"}
    choice = judged(run, outcome, Limits(goal.max_drop))
    if choice is None:
        return row | {"result": outcome.reason}
    lost = choice.accuracy.lost
    size = outcome.summary.size_bytes / 1e6 if outcome.summary is not None else None
    row |= {"time": choice.speed.ratio, "lost": lost.points if lost else None, "size": size}
    return row | {"result": _result(run, choice, found)}


def _result(run: Run, choice: Choice, found: Selection | None) -> str:
    best = found.best if found is not None else None
    if best is not None and best.outcome == choice.outcome:
        return "the best" + " so far" * progress.is_live(run)
    if choice.outcome.candidate is not None and choice.candidate.digest == run.model.digest:
        return "changes nothing"
    if choice.accuracy.grounds is Grounds.LOSES:
        return "loses more than was allowed"
    if choice.accuracy.grounds is Grounds.UNKNOWN:
        return "loss not known yet" if progress.is_live(run) else "loss not known"
    if choice.speed.ratio is None:
        return "not timed yet" if progress.is_live(run) else "not timed"
    return f"within the limit, {choice.speed.verdict or 'no verdict'}"
