"""Histograms in the background: a page asks again, and each question is worked on once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from core.errors import DataError
from core.records import Distributions
from core.runs import distribution_job
from core.runs.distribution_job import IMAGES, LayerDistributions, LayerOf
from core.runs.home import Home
from core.runs.images import ImageSource
from core.runs.on_demand import Turns

FOUND = Distributions(images=4, value="y")


class Workshop:
    """Answers at once; says what it was asked."""

    asked: list[tuple[object, ...]] = []  # noqa: RUF012 - one for all, emptied by each test
    failing: str = ""

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None: ...

    def distributions(self, model: Path, layer: str, images: Path, most: int, check: object):
        Workshop.asked.append((model, layer, images, most))
        if Workshop.failing:
            raise DataError(Workshop.failing)
        return FOUND


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LayerDistributions:
    Workshop.asked, Workshop.failing = [], ""
    monkeypatch.setattr(distribution_job, "Workshop", Workshop)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return LayerDistributions(Home.at(tmp_path), Turns(lambda: False))


def question(layer: str, images: str = "set") -> LayerOf:
    return LayerOf(Path("models/abc.onnx"), layer, ImageSource(Path(images), images))


def answer(known: LayerDistributions, asked: LayerOf) -> Distributions:
    until = time.monotonic() + 10
    while (found := known.get(asked)) is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


def test_a_layer_is_counted_once(known: LayerDistributions, tmp_path: Path):
    assert known.get(question("conv")) is None
    assert answer(known, question("conv")) == FOUND
    assert answer(known, question("conv")) == FOUND
    assert Workshop.asked == [(Path("models/abc.onnx"), "conv", Path("set"), IMAGES)]
    again = LayerDistributions(Home.at(tmp_path), Turns(lambda: False))
    assert again.get(question("conv")) == FOUND


def test_other_layers_and_other_images_are_other_questions(known: LayerDistributions):
    for asked in (question("conv"), question("fc"), question("conv", "others")):
        answer(known, asked)
    assert len(Workshop.asked) == 3


def test_why_it_cannot_be_counted_is_told(known: LayerDistributions):
    Workshop.failing = "The images do not fit."
    with pytest.raises(DataError, match="do not fit"):
        answer(known, question("conv"))
