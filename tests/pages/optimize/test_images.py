"""Uploaded image sets find their roles: what calibrates, and what accuracy is measured on."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import DataError
from core.records import DataSummary, Preprocess
from core.runs.preprocess_search import PixelTrial
from tests.pages.fake_workspace import model
from tests.pages.screen import clean, picker, words


def image_set(name: str, labelled: bool, count: int = 20) -> DataSummary:
    digest = name.encode().hex().ljust(64, "0")[:64]
    return DataSummary(digest, name, Path("none"), "images", count, labelled)


PHOTOS = image_set("photos.zip", labelled=False)
LABELLED = image_set("labelled.zip", labelled=True)
TEST = image_set("test.npz", labelled=True)
TRAIN = image_set("cifar_TRAIN.npz", labelled=True)
CALIBRATION = image_set("calibration.npz", labelled=True)


@pytest.fixture
def roles(optimize, workspace):
    """Uploads sets one after the other; the names of what calibrates and what evaluates then."""

    def take(*sets: DataSummary) -> tuple[str, str]:
        page = clean(optimize.run())
        for role in ("calibration", "evaluation"):
            picker(page, role).set_value("")
        workspace.data.of = lambda owner: sets
        for found in sets:
            page.session_state["pending.data"] = found.digest
            page = clean(page.run())
        names = {found.digest: found.name for found in sets} | {"": "none"}
        first, second = (names[picker(page, role).value] for role in ("calibration", "evaluation"))
        return first, second

    return take


@pytest.mark.parametrize("sets", [(PHOTOS, LABELLED), (LABELLED, PHOTOS)])
def test_of_two_sets_the_labelled_one_evaluates(roles, sets):
    assert roles(*sets) == (PHOTOS.name, LABELLED.name)


@pytest.mark.parametrize("calibrates", [TRAIN, CALIBRATION])
@pytest.mark.parametrize("first", [True, False])
def test_of_two_labelled_sets_a_name_tells_which_one_calibrates(roles, calibrates, first):
    sets = (calibrates, TEST) if first else (TEST, calibrates)
    assert roles(*sets) == (calibrates.name, TEST.name)


def test_where_nothing_tells_the_newer_one_evaluates(roles):
    assert roles(LABELLED, TEST) == (LABELLED.name, TEST.name)


def test_a_third_set_takes_one_role_and_leaves_the_other(roles):
    assert roles(TRAIN, LABELLED, TEST) == (TRAIN.name, TEST.name)
    assert roles(TEST, PHOTOS, TRAIN) == (TRAIN.name, TEST.name)


@pytest.mark.parametrize("only", [PHOTOS, LABELLED])
def test_a_set_alone_serves_for_both(roles, only):
    assert roles(only) == (only.name, only.name)


def test_one_image_cannot_be_split(roles):
    only = image_set("one.zip", labelled=True, count=1)
    assert roles(only) == ("none", only.name)


def test_the_button_says_how_many_images_do_what(roles, optimize):
    roles(image_set("odd.zip", labelled=True, count=21))
    faces = [block.proto.popover.label for block in optimize.get("popover")]
    assert "Images: 11 to calibrate, 10 to evaluate" in faces


def trial(name: str, top1: float) -> PixelTrial:
    return PixelTrial(name, Preprocess(scale=0.5), top1, top1 - 4, top1 + 4, 200)


def unlike_samples(optimize, workspace, labelled=True):
    """The page of an uploaded model that says nothing of its pixels, with a labelled set."""
    mine = model("net.onnx", "1" * 64, preprocess=None)
    workspace.brought = {mine.digest: mine}
    workspace.data.of = lambda owner: (LABELLED if labelled else PHOTOS,)
    page = clean(optimize.run())
    page.selectbox(key="model").set_value(mine.digest)
    page.session_state["pending.data"] = (LABELLED if labelled else PHOTOS).digest
    return clean(page.run())


def test_labels_find_the_preprocessing_and_it_is_saved(optimize, workspace):
    found = (trial("ImageNet", 91.0), trial("CIFAR", 90.0), trial("raw", 11.0))
    workspace.insights.pixel_trials = lambda digest, labelled, owner: found
    page = unlike_samples(optimize, workspace)
    assert "it is guessed" in words(page)
    page.button(key="preprocess.find").click()
    page = clean(page.run())
    said = words(page)
    assert "ImageNet: 91.0 % of 200 images right (87.0 … 95.0); saved with the model." in said
    assert "Not clearly worse: CIFAR." in said
    assert "it is guessed" not in said
    assert workspace.brought["7" * 64].preprocess == found[0].preprocess


def test_without_labels_nothing_is_offered(optimize, workspace):
    page = unlike_samples(optimize, workspace, labelled=False)
    assert "preprocess.find" not in [button.key for button in page.button]


def test_why_it_cannot_be_told_is_said(optimize, workspace):
    def refuse(digest, labelled, owner):
        raise DataError("This model gives no scores of classes.", "Set it by hand.")

    workspace.insights.pixel_trials = refuse
    page = unlike_samples(optimize, workspace)
    page.button(key="preprocess.find").click()
    assert "Set it by hand" in words(clean(page.run()))


def test_images_that_do_not_fit_are_said_when_they_are_chosen(optimize, workspace):
    why = "set.npz: 'images' has the shape [20, 3, 8, 8]; the input 'input' takes [1, 3, 64, 64]."
    mine = model("net.onnx", "5" * 64)
    workspace.brought = {mine.digest: mine}
    workspace.data.of = lambda owner: (LABELLED,)
    workspace.misfits[mine.digest, LABELLED.digest, True] = why
    page = clean(optimize.run())
    page.selectbox(key="model").set_value(mine.digest)
    page.session_state["pending.data"] = LABELLED.digest
    page = clean(page.run())
    assert [plain(error.value) for error in page.error] == [why]
    page.button(key="measure").click()
    page = clean(page.run())
    assert not workspace.asked
    assert sum(plain(error.value) == why for error in page.error) == 2  # at the button, too
    page.selectbox(key="model").set_value("a" * 64)
    assert not clean(page.run()).error


def plain(markdown: str) -> str:
    return markdown.replace("\\", "")
