"""What this visitor uploaded: how much of the quota it takes, and a way to delete it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.errors import CoreError
from core.records.stored import UNBOUNDED, Room, Upload
from core.workspace import Workspace
from pages.runs.state import state
from pages.shared import formatting
from pages.shared.state import visit

KINDS = {"model": "model", "images": "images"}


def show(workspace: Workspace, owner: str) -> None:
    """The list, the room that is left, and the button that deletes one of them."""
    found = {upload.digest: upload for upload in workspace.data.uploads(owner)}
    st.header("Uploads")
    st.caption(room_words(workspace.data.room(owner)))
    if not found:
        return
    table(found)
    names = formatting.apart({key: name_of(one) for key, one in found.items()})
    if state.upload.get() not in found:
        state.upload.set(next(iter(found)))
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    with left:
        st.selectbox("Upload", list(names), format_func=names.__getitem__, key=state.upload.key)
    with right:
        if st.button("Delete …", key="uploads.delete", width="stretch"):
            confirm(workspace, owner, found[state.upload.get()])


def room_words(room: Room) -> str:
    """How much is taken, and what there may be."""
    words = f"They take {formatting.size(room.used)}"
    if room.quota < UNBOUNDED:
        words += f" of the {formatting.size(room.quota)} that each visitor has"
    if room.upload < UNBOUNDED:
        words += f"; one may have up to {formatting.size(room.upload)}"
    return f"{words}. Free on the disk: {formatting.size(room.disk)}."


def name_of(upload: Upload) -> str:
    """What an upload is called in a list: name, kind, size."""
    return f"{upload.name} · {KINDS[upload.kind]} · {formatting.size(upload.size_bytes)}"


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
        height=min(35 * (len(frame) + 1) + 3, 300),
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


@st.dialog("Delete this upload?")
def confirm(workspace: Workspace, owner: str, upload: Upload) -> None:
    """Ask once, and name the runs that go with it."""
    st.markdown(formatting.plain(name_of(upload)))
    several = len(upload.runs) > 1
    runs = f"{len(upload.runs)} runs" if several else "1 run"
    if upload.runs:
        st.warning(
            f"{runs} {'need' if several else 'needs'} it and would go with it: the numbers, the "
            "models that were made, and the link."
        )
    label = f"Delete it and {runs}" if upload.runs else "Delete"
    words: dict[str, Any] = {"key": "uploads.delete.yes", "on_click": _delete}
    if st.button(label, type="primary", args=(workspace, owner, upload), **words):
        st.rerun()


def _delete(workspace: Workspace, owner: str, upload: Upload) -> None:
    try:
        freed = workspace.runs.delete_upload(upload.digest, owner, with_runs=bool(upload.runs))
    except CoreError as error:
        visit.notice.set(f"{error.message} {error.remedy}".strip())
    else:
        state.upload.clear()
        kept = "" if freed else " Its file stays: another visitor uploaded the same one."
        visit.done.set(f"{upload.name} is deleted.{kept}")
