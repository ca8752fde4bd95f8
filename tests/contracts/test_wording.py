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
from core.records import ModelSummary, Note, Skip, Step, StepReport, from_json, to_json
from core.records.notes import TEXT
from core.wording import SENTENCES, Advised, advised, in_words, sentence, sentences
from core.wording.advice import FIGURES, TITLES

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


def test_ready_made_sentences_come_out_of_old_files_alone():
    made = {
        str(file.relative_to(CORE))
        for file in CORE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "Note.text"
    }
    assert made == {"records/codec.py"}


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


@pytest.mark.parametrize(("note", "said"), [
    (Note.of("narrow.stays", type="float", why=Note.of("narrow.beyond", value="w", largest=1e6)),
     "stays float: 'w' holds 1e+06, beyond its range"),
    (Note.of("narrow.stays", type="float", why=Note.of("narrow.vanishes", value="e", number=1e-12)),
     "stays float: 'e' is 1e-12, which would become 0"),
    (Note.of("simplify.folds_nothing",
             why=Note.of("simplify.old_opset", operator="SequenceAt", first=13)),
     "SequenceAt of an opset before 13: no constant is folded"),
    (Note.of("fine_tune.distance", before=0.12345, after=0.05, steps=300, seconds=61.7, images=256,
             rate=3e-4),
     "Distance to the original on images held out: 0.1235 -> 0.0500, after 300 steps in 62 s on "
     "256 images (rate 0.0003)."),
    (Note.of("verify.not", why=Note.of("verify.no_load", error="[ONNXRuntimeError] : 9")),
     "Not verified by a run: ONNX Runtime does not load the original ([ONNXRuntimeError] : 9)."),
    (Note.of("verify.loaded_alone", why=Note.of("verify.no_input")),
     "Verified by loading, not by a run: no input could be made up."),
    (Note.of("channels.at", why=Note.of("channels.no_rule", operator="Einsum"), node="mix"),
     "no rule for Einsum (mix)"),
    (Note.of("norm.old_opset", opset=6, first=7),
     "opset 6 defines batch norms otherwise; convert the model to opset 7 or later"),
    (Note.of("prune.integers", multiple=16, backend="openvino", times=(0.912, 0.9, 0.93)),
     "Kept channels are multiples of 16: int8 follows, and on openvino it takes 0.91 (0.90 to "
     "0.93) of the time that it takes with multiples by the width of each group."),
    (Note.of("prune.not_refitted", reason=Note.of("refit.no_better")),
     "not refitted: no better on held-out images"),
    (Note.of("weights.unknown_layer", why=Note.of("transposed.grouped")),
     "stays float: a transposed convolution with groups"),
    (Note.of("int8.raced", backend="onnxruntime", ratio=(0.5, 0.4, 0.6), full_ratio=(0.6, 0.5, 0.7),
             moves=(Note.of("float.first", layers=2), Note.of("float.kind", operator="Add"))),
     "Measured on onnxruntime: everything in int8 takes 0.60 (0.50 to 0.70) of the float time; "
     "0.50 (0.40 to 0.60) when the first 2 layers stay float, Add stays float."),
])  # fmt: skip
def test_a_sentence_is_word_for_word(note: Note, said: str):
    assert sentence(note) == said


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


def test_advice_has_a_title_and_a_number_beside_its_sentence():
    codes = {code for code in SENTENCES if code.startswith("advice.")}
    assert {*TITLES} == {*FIGURES} == codes


@pytest.mark.parametrize(("note", "said"), [
    (Note.of("advice.norms_fold", ready=1, found=1),
     Advised("Batch norms", "1 to fold", "1 of 1 batch norm directly follows a layer and can be "
             "folded into its weights: no output changes.")),
    (Note.of("advice.no_shortcuts", run=12, elsewhere=3),
     Advised("Shortcuts missing", "12 convolutions in a row", "12 convolutions follow one another "
             "with no shortcut around any of them (3 elsewhere). Networks this deep are hard to "
             "train without shortcuts; an Add around every second or third layer costs no "
             "parameters and no MACs.")),
    (Note.of("advice.separable", layers=2, parameters=(20_000, 5_000), macs=None, most=[]),
     Advised("Depthwise + pointwise would shrink it", "75 % fewer parameters", "Written as "
             "depthwise + pointwise, 2 dense convolutions would take the network from 20 k to 5 k "
             "parameters, once it is trained anew. How many MACs that saves is unknown, since the "
             "input size is open.")),
    (Note.of("advice.odd_channels", layers=7, multiple=8, first=[("a", 12), ("b", 20)]),
     Advised("Odd channel counts", "7 convolutions", "7 inner convolutions have a number of "
             "channels that is not a multiple of 8, so vector kernels work on padding: a (12), "
             "b (20) and 5 more.")),
])  # fmt: skip
def test_advice_is_word_for_word(note: Note, said: Advised):
    assert advised(from_json(Note, json.loads(json.dumps(to_json(note))))) == said


def test_advice_and_warnings_that_version_0_1_0_stored_keep_opening():
    advice = {"title": "Batch norms", "text": "19 of 19 {fold}.", "value": 19, "unit": "to fold"}
    bare = {"title": "No labels", "text": "None.", "value": None, "unit": ""}
    summary = ModelSummary("d", "n", Path("p"), (), (), 17, 8, "", 1, 1, None, 1, 0)
    stored = to_json(summary) | {"advice": [advice, bare], "warnings": ["It trains {still}."]}
    read = from_json(ModelSummary, stored)
    assert [*map(advised, read.advice)] == [
        Advised("Batch norms", "19 to fold", "19 of 19 {fold}."),
        Advised("No labels", "", "None."),
    ]
    assert sentences(read.warnings) == ("It trains {still}.",)
    assert from_json(ModelSummary, to_json(read)) == read
