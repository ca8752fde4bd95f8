"""Presets fitted to a model, and what a person may type."""

import pytest

from core.data import PRESETS, fitted
from core.records import Preprocess
from pages.shared import preprocess_form
from tests.pages.fake_workspace import model


def test_every_preset_is_recognised_again():
    for name, preset in PRESETS.items():
        assert preprocess_form.name_of(fitted(preset, model().inputs)) == name
    written_otherwise = Preprocess(scale=1 / 127.5, mean=(1.0, 1.0, 1.0), std=(1.0,))
    assert preprocess_form.name_of(written_otherwise) == "−1 … 1, RGB"
    assert preprocess_form.name_of(Preprocess(scale=0.5)) == preprocess_form.CUSTOM
    assert preprocess_form.name_of(None) == "nothing"


@pytest.mark.parametrize("text", ["a", "1, 2", "1,2,3,4", ""])
def test_a_mean_is_one_number_or_three(text):
    with pytest.raises(ValueError, match="give"):
        preprocess_form.numbers(text)


@pytest.mark.parametrize("text", ["64", "0, 64", "a, b", "-1, 5", "1, 2, 3"])
def test_a_size_is_height_and_width(text):
    with pytest.raises(ValueError, match="height, width"):
        preprocess_form.pair(text)
    assert preprocess_form.pair("") is None
    assert preprocess_form.pair(" 64, 48 ") == (64, 48)
