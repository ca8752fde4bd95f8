"""Any candidates side by side, each with its name, note, tags and pin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from core.charts.compare import Cell, Row, Side, obstacles, side_by_side
from core.charts.text import escape
from core.errors import CoreError
from core.recipes import name_of
from core.records import Bookmark, Conditions, Result
from core.records.standing import outcome_of
from core.workspace import Workspace
from pages.compare.candidates import MOST_PICKS, Marks, called
from pages.compare.state import state
from pages.shared import downloads, formatting, session
from pages.shared.state import visit


def show(workspace: Workspace, owner: str, results: Sequence[Result], marks: Marks) -> None:
    """What is picked: the list, the marks of each, and the table."""
    st.header("Side by side")
    known = choices(results)
    state.picks.settle([key for key in state.picks.get() if key in known])
    names = formatting.apart(
        {
            key: f"{called(one, marks.get(one.key, Bookmark()))} · {formatting.moment(one.created)}"
            for key, one in known.items()
        }
    )
    st.multiselect(
        "Candidates",
        list(known),
        format_func=lambda key: names.get(key, ""),
        key=state.picks.key,
        max_selections=MOST_PICKS,
        placeholder="Choose here, or pick above",
    )
    picked = [known[key] for key in state.picks.get() if key in known]
    if not picked:
        st.caption("Pick two or more: all their numbers stand here in one table.")
        return
    found = [side for one in picked if (side := opened(workspace, one, marks)) is not None]
    shown = formatting.apart({at: side.name for at, side in enumerate(found)})
    found = [replace(side, name=shown[at]) for at, side in enumerate(found)]
    for side in found:
        mark(workspace, owner, side, marks)
    if found:
        for obstacle in obstacles(found):
            st.warning(obstacle)
        rows, shared = apart(side_by_side(found))
        st.html(markup([side.name for side in found], rows))
        if shared:
            st.caption(formatting.plain(f"The same for all. {' · '.join(shared)}."))
        st.caption(
            "Verdicts are against the original of the same run, paired. Fastest and most accurate "
            "is said only of what lies beyond the 95 % intervals of all others."
        )


def apart(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows in which sides differ or were measured, and the facts that all of several share."""
    kept, shared = [], []
    for row in rows:
        if len(row.cells) > 1 and row.is_fact and len(set(row.cells)) == 1:
            shared.append(f"{row.name}: {row.cells[0].value}")
        else:
            kept.append(row)
    return kept, shared


def choices(results: Sequence[Result]) -> dict[str, Result]:
    """What can be picked: every candidate, and one original for each kind of conditions."""
    found: dict[str, Result] = {}
    seen: set[Conditions] = set()
    for result in results:
        if result.is_original and result.under in seen:
            continue
        if result.is_original:
            seen.add(result.under)
        found.setdefault("/".join(result.key), result)
    return found


def opened(workspace: Workspace, one: Result, marks: Marks) -> Side | None:
    """A candidate with its run; says so where it is gone."""
    try:
        run = workspace.runs.get(one.run)
    except CoreError as error:  # deleted in another tab
        st.error(formatting.plain(error.message))
        return None
    outcome = outcome_of(run, one.candidate)
    if outcome is None:
        return None
    return Side(run, outcome, marks.get(one.key, Bookmark()).name or name_of(one.recipe))


def mark(workspace: Workspace, owner: str, side: Side, marks: Marks) -> None:
    """One picked candidate: its pin, its name, note and tags, and the ways on."""
    key = f"{side.run.id}/{side.digest}"
    kept = marks.get((side.run.id, side.digest), Bookmark())
    asked = (workspace, owner, key)
    state.pin(key).begin(kept.pinned)
    with st.container(horizontal=True, vertical_alignment="center", key=f"side_{key}"):
        st.markdown(f"**{formatting.plain(side.name)}**", width="stretch")
        st.toggle("Pinned", key=state.pin(key).key, on_change=_keep, args=asked)
        with st.popover("Name, note, tags"):
            state.name(key).begin(kept.name)
            state.note(key).begin(kept.note)
            state.tags_of(key).begin(list(kept.tags))
            st.text_input("Name", key=state.name(key).key, max_chars=120)
            st.text_area("Note", key=state.note(key).key, max_chars=2000)
            known = {tag for one in marks.values() for tag in one.tags}
            st.multiselect(
                "Tags",
                sorted(known | set(state.tags_of(key).get())),
                key=state.tags_of(key).key,
                accept_new_options=True,
                max_selections=12,
                placeholder="Choose, or type a new one",
            )
            st.button("Save", key=f"compare.save.{key}", on_click=_keep, args=asked)
        if st.button("Load into Optimize", key=f"compare.load.{key}"):
            session.open_recipe(side.run, side.outcome.recipe)
        if st.button("Open run", key=f"compare.open.{key}"):
            downloads.reopen(side.run)


def _keep(workspace: Workspace, owner: str, key: str) -> None:
    """Keep what the widgets of a candidate stand at."""
    run, _, candidate = key.partition("/")
    before = workspace.results.bookmarks(owner).get((run, candidate), Bookmark())
    made = Bookmark(
        state.name(key).get() if state.name(key).is_set() else before.name,
        state.note(key).get() if state.note(key).is_set() else before.note,
        tuple(state.tags_of(key).get()) if state.tags_of(key).is_set() else before.tags,
        state.pin(key).get(),
    )
    try:
        workspace.results.bookmark((run, candidate), made, owner)
    except CoreError as error:
        visit.notice.set(f"{error.message} {error.remedy}".strip())


def markup(names: Sequence[str], rows: Sequence[Row]) -> str:
    """The table, every word escaped; it scrolls beside its first column on a narrow page."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{escape(row.name)}</th>{"".join(map(_cell, row.cells))}</tr>'
        for row in rows
    )
    return (
        '<div class="lathe-sides" tabindex="0" role="region" aria-label="Side by side">'
        f'<table><thead><tr><th scope="col">Quantity</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    best = f' <span class="best">{escape(cell.best)}</span>' if cell.best else ""
    parts = [f'<span class="value">{escape(cell.value)}{best}</span>'] if cell.value else []
    parts += [f'<span class="note">{escape(cell.note)}</span>'] if cell.note else []
    parts += [f'<span class="apart">{escape(cell.apart)}</span>'] if cell.apart else []
    return f"<td>{''.join(parts) or '–'}</td>"
