"""Choose images: some to calibrate passes with, others to measure accuracy on."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from core.errors import CoreError, WorkerError
from core.records import DataSummary, ModelSummary, Run
from core.workspace import Workspace
from core.workspace.facts import unmet_by
from core.workspace.inputs import assigned, halves, shared_images
from pages.shared import formatting, model_picker, preprocess_finder, upload_dialogs
from pages.shared.state import forms, uploads

NONE = ""
CALIBRATION, EVALUATION = ROLES = ("calibration", "evaluation")


@dataclass(frozen=True, slots=True)
class Data:
    """Digests of the chosen sets; empty for none.

    Attributes:
        misfit: why one of them cannot feed the model; empty if they can.
    """

    calibration: str = NONE
    evaluation: str = NONE
    misfit: str = ""


def show(workspace: Workspace, owner: str, model: ModelSummary, run: Run | None) -> Data:
    """Two pickers and an upload; says so where one set must serve for both."""
    sets = available(workspace, owner)
    _defaults(workspace, model, sets, run)
    with model_picker.sheet("data", _face(sets), width="stretch") as opened:
        data = _pickers(sets, run)
        if opened:
            _offer(workspace, owner, data)
        st.divider()
        st.caption(_FORMATS)
        model_picker.upload(workspace, owner, "data", "Your images: .npz, or .zip of a folder")
        if opened:
            model_picker.refusal("data")
    if not opened:
        model_picker.refusal("data")
    data = replace(data, misfit=_misfit(workspace, owner, model, data, sets))
    if data.misfit:
        st.error(formatting.plain(data.misfit))
    if data.evaluation in sets and (why := unmet_by(model, sets[data.evaluation].annotated)):
        st.warning(formatting.plain(why))
    _say_what_follows(data, sets)
    _warn_of_overlap(data, sets)
    labelled = data.evaluation in sets and sets[data.evaluation].labelled
    preprocess_finder.show(workspace, owner, model, data.evaluation if labelled else NONE)
    return data


def _face(sets: dict[str, DataSummary]) -> str:
    """What the button says: how many images do what."""
    first, second = (forms.data(role).get() for role in ROLES)
    count = {digest: one.count for digest, one in sets.items()}
    if first == second and first in count:
        calibrate, evaluate = halves(count[first])
        return f"Images: {calibrate:,} to calibrate, {evaluate:,} to evaluate"
    said = {digest: f"{number:,}" for digest, number in count.items()} | {NONE: "none"}
    return f"Images: {said.get(first, 'some')} to calibrate, {said.get(second, 'some')} to evaluate"


def _pickers(sets: dict[str, DataSummary], run: Run | None) -> Data:
    names = formatting.apart({NONE: "none"} | {d.digest: label(d) for d in sets.values()})
    for role, text in ((CALIBRATION, "Calibration images"), (EVALUATION, "Evaluation images")):
        _picker(role, text, names | _foreign(role, run, names))
    return chosen()


def _picker(role: str, text: str, known: dict[str, str]) -> None:
    """The selectbox of a role, whose choice is kept apart from it.

    What was set elsewhere (by an upload, a run, a draft) is shown by a new selectbox: no browser
    has an older choice of it that it could send back, and no page that is left forgets it.
    """
    chosen, shown = forms.data(role), forms.data_shown(role)
    if chosen.get() not in known:
        chosen.set(NONE)
    digest = chosen.begin(NONE)
    turn, before = shown.get() or (0, digest)
    turn += before != digest
    shown.set((turn, digest))
    st.selectbox(
        text,
        list(known),
        index=list(known).index(digest),
        format_func=lambda digest: known.get(digest, "images"),
        key=forms.data_picker(role, turn).key,
        help=_HELP[role],
        on_change=_picked,
        args=(role, turn),
    )


def _offer(workspace: Workspace, owner: str, data: Data) -> None:
    """Rename or delete the chosen sets, as far as this visitor uploaded them."""
    own = {one.digest: one.name for one in workspace.data.of(owner)}
    for role in ROLES if data.calibration != data.evaluation else ROLES[:1]:
        if (digest := getattr(data, role)) in own:
            st.caption(formatting.plain(own[digest]))
            upload_dialogs.offer(workspace, owner, digest, role)


def _picked(role: str, turn: int) -> None:
    """Keep a choice before the script runs, which the next click may cut short."""
    digest = forms.data_picker(role, turn).get()
    forms.data(role).set(digest)
    forms.data_shown(role).set((turn, digest))


def calibration_images(workspace: Workspace, owner: str, data: Data) -> int | None:
    """How many images passes can use; None for a set that is known by a run only."""
    if not data.calibration:
        return 0
    known = available(workspace, owner).get(data.calibration)
    if known is None:
        return None
    return halves(known.count)[0] if data.calibration == data.evaluation else known.count


def chosen() -> Data:
    """The sets that stand on the page."""
    return Data(forms.calibration.get(), forms.evaluation.get())


def chosen_for(workspace: Workspace, model: str) -> Data:
    """The sets that the model would be calibrated with and measured on, from any screen."""
    if forms.data_model.get() == model:
        return chosen()
    if model in {sample.digest for sample in workspace.models.samples()}:
        return Data(*(data.digest for data in workspace.data.samples()))
    return Data()


def available(workspace: Workspace, owner: str) -> dict[str, DataSummary]:
    """The sample sets and the visitor's own, by digest."""
    sets = [*workspace.data.samples(), *workspace.data.of(owner)]
    return {data.digest: data for data in sets}


