"""Rows as cards: what stands in place of a table where the screen is too narrow to read one.

Both are on the page, and lathe.css shows one of them: the server knows no width of a screen. A
table belongs into `wide(name)`; its container and the cards keep out of each other's way by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.shared.formatting import escape

MOST_CARDS = 60


def wide(name: str) -> DeltaGenerator:
    """The place of a table that a narrow screen does not show."""
    return st.container(key=f"wide_{name}")


def show(
    name: str, rows: Sequence[Mapping[str, str]], title: Sequence[str], cells: Sequence[str]
) -> None:
    """The same rows for a narrow screen: a card each, empty cells left out, folded up at first.

    Args:
        name: of the table.
        rows: column -> text.
        title: columns whose texts head the card.
        cells: columns that stand in it.
    """
    with st.container(key=f"narrow_{name}"):
        st.html(markup(rows, title, cells))


def markup(rows: Sequence[Mapping[str, str]], title: Sequence[str], cells: Sequence[str]) -> str:
    """The cards as a list; every text in them is escaped."""
    cards = "".join(_card(row, title, cells) for row in rows[:MOST_CARDS])
    left = len(rows) - MOST_CARDS
    more = f'<p class="lathe-caption">and {left:,} more on a wider screen</p>' if left > 0 else ""
    return (
        f'<details class="lathe-rows"><summary>Every row ({len(rows):,})</summary>'
        f'<ul class="lathe-cards">{cards}</ul>{more}</details>'
    )


def _card(row: Mapping[str, str], title: Sequence[str], cells: Sequence[str]) -> str:
    head = " · ".join(row[name] for name in title if row.get(name))
    told = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(row[name])}</dd></div>"
        for name in cells
        if row.get(name)
    )
    return f"<li><b>{escape(head)}</b><dl>{told}</dl></li>"
