"""The candidates of a model on one backend: their front, and a table to search and to pick from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from core.charts import text
from core.charts.conditions import BETWEEN, threads_text
from core.charts.latency import verdict_words
from core.charts.sweep import column
from core.charts.tradeoff import COSTS, HEIGHT, front_figure, scaled, title_of
from core.recipes import name_of
from core.records import Bookmark, Conditions, Number, Result
from core.search.pareto import Cost
from core.search.results import points, shared_conditions, under
from core.workspace.facts import catalogue, label
from pages.compare.state import state
from pages.shared import formatting, row_cards
from pages.shared.field import points as picked_points
from pages.shared.field import rows as ticked_rows
from pages.shared.field import select

COST_WORDS: dict[Cost, str] = {"latency": "Latency", "ratio": "Ratio", "size": "File size"}
CONFIG = {"displaylogo": False, "displayModeBar": False}
FORMS = {
    "change (points)": "%+.1f",
    "latency (ms)": "%.3g",
    "ratio (×)": "%.2f",
    "file (MB)": "%.3f",
}
COLUMNS = {
    "★": st.column_config.TextColumn("★", width=40, help="pinned"),
    "name": st.column_config.TextColumn("name", width=360),
    "tags": st.column_config.ListColumn("tags", width="small"),
    "note": st.column_config.TextColumn("note", width="medium"),
    "measured": st.column_config.DatetimeColumn(
        "measured (UTC)", format="YYYY-MM-DD HH:mm", width=140
    ),
}
NARROWED = "The filters above bring the others."
MOST_PICKS = 8
Marks = Mapping[tuple[str, str], Bookmark]


def show(results: Sequence[Result], marks: Marks) -> None:
    """Backend and conditions, the filters, the chart, the table."""
    here = chosen(results)
    listed = [result for result in here if matches(result, marks)]
    filters(marks, len(listed), len(here))
    draw(listed, marks)
    table(listed, marks)


def chosen(results: Sequence[Result]) -> tuple[Result, ...]:
    """The results on one backend under the same conditions: others are never mixed in."""
    backends = list(dict.fromkeys(result.under.backend for result in results))
    model = results[0].run and _model(results)
    if state.backend.get() not in backends:
        state.backend.set(backends[0])
    st.segmented_control(
        "Backend", backends, required=True, format_func=label, key=state.backend.key
    )
    backend = state.backend.get() or backends[0]
    found = shared_conditions([r for r in results if r.under.backend == backend])
    if not found:
        st.caption("Nothing was measured on this backend.")
        return ()
    field = state.conditions(model, backend)
    if field.get() not in found:
        field.set(next(iter(found)))
    words = formatting.apart({one: conditions_words(one) for one in found})
    if len(found) > 1:
        st.selectbox(
            "Measured under (results under other conditions are not weighed against these)",
            list(found),
            format_func=lambda one: f"{words.get(one, '')} · {plural(found.get(one, 0))}",
            key=field.key,
        )
    else:
        st.caption(formatting.plain(f"All measured under: {next(iter(words.values()))}."))
    conditions = field.get()
    return under(results, conditions) if conditions is not None else ()


def _model(results: Sequence[Result]) -> str:
    """Digest of the original that the results are of."""
    return next((result.candidate for result in results if result.is_original), "")


def plural(count: int) -> str:
    """How many results."""
    return f"{count:,} result{'' if count == 1 else 's'}"


def conditions_words(one: Conditions) -> str:
    """Conditions in a line."""
    facts = (
        f"{label(one.backend)} {one.version}".strip(),
        one.machine,
        threads_text(one.threads),
        f"input {BETWEEN.sub('×', one.input)}" if one.input else "",
        f"{catalogue()[one.metric].short} of {one.images:,} images ({one.data[:8]})"
        if one.images
        else "no accuracy",
    )
    return ", ".join(filter(None, facts))


def matches(result: Result, marks: Marks) -> bool:
    """Whether the filters let a candidate through; the original stays beside what is left."""
    if result.is_original:
        return True
    mark = marks.get(result.key, Bookmark())
    if state.pinned.get() and not mark.pinned:
        return False
    if state.tags.get() and not set(state.tags.get()) & set(mark.tags):
        return False
    words = " ".join((mark.name, mark.note, *mark.tags, name_of(result.recipe), result.created))
    return all(word in words.lower() for word in state.search.get().lower().split())


def filters(marks: Marks, listed: int, whole: int) -> None:
    """Search, tags, pinned."""
    words, tags, pinned = st.columns([3, 3, 2], vertical_alignment="bottom")
    words.text_input("Search", key=state.search.key, placeholder="int8, 2026-11, a name, a note")
    known = sorted({tag for mark in marks.values() for tag in mark.tags})
    state.tags.settle([tag for tag in state.tags.get() if tag in known])
    tags.multiselect("Tags", known, key=state.tags.key, placeholder="any" if known else "none yet")
    pinned.toggle("Pinned only", key=state.pinned.key)
    if listed < whole:
        st.caption(f"{listed - 1:,} of {whole - 1:,} candidates match.")


def draw(listed: Sequence[Result], marks: Marks) -> None:
    """The front; a click adds a candidate to those side by side, or takes it away."""
    cost = state.cost.get()
    st.segmented_control(
        "Accuracy against",
        list(COST_WORDS),
        required=True,
        default="latency",
        format_func=COST_WORDS.__getitem__,
        key=state.cost.key,
    )
    names = {key: mark.name for key, mark in marks.items() if mark.name}
    found = [scaled(point, cost) for point in points(listed, cost, names)]
    if not found:
        st.caption("No candidate has both an accuracy and this cost.")
        return
    ringed = [point for point in found if point.digest in state.picks.get()]
    title = title_of(cost)
    st.plotly_chart(
        front_figure(title, found, cost, COSTS[cost][0], listed[0].under.metric, ringed),
        key=state.chart.key,
        height=HEIGHT,
        config=CONFIG,
        on_select=_take_click,
        selection_mode="points",
        alt=f"{title}, one point per candidate; the table below has the numbers",
    )


def table(listed: Sequence[Result], marks: Marks) -> None:
    """One line per candidate; what is ticked stands side by side."""
    frame = pd.DataFrame([line(result, marks.get(result.key, Bookmark())) for result in listed])
    _follow(["/".join(result.key) for result in listed])
    if frame.empty:
        return
    gained = column(listed[0].under.metric)
    frame = frame.rename(columns={"gain": gained, "change": "change (points)"})
    forms = FORMS | {gained: "%.1f"}
    on_cards = [name for name in frame.columns if name not in ("★", "name")]
    cards = row_cards.texts(frame, forms)
    row_cards.show("candidates", cards, ("★", "name"), on_cards, NARROWED, unfolded=True)
    row_cards.pick(
        "candidates",
        frame,
        row_cards.numbers(forms) | COLUMNS,
        state.table,
        _take_ticks,
        "multi-row",
        "Every candidate with its numbers under these conditions",
    )


def _follow(order: Sequence[str]) -> None:
    """Where the rows are others than before the ticks stay with their candidates."""
    if order == state.order.get():
        return
    state.order.set(order)
    state.ticked.set([key for key in state.ticked.get() if key in order])
    select(state.table, [order.index(key) for key in state.ticked.get()])


def line(result: Result, mark: Bookmark) -> dict[str, object]:
    """A candidate in the table."""
    size = result.size_bytes
    return {
        "★": "★" if mark.pinned else "",
        "name": called(result, mark),
        "latency (ms)": _value(result.latency),
        "latency, 95 %": _span(result.latency),
        "ratio (×)": _value(result.ratio),
        "verdict": ", ".join(
            filter(None, (verdict_words(result.verdict), "machine busy" * result.busy))
        ),
        "gain": _value(result.gain),
        "change": _value(result.change),
        "change, 95 %": _signed_span(result.change),
        "file (MB)": None if size is None else size / 1e6,
        "tags": list(mark.tags),
        "note": mark.note,
        "measured": pd.Timestamp(result.created),
        "missing": result.reason,
    }


def called(result: Result, mark: Bookmark) -> str:
    """The user's name for a candidate, with the recipe behind it; or the recipe alone."""
    recipe = name_of(result.recipe)
    return f"{mark.name} ({recipe})" if mark.name else recipe


def _value(number: Number | None) -> float | None:
    return None if number is None else number.value


def _span(number: Number | None) -> str:
    return "" if number is None else text.span(number.low, number.high)


def _signed_span(number: Number | None) -> str:
    if number is None or number.low == number.high:
        return ""
    return f"{text.signed(number.low)} … {text.signed(number.high)}"


def _take_ticks() -> None:
    """What was ticked since comes to those side by side, what was unticked leaves them."""
    order = state.order.get()
    ticked = [order[at] for at in ticked_rows(state.table) if at < len(order)]
    before = state.ticked.get()
    kept = [key for key in state.picks.get() if key not in before or key in ticked]
    new = [key for key in ticked if key not in before and key not in kept]
    state.picks.set((*kept, *new)[:MOST_PICKS])
    state.ticked.set(ticked)


def _take_click() -> None:
    for point in picked_points(state.chart):
        data = point.get("customdata")
        if isinstance(data, dict):
            data = list(data.values())
        if isinstance(data, list | tuple) and data:
            _toggle(str(data[0]))
            return


def _toggle(key: str) -> None:
    picks = list(state.picks.get())
    if key in picks:
        picks.remove(key)
    elif len(picks) < MOST_PICKS:
        picks.append(key)
    state.picks.set(picks)