def label(data: DataSummary) -> str:
    """A set's name with what counts of it."""
    kind = "labelled" if data.labelled else data.annotations or "no labels"
    return f"{data.name} · {data.count:,} · {kind}"


def _foreign(role: str, run: Run | None, names: dict[str, str]) -> dict[str, str]:
    digest = getattr(run.spec, role) if run is not None else NONE
    return {digest: "images of this run"} if digest not in names else {}


def _defaults(
    workspace: Workspace, model: ModelSummary, sets: dict[str, DataSummary], run: Run | None
) -> None:
    """Sample images for a sample model, none for another; a new upload where it is good for."""
    fresh = uploads.pending("data").take()
    if forms.data_model.get() != model.digest:
        forms.data_model.set(model.digest)
        keep = run is not None and run.spec.model == model.digest
        if not keep and model.digest in {sample.digest for sample in workspace.models.samples()}:
            calibration, evaluation = workspace.data.samples()
            forms.calibration.set(calibration.digest)
            forms.evaluation.set(evaluation.digest)
        elif not keep:
            _drop_samples(workspace)
    if fresh in sets:
        _take(sets, fresh)


def _take(sets: dict[str, DataSummary], fresh: str) -> None:
    """Give a new upload the role that it is good for, and the other one what that sets free."""
    calibrates, evaluates = (sets.get(forms.data(role).get()) for role in ROLES)
    for role, one in zip(ROLES, assigned(sets[fresh], calibrates, evaluates), strict=True):
        forms.data(role).set(one.digest if one is not None else NONE)


def _drop_samples(workspace: Workspace) -> None:
    """The sample images say nothing about a model that was not trained on their kind."""
    samples = {data.digest for data in workspace.data.samples()}
    for role in ROLES:
        if forms.data(role).get() in samples:
            forms.data(role).set(NONE)


def _misfit(
    workspace: Workspace,
    owner: str,
    model: ModelSummary,
    data: Data,
    sets: dict[str, DataSummary],
) -> str:
    """Why the chosen images cannot feed the model: known before anything is measured."""
    for role in ROLES:
        digest = getattr(data, role)
        if digest not in sets:
            continue
        with contextlib.suppress(WorkerError):  # then the run finds out, and says it
            if why := _fit(model.digest, digest, role, workspace, owner, model):
                return why
    return ""


@st.cache_data(max_entries=256, show_spinner=False)
def _fit(
    model: str, data: str, role: str, _workspace: Workspace, _owner: str, _model: ModelSummary
) -> str:
    """Kept by digests: the page asks on every run of its script."""
    return _workspace.data.misfit(_model, data, _owner, labels=role == EVALUATION)


def _say_what_follows(data: Data, sets: dict[str, DataSummary]) -> None:
    evaluation = sets.get(data.evaluation)
    if data.evaluation and data.evaluation == data.calibration:
        st.info("One set for both: half of it calibrates, the other half evaluates.")
    elif not data.evaluation:
        st.info("No evaluation images: size and latency are measured, accuracy is not.")
    elif evaluation is not None and not evaluation.is_annotated:
        st.info("No labels: accuracy is the agreement with the original model.")
    for digest in {data.calibration, data.evaluation} - {NONE}:
        for note in sets[digest].notes if digest in sets else ():
            st.caption(formatting.plain(note))


def _warn_of_overlap(data: Data, sets: dict[str, DataSummary]) -> None:
    first, second = sets.get(data.calibration), sets.get(data.evaluation)
    if first is None or second is None or first is second:
        return
    try:
        shared = _shared(first.digest, second.digest, first.path, second.path)
    except CoreError as error:
        st.warning(formatting.plain(error.message))
        return
    if shared:
        images = "1 image is" if shared == 1 else f"{shared:,} images are"
        st.warning(f"{images} in both sets: the accuracy measured on them looks too good.")


@st.cache_data(max_entries=64, show_spinner=False)
def _shared(first: str, second: str, _first_path: Path, _second_path: Path) -> int:
    """Kept by digest: the page asks on every run of its script."""
    return shared_images(_first_path, _second_path)


_HELP = {
    CALIBRATION: "Seen by passes that refit or quantize; they need no labels. Never used for the "
    "score.",
    EVALUATION: "What accuracy is measured on, on every backend. Never seen by a pass.",
}
_FORMATS = (
    "One set is split, so that no image serves for both. Better upload two, one after the other: "
    "labelled images evaluate, others calibrate. "
    "A .npz with `images` (N, H, W, C) uint8 and, if labelled, `labels`; a .npz with one array per "
    "model input; or a .zip of images with a labels.csv or one folder per class. For segmentation "
    "a folder masks/ of PNGs (or an array `masks`), for detection a COCO annotations.json."
)
