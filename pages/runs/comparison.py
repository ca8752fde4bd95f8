"""Two results side by side: any recipe of any run against any other."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from core import recipes
from core.charts.compare import Side, compare_figures, compare_rows, obstacles
from core.charts.summary import headline
from core.errors import CoreError
from core.records import Run, RunLine
from core.search.choose import best
from pages.runs.state import state
from pages.shared import formatting

HEIGHT = 340
CONFIG = {"displaylogo": False, "displayModeBar": False}


def show(lines: tuple[RunLine, ...], chosen: Run, load: Callable[[str], Run]) -> None:
    """Pick A and B, then see them in one table and two charts.

    Args:
        lines: the runs to pick from.
        chosen: what B begins with.
        load: a run by its id; raises a CoreError where it is gone.
    """
    st.header("Compare two results")
    others = [line.id for line in lines if line.id != chosen.id]
    models = {line.id: line.spec.model for line in lines}
    others.sort(key=lambda run_id: models[run_id] != chosen.spec.model)  # the same model first
    if not others and len(chosen.outcomes) < 2:
        st.caption("There is only one result so far.")
        return
    left, right = st.columns(2)
    with left:
        first = pick("A", lines, (others or [chosen.id])[0], load, from_original=not others)
    with right:
        second = pick("B", lines, chosen.id, load)
    if first is None or second is None:
        st.caption("One of them has made no model yet.")
        return
    for obstacle in obstacles(first, second):
        st.warning(obstacle)
    for column, figure, name in zip(
        st.columns(2), compare_figures(first, second), ("Latency", "Accuracy"), strict=True
    ):
        alt = f"{name} of A and B per backend"
        key = f"compare.{name}"
        column.plotly_chart(figure, key=key, height=HEIGHT, config=CONFIG, alt=alt)
    table(first, second)


def name_of(run: RunLine) -> str:
    """What a run is called in a list of runs: model, recipe, time."""
    when = run.created[:19].replace("T", " ")
    return f"{run.model}: {recipe_of(run)} · {when}"


def recipe_of(run: RunLine) -> str:
    """The recipe that a run weighs, or how many."""
    asked = [recipe for recipe in run.spec.recipes if recipe.steps]
    if len(asked) > 1:
        return f"{len(asked)} recipes"
    return asked[0].name if asked else recipes.ORIGINAL


def pick(
    name: str,
    lines: tuple[RunLine, ...],
    default: str,
    load: Callable[[str], Run],
    from_original: bool = False,
) -> Side | None:
    """A run, and where it has several recipes, one of them: the best, or the original at first."""
    known = {line.id: line for line in lines}
    side = state.side(name)
    if side.get() not in known:
        side.set(default)
    names = formatting.apart({key: name_of(line) for key, line in known.items()})
    st.selectbox(f"Result {name}", list(names), format_func=names.__getitem__, key=side.key)
    try:
        run = load(side.get())
    except CoreError as error:
        st.error(formatting.plain(error.message))
        return None
    made = {o.candidate.digest: o for o in run.outcomes if o.candidate is not None}
    if not made:
        return None
    answer = None if from_original else best(run)
    start = answer.candidate.digest if answer and answer.candidate else next(iter(made))
    recipe = state.side_recipe(name, run.id)
    if recipe.get() not in made:
        recipe.set(start)
    names = formatting.apart({key: recipes.name_of(o.recipe) for key, o in made.items()})
    st.selectbox(f"Recipe of {name}", list(names), format_func=names.__getitem__, key=recipe.key)
    compared = Side(run, made[recipe.get()])
    st.caption(
        formatting.plain(headline(run, compared.digest))
        if compared.outcome.recipe.steps
        else "The original model."
    )
    return compared


def table(first: Side, second: Side) -> None:
    """Every number that both could have."""
    frame = pd.DataFrame(compare_rows(first, second))
    if frame.empty:
        st.caption("Neither has a number yet.")
        return
    st.dataframe(
        frame,
        hide_index=True,
        height=min(35 * (len(frame) + 1) + 3, 460),
        placeholder="–",
        alt="Both results, quantity by quantity",
    )
    st.caption(
        "A change between two runs is not paired: it has no interval and is no verdict. "
        "Measure both recipes in one run to learn which is faster."
    )
