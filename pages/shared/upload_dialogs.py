"""Rename or delete an upload: offered where it is chosen, and in the list of all uploads."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.errors import CoreError
from core.records.stored import Upload
from core.workspace import Workspace
from pages.shared import formatting
from pages.shared.state import uploads, visit

KINDS = {"model": "model", "images": "images"}


def offer(workspace: Workspace, owner: str, digest: str, place: str) -> None:
    """Two small buttons under a picker, for a file that this visitor uploaded.

    Args:
        workspace: where it lies.
        owner: who looks.
        digest: of the file that is chosen.
        place: which picker asks, "model", "calibration" or "evaluation".
    """
    with st.container(horizontal=True, key=f"offer.{place}", gap="small"):
        for label, dialog in (("Rename …", rename), ("Delete …", delete)):
            if st.button(label, key=f"{place}.{label.lower()}", type="tertiary"):
                if upload := _find(workspace, owner, digest):
                    dialog(workspace, owner, upload)
                else:
                    st.caption("It is deleted already.")


def say() -> None:
    """What came of the last dialog, once."""
    if done := visit.done.take():
        st.success(formatting.plain(done))
    if trouble := uploads.trouble.take():
        st.error(formatting.plain(trouble))


def _find(workspace: Workspace, owner: str, digest: str) -> Upload | None:
    return next((one for one in workspace.data.uploads(owner) if one.digest == digest), None)


def name_of(upload: Upload) -> str:
    """What an upload is called in a list: name, kind, size."""
    return f"{upload.name} · {KINDS[upload.kind]} · {formatting.size(upload.size_bytes)}"


@st.dialog("Rename this upload")
def rename(workspace: Workspace, owner: str, upload: Upload) -> None:
    """Ask for another name; the file stays, and so does its digest."""
    name = uploads.name(upload.digest)
    name.begin(upload.name)
    with st.form("uploads.rename", border=False):
        st.text_input("Name", key=name.key)
        st.caption("Your runs of it are called by the new name, too. The file stays as it is.")
        words: dict[str, Any] = {"type": "primary", "on_click": _rename}
        sent = st.form_submit_button("Rename", args=(workspace, owner, upload), **words)
    if sent and not uploads.trouble.is_set():
        st.rerun()
    if trouble := uploads.trouble.take():
        st.error(formatting.plain(trouble))


def _rename(workspace: Workspace, owner: str, upload: Upload) -> None:
    name = uploads.name(upload.digest)
    try:
        kept = workspace.data.rename_upload(upload.digest, name.get(), owner)
    except CoreError as error:
        uploads.trouble.set(error.reason)
    else:
        visit.done.set(f"{upload.name} is now called {kept}.")
        name.clear()


@st.dialog("Delete this upload?")
def delete(workspace: Workspace, owner: str, upload: Upload) -> None:
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
        uploads.trouble.set(error.reason)
    else:
        kept = "" if freed else " Its file stays: another visitor uploaded the same one."
        visit.done.set(f"{upload.name} is deleted.{kept}")
