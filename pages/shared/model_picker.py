"""Choose a model: a sample, an upload, and the two forms that a model may still need."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.errors import CoreError
from core.records import DataSummary, Json, ModelSummary, Run
from core.wording import sentences
from core.workspace import Workspace
from core.workspace.inputs import called, open_dims, proposed
from pages.shared import formatting, preprocess_form, reading, upload_dialogs, upload_room
from pages.shared.state import forms, uploads

OPENING_SAMPLE = "resnet"


def show(workspace: Workspace, owner: str, run: Run | None) -> ModelSummary | None:
    """The picker, the upload and the forms; the summary of the chosen model."""
    names = options(workspace, owner, run)
    _take_pending(names)
    if forms.model.get() not in names:
        forms.model.set(next(iter(names), None))
    picker = st.container()
    face = {"icon": ":material/upload:", "width": "stretch"}
    with sheet("model", "Upload a model", **face) as opened:
        upload(workspace, owner, "model", "An .onnx file, or a .zip with its external data")
        if opened:
            refusal("model")
    if not opened:
        refusal("model")
    with picker:
        digest = st.selectbox(
            "Model",
            list(names),
            format_func=lambda digest: names.get(digest, "model"),
            key=forms.model.key,
            persist_state="session",
        )
        if digest in _own(workspace, owner):
            upload_dialogs.offer(workspace, owner, digest, "model")
        upload_dialogs.say()
    if digest is None:
        st.info("Upload an ONNX model to begin.")
        return None
    try:
        model = summary(workspace, digest, owner, run)
    except CoreError as error:
        st.error(formatting.plain(error.message))
        return None
    for warning in sentences(model.warnings):
        st.warning(formatting.plain(warning))
    freeze_form(workspace, model, owner)
    preprocess_form.show(workspace, model, owner)
    return model


def options(workspace: Workspace, owner: str, run: Run | None) -> dict[str, str]:
    """Digest -> what the picker says: samples, then uploads, then the model of a shared run."""
    samples = {s.digest: s.title for s in workspace.models.samples()}
    opening = [s.digest for s in workspace.models.samples() if s.name == OPENING_SAMPLE]
    names = {digest: samples[digest] for digest in [*opening, *samples]}
    for model in workspace.models.of(owner):
        names.setdefault(model.digest, model.name)
    if run is not None:
        names.setdefault(run.spec.model, f"{run.model.name} (of this run)")
    return formatting.apart(names)


def _own(workspace: Workspace, owner: str) -> set[str]:
    """Digests of what this visitor uploaded; a sample stays a sample, who ever uploads it."""
    samples = {sample.digest for sample in workspace.models.samples()}
    return {model.digest for model in workspace.models.of(owner)} - samples


def summary(workspace: Workspace, digest: str, owner: str, run: Run | None) -> ModelSummary:
    """What is known of the chosen model.

    Raises:
        CoreError: it is gone, or belongs to somebody else.
    """
    if run is not None and digest == run.spec.model:
        return run.model
    for sample in workspace.models.samples():
        if sample.digest == digest:
            return workspace.models.sample(sample.name)
    return workspace.models.get(digest, owner)


@contextlib.contextmanager
def sheet(kind: str, label: str, **face: Any) -> Iterator[bool]:
    """A popover around an upload; whether it is open, for it covers what stands below it.

    A file that was taken in closes it: what follows from the file is to be seen at once.
    """
    opened = uploads.sheet(kind)
    if closes(kind):
        opened.set(False)
    with st.popover(label, key=opened.key, on_change="rerun", **face) as popover:
        yield bool(popover.open)


def closes(kind: str) -> bool:
    """Whether this run of the script closes the sheet.

    A widget inside of it must be left out of one whole run: the browser takes it away without
    having heard of a new value, and would send the old one back. Left out, it forgets both.
    """
    return uploads.closing(kind).get()


def settle() -> None:
    """Note that a run of the script came to its end: what it closed is closed."""
    for kind in ("model", "data"):
        uploads.closing(kind).clear()


def upload(workspace: Workspace, owner: str, kind: str, label: str) -> None:
    """A file uploader that admits each file once.

    It offers every file, whatever its name: the gate knows what a foreign one is and what to do
    about it, where a filter of suffixes would say nothing.
    """
    room = workspace.data.room(owner)
    most = upload_room.most_bytes(room)
    file = st.file_uploader(label, key=uploads.file(kind).key, max_upload_size=max(1, most >> 20))
    st.caption(upload_room.words(room, most))
    if file is None:
        return
    last = uploads.last(kind)
    admitted: ModelSummary | DataSummary
    if last.get()[0] != file.file_id:
        try:
            if kind == "model":
                with st.spinner("Checking the file …"):
                    admitted = _added(workspace, file, owner)
            else:
                told = reading.Reading(kind, file.file_id, file.name)
                admitted = workspace.data.add(
                    file.name, file.getvalue(), owner, told.progress, told.check
                )
        except CoreError as error:
            last.set((file.file_id, file.name, f"{error.message} {error.remedy}".strip()))
        else:
            last.set((file.file_id, file.name, ""))
            uploads.pending(kind).set(admitted.digest)
            uploads.arrived(kind).set(admitted.digest)
            uploads.closing(kind).set(True)
            st.rerun()


def _added(workspace: Workspace, file: UploadedFile, owner: str) -> ModelSummary:
    """Take the model in; `getvalue` gives the bytes that the server holds, not a copy of them."""
    line = st.empty()

    def told(message: Json) -> None:
        share = f", {message['share']:.0%}" if message.get("share") else ""
        line.caption(f"{message['current'].capitalize()}{share}")

    try:
        return workspace.models.add(file.name, file.getvalue(), owner, told)
    finally:
        line.empty()


def has_arrived(model: ModelSummary) -> bool:
    """Whether the model was just uploaded; asked once for each upload."""
    return uploads.arrived("model").take() == model.digest


def refusal(kind: str) -> None:
    """Say why the last upload was refused, as long as it is the last one."""
    _, name, reason = uploads.last(kind).get()
    if reason:
        st.error(f"{formatting.plain(name)} was refused: {formatting.plain(reason)}")


def freeze_form(workspace: Workspace, model: ModelSummary, owner: str) -> None:
    """Numbers for the dimensions that the file leaves open; a free batch alone can stay so."""
    if not model.dynamic_dims:
        return
    if not open_dims(model.inputs):
        with st.popover("Batch size: free", width="stretch"):
            st.caption("Latency is measured with one image. Freeze the batch if you ship it fixed.")
            _freeze_fields(workspace, model, owner)
        return
    with st.popover("Input size: free", width="stretch"):
        st.caption(
            "It is measured at the size that you state under *Measure on*. Freeze it here if you "
            "ship it for one size: that makes a new file."
        )
        _freeze_fields(workspace, model, owner)


def _freeze_fields(workspace: Workspace, model: ModelSummary, owner: str) -> None:
    likely = dict.fromkeys(model.dynamic_dims, 1) | proposed(model).dims
    with st.form("freeze", border=True):
        sizes = {
            name: st.number_input(
                f"{called(model.inputs, name).capitalize()} ({formatting.plain(name)})",
                1,
                1 << 16,
                value=likely[name],
                key=forms.frozen_size(name).key,
            )
            for name in model.dynamic_dims
        }
        if st.form_submit_button("Freeze shapes"):
            try:
                frozen = workspace.models.freeze(model.digest, sizes, owner)
            except CoreError as error:
                st.error(formatting.plain(error.message))
            else:
                choose(frozen.digest)


def choose(digest: str) -> None:
    """Select another model in the next script run, and start it."""
    uploads.pending("model").set(digest)
    st.rerun()


def _take_pending(names: dict[str, str]) -> None:
    digest = uploads.pending("model").take()
    if digest in names:
        forms.model.set(digest)
