"""Diagnoses on demand: each question is worked on once, and kept for the next process."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.records import Diagnosis, TensorSpec
from core.runs.doctor import diagnoses
from core.runs.doctor.diagnoses import Diagnoses, Question, Told
from core.runs.home import Home
from core.runs.images import ImageSource
from core.runs.on_demand import Turns
from tests.pages.fake_workspace import model

ASKED: list[str] = []


class Examination:
    """Answers at once; says what it was asked."""

    def __init__(self, model, dims, *_) -> None:
        self.model, self.dims = model, dims

    def diagnose(self, targets) -> Diagnosis:
        ASKED.append(self.model.digest)
        return Diagnosis(self.model.digest, (), self.dims)


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Diagnoses:
    ASKED.clear()
    monkeypatch.setattr(diagnoses, "Examination", Examination)
    return Diagnoses(Home.at(tmp_path), Turns(lambda: False))


def question(images: str = "", **changes: object) -> Question:
    return Question(model(**changes), ImageSource(Path(images) if images else None, images))


def answer(known: Diagnoses, asked: Question) -> Diagnosis:
    until = time.monotonic() + 10
    while (found := known.get(asked)) is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


def test_a_model_is_tried_once_also_by_the_next_process(known: Diagnoses, tmp_path: Path):
    assert known.known(question()) is None
    assert answer(known, question()) == answer(known, question())
    again = Diagnoses(Home.at(tmp_path), Turns(lambda: False))
    assert again.known(question()) == known.known(question())
    assert len(ASKED) == 1


def test_other_images_are_another_question(known: Diagnoses):
    answer(known, question())
    answer(known, question("set"))
    assert len(ASKED) == 2


def test_open_dimensions_get_a_size_and_a_batch_is_one():
    spec = TensorSpec("x", "float32", ("N", 3, "H", "W"))
    assert question(inputs=(spec,)).dims == {"N": 1, "H": 224, "W": 224}


def test_a_runtime_installed_anew_is_tried_anew(monkeypatch: pytest.MonkeyPatch):
    asked = question()
    before = asked.attempt(asked.model, "opencv"), asked.attempt(asked.model, "openvino"), asked.key
    monkeypatch.setattr(type(diagnoses.catalogue()["opencv"]), "version", lambda _: "9.9")
    after = asked.attempt(asked.model, "opencv"), asked.attempt(asked.model, "openvino"), asked.key
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, False]


def test_a_command_waits_for_the_answer_and_shares_it(known: Diagnoses):
    heard: list[str] = []
    assert known.now(question(), Told(heard.append)) == known.known(question())
    assert known.now(question(), Told(heard.append)) == answer(known, question())
    assert len(ASKED) == 1


def test_a_step_passes_on_what_it_is_told():
    heard: list[str] = []
    Told(heard.append).tell("OpenCV: as it is")
    assert heard == ["OpenCV: as it is"]


def test_another_file_is_another_question():
    asked = question()
    other = replace(asked, model=replace(asked.model, digest="b" * 64))
    assert asked.key != other.key
