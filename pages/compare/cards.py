"""Cards from elsewhere: one is measured again here, two are held against each other."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.charts.card_diff import facts, numbers
from core.charts.card_file import read_card
from core.charts.recipe_words import steps_in_words
from core.errors import CoreError
from core.records import CardFile
from core.workspace import Workspace
from pages.compare.state import state
from pages.shared import downloads, formatting

TWO = 2


def show(workspace: Workspace, owner: str) -> None:
    """Where cards are dropped, and what is made of them."""
    st.header("Cards")
    files = st.file_uploader(
        "Open a card (JSON): it can be measured again here. Open two: they are compared.",
        accept_multiple_files=True,
        key=state.cards.key,
        max_upload_size=4,
    )
    cards = opened(files or [])
    if len(cards) > TWO:
        st.caption(f"{len(cards)} cards are open: the first two are compared.")
    for name, card in list(cards.items())[:TWO]:
        about(workspace, owner, name, card)
    if len(cards) >= TWO:
        beside(*list(cards.items())[:TWO])


def opened(files: list[Any]) -> dict[str, CardFile]:
    """The cards that can be read, by file name; of the others why not."""
    found: dict[str, CardFile] = {}
    for at, file in enumerate(files):
        try:
            card = read_card(file.getvalue(), file.name)
        except CoreError as error:
            st.error(formatting.plain(f"{error.message} {error.remedy}".strip()))
            continue
        found[file.name if file.name not in found else f"{file.name} ({at + 1})"] = card
    return found


def about(workspace: Workspace, owner: str, name: str, card: CardFile) -> None:
    """What a card is of, and the button that measures it again, or what is missing for that."""
    recipe = " + ".join(steps_in_words(card.recipe))
    where = f"{card.host.cpu}, {card.host.cores} cores" if card.host else "an unknown machine"
    st.markdown(
        f"**{formatting.plain(name)}**: {formatting.plain(f'{card.model}, {recipe}')}. "
        f"Measured on {formatting.plain(f'{where}, {formatting.moment(card.created)}')} UTC."
    )
    missing = workspace.runs.lacks(card.spec, owner)
    if missing:
        st.caption(formatting.plain(f"It cannot be measured again yet. {' '.join(missing)}"))
    elif st.button("Measure it again here", key=f"compare.rerun.{name}", type="primary"):
        try:
            run_id = workspace.runs.submit(card.spec, owner)
            run = workspace.runs.get(run_id)
        except CoreError as error:
            st.error(formatting.plain(f"{error.message} {error.remedy}".strip()))
            return
        downloads.reopen(run)


def beside(first: tuple[str, CardFile], second: tuple[str, CardFile]) -> None:
    """What differs, and every number of both."""
    (a, one), (b, other) = first, second
    differing, same = facts(one, other)
    st.subheader("What differs")
    if differing:
        frame = pd.DataFrame(differing, columns=["", f"A: {a}", f"B: {b}"])
        st.dataframe(frame, hide_index=True, alt="What the two cards differ in")
    else:
        st.caption("Nothing but the numbers.")
    if same:
        st.caption(formatting.plain(f"The same on both: {', '.join(same)}."))
    st.subheader("The numbers")
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "of": row.of,
                    "quantity": row.quantity,
                    "backend": row.backend,
                    "threads": row.threads,
                    "A": row.first,
                    "B": row.second,
                    "change": row.change,
                    "difference": row.shown,
                    "conditions": row.apart,
                }
                for row in numbers(one, other)
            ]
        ),
        hide_index=True,
        placeholder="–",
        alt="Every number of both cards",
    )
    st.caption(
        "Two runs are not paired: a difference is shown only where the 95 % intervals do not meet."
    )
