"""Uploaded image sets find their roles: what calibrates, and what accuracy is measured on."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.records import DataSummary
from tests.pages.screen import clean


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
            page.selectbox(key=f"data.{role}").set_value("")
        workspace.data_sets = lambda owner: sets
        for found in sets:
            page.session_state["pending.data"] = found.digest
            page = clean(page.run())
        names = {found.digest: found.name for found in sets} | {"": "none"}
        keys = ("data.calibration", "data.evaluation")
        first, second = (names[page.selectbox(key=key).value] for key in keys)
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
