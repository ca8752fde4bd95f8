"""Every note has its sentence: codes and values in the sources are held to the templates."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import numpy as np
import pytest

import core
from core.records import Note, Skip, Step, StepReport, from_json, to_json
from core.records.notes import TEXT
from core.wording import SENTENCES, in_words, sentence, sentences

CORE = Path(core.__file__).parent


def _notes() -> Iterator[tuple[str, frozenset[str], bool]]:
    """(code, names of its values, whether more come out of a mapping) of each `Note.of`."""
    for file in sorted(CORE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) != "Note.of":
                continue
            names = frozenset(one.arg for one in node.keywords if one.arg)
            more = any(one.arg is None for one in node.keywords)
            for code in ast.walk(node.args[0]):
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    yield code.value, names, more


NOTES = sorted(set(_notes()), key=lambda found: (found[0], sorted(found[1])))


def test_every_code_has_a_sentence_and_every_sentence_a_code():
    assert {code for code, _, _ in NOTES} == {*SENTENCES} - {TEXT}


@pytest.mark.parametrize(("code", "names", "more"), NOTES, ids=[found[0] for found in NOTES])
def test_a_sentence_takes_the_values_that_its_note_has(
    code: str, names: frozenset[str], more: bool
):
    template = SENTENCES[code]
    if isinstance(template, str):
        wanted = {name for _, name, _, _ in Formatter().parse(template) if name}
        assert names <= wanted
        assert more or names == wanted


def test_a_report_keeps_its_sentences_through_json():
    notes = (
        Note.of("int8.ranges", method="mse", error=np.float32(0.0123)),
        Note.of("int8.raced", backend="openvino", ratio=(0.5, 0.4, 0.6), full_ratio=(0.6, 0.5, 0.7),
                moves=(Note.of("float.first", layers=1),)),
        Note.of("int8.read_elsewhere", images=8, read=[("OpenCV", float("inf"), 0.1)]),
        Note.text("A sentence {as it is}."),
    )  # fmt: skip
    report = StepReport(Step("quantize_int8"), 1, (Skip("a", Note.of("as_asked")),), notes)
    back = from_json(StepReport, json.loads(json.dumps(to_json(report))))
    assert sentences(back.notes) == sentences(report.notes)
    assert sentences(back.notes)[0] == "Ranges by mse: relative logit error 0.012."
    assert sentences(back.notes)[2].endswith("held-out images: OpenCV does not run it.")
    assert sentences(back.notes)[3] == "A sentence {as it is}."


def test_a_note_inside_a_note_keeps_its_sentence_through_json():
    why = Note.of("fold.weight", why=Note.of("constant.input", input="w"))
    left = Note.of("fold.neither", after=Note.of("fold.after", node="Conv 'c'", why=why),
                   before=Note.of("fold.unused"))  # fmt: skip
    report = StepReport(Step("fold_batch_norm"), 1, (Skip("bn", left),))
    back = from_json(StepReport, json.loads(json.dumps(to_json(report))))
    assert back.skipped[0].reason == left
    assert in_words(back)["skipped"][0]["reason"] == (
        "follows Conv 'c', which has a weight that is the input 'w' of the model, which a caller "
        "may set; nothing uses its output"
    )


def test_sentences_that_version_0_1_0_stored_keep_opening():
    stored = {
        "step": {"pass_name": "fold_batch_norm", "params": {}},
        "skipped": [{"node": "bn", "reason": "its scale is {odd}"}],
        "notes": ["19 of 20 batch norms folded."],
        "warnings": ["OpenVINO misreads this file."],
    }
    report = from_json(StepReport, stored)
    assert sentences(report.notes) == ("19 of 20 batch norms folded.",)
    words = in_words(report)
    assert {name: words[name] for name in ("skipped", "notes", "warnings")} == {
        name: stored[name] for name in ("skipped", "notes", "warnings")
    }


def test_a_note_of_a_later_version_is_shown_as_it_is():
    assert sentence(Note.of("later.thing", layers=3)) == "later.thing: layers 3"


def test_what_no_json_holds_is_no_value():
    with pytest.raises(TypeError, match="ndarray"):
        Note.of("int8.ranges", error=np.zeros(3))
