"""Rows as cards: what stands in place of a table where the screen is too narrow to read one.

Both are on the page, and lathe.css shows one of them: the server knows no width of a screen. A
table belongs into `wide(name)`; its container and the cards keep out of each other's way by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.shared.field import Field, Pick
from pages.shared.formatting import escape

MOST_CARDS = 60
LINE, FRAME = 35, 3  # pixels of a line of a table, and around all of them
LINK = "link"  # the column whose text leads from the head of a card elsewhere
Rows = Sequence[Mapping[str, str]]


def height(lines: int, most: int = 460) -> int:
    """Pixels that a table of so many lines takes; beyond `most` it scrolls."""
    return min(LINE * (lines + 1) + FRAME, most)


def wide(name: str) -> DeltaGenerator:
    """The place of a table that a narrow screen does not show."""
    return st.container(key=f"wide_{name}")


def pick(
    name: str,
    frame: pd.DataFrame,
    columns: Mapping[str, Any],
    kept: Field[Pick | None],
    taken: Callable[[], None],
    mode: Literal["single-row", "multi-row"],
    alt: str,
) -> None:
    """A table for a wide screen in which rows can be picked.

    Args:
        name: of the table.
        frame: its lines.
        columns: how Streamlit draws them.
        kept: where the pick is kept.
        taken: hears of another pick.
        mode: whether one row can be picked, or several.
        alt: what the table is, for who cannot see it.
    """
    wide(name).dataframe(
        frame,
        hide_index=True,
        height=height(len(frame)),
        on_select=taken,
        selection_mode=mode,
        key=kept.key,
        column_config=columns,
        placeholder="–",
        alt=alt,
    )


def numbers(forms: Mapping[str, str]) -> dict[str, Any]:
    """Columns of numbers, each in its printf form."""
    return {name: st.column_config.NumberColumn(name, format=form) for name, form in forms.items()}


def texts(frame: pd.DataFrame, forms: Mapping[str, str]) -> list[dict[str, str]]:
    """The lines of a table as texts for cards; what is missing is empty.

    Args:
        frame: whose lines are told.
        forms: printf forms of its columns of numbers.
    """
    return [
        {str(name): _text(value, forms.get(str(name), "%s")) for name, value in line.items()}
        for line in frame.to_dict("records")
    ]


def _text(value: Any, form: str) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    if pd.isna(value):
        return ""
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, pd.Timestamp) else form % value


def show(
    name: str,
    rows: Rows,
    title: Sequence[str],
    cells: Sequence[str],
    rest: str = "“Rows (CSV)” holds all of them.",
    unfolded: bool = False,
) -> None:
    """The same rows for a narrow screen: a card each, empty cells left out.

    Args:
        name: of the table.
        rows: column -> text; `LINK` is an address.
        title: columns whose texts head the card.
        cells: columns that stand in it.
        rest: where the rows are that find no place.
        unfolded: whether the cards are to be seen at first.
    """
    with st.container(key=f"narrow_{name}"):
        st.html(markup(rows, title, cells, rest, unfolded))


def markup(
    rows: Rows, title: Sequence[str], cells: Sequence[str], rest: str = "", unfolded: bool = False
) -> str:
    """The cards as a list; every text in them is escaped."""
    cards = "".join(_card(row, title, cells) for row in rows[:MOST_CARDS])
    more = f"The first {MOST_CARDS} of {len(rows):,}. {rest}" if len(rows) > MOST_CARDS else ""
    return (
        f'<details class="lathe-rows"{" open" * unfolded}>'
        f"<summary>Every row ({len(rows):,})</summary>"
        f'<ul class="lathe-cards" tabindex="0">{cards}</ul>'
        f'<p class="lathe-caption">{escape(more)}</p></details>'
    )


def _card(row: Mapping[str, str], title: Sequence[str], cells: Sequence[str]) -> str:
    head = escape(" · ".join(row[name] for name in title if row.get(name)))
    if row.get(LINK):
        head = f'<a href="{escape(row[LINK])}" target="_self">{head}</a>'
    told = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(row[name])}</dd></div>"
        for name in cells
        if row.get(name)
    )
    return f"<li><b>{head}</b><dl>{told}</dl></li>"
