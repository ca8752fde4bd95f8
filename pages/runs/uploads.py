"""Uploads of this visitor: how much of the quota they take; to rename or to delete each."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.records.stored import UNBOUNDED, Room, Upload
from core.workspace import Workspace
from pages.runs.state import state
from pages.shared import formatting, row_cards, upload_dialogs
from pages.shared.upload_dialogs import KINDS, name_of


def show(workspace: Workspace, owner: str) -> None:
    """The list, the room that is left, and the buttons that rename or delete one of them."""
    found = {upload.digest: upload for upload in workspace.data.uploads(owner)}
    st.header("Uploads")
    upload_dialogs.say()
    st.caption(room_words(workspace.data.room(owner)))
    if not found:
        return
    table(found)
    names = formatting.apart({key: name_of(one) for key, one in found.items()})
    if state.upload.get() not in found:
        state.upload.set(next(iter(found)))
    picker, rename, delete = st.columns([4, 1, 1], vertical_alignment="bottom")
    with picker:
        st.selectbox("Upload", list(names), format_func=names.__getitem__, key=state.upload.key)
    if rename.button("Rename …", key="uploads.rename", width="stretch"):
        upload_dialogs.rename(workspace, owner, found[state.upload.get()])
    if delete.button("Delete …", key="uploads.delete", width="stretch"):
        upload_dialogs.delete(workspace, owner, found[state.upload.get()])


def room_words(room: Room) -> str:
    """How much is taken, and what there may be."""
    words = f"They take {formatting.size(room.used)}"
    if room.quota < UNBOUNDED:
        words += f" of the {formatting.size(room.quota)} that each visitor has"
    if room.upload < UNBOUNDED:
        words += f"; one may have up to {formatting.size(room.upload)}"
    return f"{words}. Free on the disk: {formatting.size(room.disk)}."


def table(found: Mapping[str, Upload]) -> None:
    """One line per upload."""
    frame = pd.DataFrame(
        [
            {
                "uploaded": pd.Timestamp(one.created),
                "name": one.name,
                "kind": KINDS[one.kind],
                "size": formatting.size(one.size_bytes),
                "runs": len(one.runs),
            }
            for one in found.values()
        ]
    )
    st.dataframe(
        frame,
        hide_index=True,
        height=row_cards.height(len(frame), 300),
        column_config={
            "uploaded": st.column_config.DatetimeColumn(
                "uploaded (UTC)", format="YYYY-MM-DD HH:mm:ss", width=160
            ),
            "name": st.column_config.TextColumn("name", width="large"),
            "kind": st.column_config.TextColumn("kind", width="small"),
            "size": st.column_config.TextColumn("size", width="small"),
            "runs": st.column_config.NumberColumn("runs that need it", width="small"),
        },
        alt="Every upload with its size and the runs that need it",
    )
