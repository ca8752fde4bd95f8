"""Presets fitted to a model, and what a person may type."""

import pytest

from core.records import Preprocess, TensorSpec
from pages.widgets import preprocess_form
from tests.pages.fake_workspace import model


def with_input(shape, dtype="float32"):
    return model(inputs=(TensorSpec("x", dtype, shape),))


def test_a_preset_takes_layout_and_size_from_the_model():
    fitted = preprocess_form.fitted(Preprocess(), with_input((1, 32, 48, 3), "uint8"))
    assert (fitted.layout, fitted.resize, fitted.dtype) == ("NHWC", (32, 48), "uint8")
    fitted = preprocess_form.fitted(Preprocess(), with_input((1, 1, 28, 28)))
    assert (fitted.layout, fitted.resize, fitted.color) == ("NCHW", (28, 28), "gray")


def test_open_sides_are_not_resized_to():
    assert preprocess_form.fitted(Preprocess(), with_input(("N", 3, "H", "W"))).resize is None


def test_every_preset_is_recognised_again():
    for name, preset in preprocess_form.PRESETS.items():
        assert preprocess_form.name_of(preprocess_form.fitted(preset, model())) == name
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
