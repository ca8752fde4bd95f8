"""The trade-off of a run: the chart, the chosen point's recipe, and every point as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from core.charts import tradeoff_figure
from core.charts.conditions import threads_text
from core.charts.summary import accuracy_delta, latency_delta, size_delta
from core.charts.sweep import column, sweep_rows
from core.charts.table import to_csv
from core.charts.tradeoff import HEIGHT
from core.recipes import name_of
from core.records import Outcome, Run, to_json
from core.records.standing import outcome_of
from core.search.choose import best
from core.search.pareto import Cost
from core.workspace.facts import primary_metric
from pages.explore.state import state
from pages.shared import downloads, formatting, row_cards, session
from pages.shared.field import points
from pages.shared.state import panels

COSTS: dict[Cost, str] = {
    "latency": "Latency",
    "ratio": "Ratio",
    "size": "File size",
    "zipped": "Zipped size",
}
FORMS = {
    "change (points)": "%+.1f",
    "latency (ms)": "%.3g",
    "ratio (×)": "%.2f",
    "file (MB)": "%.3f",
    "zipped (MB)": "%.3f",
    "MACs (M)": "%.1f",
}
CONFIG = {"displaylogo": False, "displayModeBar": False}


def show(run: Run) -> Outcome | None:
    """Chart left, the chosen point's recipe right, below each other on a phone; that recipe."""
    chart, detail = st.columns([3, 2])
    with detail:
        outcome = choose(run)
        if outcome is not None:
            about(run, outcome)
    with chart:
        draw(run, outcome)
    return outcome


def choose(run: Run) -> Outcome | None:
    """The recipe in question: clicked in the chart, or picked here."""
    made = {o.candidate.digest: o for o in run.outcomes if o.candidate is not None}
    if not made:
        st.caption("No recipe has made a model yet.")
        return None
    chosen = panels.download(run.id)
    if chosen.get() not in made:
        first = best(run)
        digest = first.candidate.digest if first and first.candidate else next(iter(made))
        chosen.set(digest)
    names = formatting.apart({digest: name_of(outcome.recipe) for digest, outcome in made.items()})
    st.selectbox(
        "Recipe",
        list(made),
        format_func=lambda digest: names.get(digest, ""),
        key=chosen.key,
        help="Or click a point in the chart.",
    )
    return made[chosen.get()]


def draw(run: Run, outcome: Outcome | None) -> None:
    """The scatter with its fronts; a click chooses the recipe of the point."""
    with st.container(horizontal=True):
        cost: Cost = st.segmented_control(
            "Accuracy against",
            list(COSTS),
            default="latency",
            required=True,
            format_func=COSTS.__getitem__,
            key=state.cost.key,
        )
        threads = run.spec.threads[0]
        if len(run.spec.threads) > 1:
            threads = st.segmented_control(
                "Threads",
                list(run.spec.threads),
                default=threads,
                required=True,
                format_func=threads_text,
                key=state.threads(run.id).key,
            )
    backend = state.backend(run.id).get()
    digest = outcome.candidate.digest if outcome and outcome.candidate else ""
    st.plotly_chart(
        tradeoff_figure(run, cost, threads, (digest, backend)),
        key=state.chart.key,
        height=HEIGHT,
        config=CONFIG,
        on_select=lambda: _take_click(run),
        selection_mode="points",
        alt=f"Accuracy against {COSTS[cost].lower()}, one point per recipe and backend",
    )


def about(run: Run, outcome: Outcome) -> None:
    """What the recipe does, what it cost, and the way into Optimize."""
    digest = outcome.candidate.digest if outcome.candidate else ""
    if outcome.recipe.steps:
        found = [accuracy_delta(run, digest), size_delta(run, digest)]
        found += [latency_delta(run, digest, backend) for backend in run.spec.backends]
        frame = pd.DataFrame(
            [
                {
                    "quantity": formatting.plain(delta.label),
                    "before": unbroken(delta.before),
                    "after": unbroken(delta.after),
                    "change": formatting.plain(f"{delta.change} {delta.verdict}"),
                }
                for delta in found
            ]
        )
        st.table(frame.set_index("quantity"), border="horizontal")
    else:
        st.caption("The original model: what every recipe is compared with.")
    with st.expander("Recipe as JSON"):
        st.code(json.dumps(to_json(outcome.recipe), indent=2, ensure_ascii=False), language="json")
    if st.button("Load into Optimize", key="explore.load", type="primary"):
        session.open_recipe(run, outcome.recipe)


def table(run: Run) -> None:
    """Every recipe on every backend; sortable, and to take along as CSV."""
    records = sweep_rows(run)
    if not records:
        st.caption("No number yet.")
        return
    frame = pd.DataFrame(records).drop(columns="candidate")
    frame["on the front"] = frame["on the front"].map({True: "★", False: ""})
    forms = FORMS | {column(primary_metric(run.measurements)): "%.1f"}
    row_cards.show(
        "sweep",
        row_cards.texts(frame, forms),
        ("recipe", "backend"),
        [name for name in frame.columns if name not in ("recipe", "backend")],
        "“Table (CSV)” holds all of them.",
    )
    row_cards.wide("sweep").dataframe(
        frame,
        hide_index=True,
        height=row_cards.height(len(frame)),
        column_config=row_cards.numbers(forms)
        | {"recipe": st.column_config.TextColumn("recipe", width="medium")},
        placeholder="–",
        alt="Every recipe on every backend",
    )
    st.download_button(
        "Table (CSV)",
        to_csv(records).encode("utf-8-sig"),
        file_name=f"{downloads.stem(run)}_sweep.csv",
        mime="text/csv",
        on_click="ignore",
        key="explore.csv",
    )


def clicked(picked: Sequence[Mapping[str, object]]) -> tuple[str, str] | None:
    """Digest and backend of the first clicked point that stands for a recipe."""
    for point in picked:
        data = point.get("customdata")
        if isinstance(data, dict):
            data = list(data.values())
        if isinstance(data, list | tuple) and len(data) >= 2:
            return str(data[0]), str(data[1])
    return None


def unbroken(text: str) -> str:
    """A number that stays on the line of its unit."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _take_click(run: Run) -> None:
    found = clicked(points(state.chart))
    if found is not None and outcome_of(run, found[0]) is not None:
        panels.download(run.id).set(found[0])
        state.backend(run.id).set(found[1])
