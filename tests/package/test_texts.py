"""What lies in a package beside the model: pinned versions, papers, and no text that is code."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from core.backends.base import catalogue as backends
from core.charts.card_file import read_card
from core.errors import BackendUnavailable, StoreError
from core.package.base import catalogue, readme, subject
from core.package.base.texts import offered, texts
from core.recipes import read
from core.records import Preprocess, TensorSpec, from_json
from tests.charts import builders
from tests.package import shipped
from tests.package.test_python import STATED, classifier


def packed(spec: str = "openvino", digest: str = builders.QUANTIZED) -> Mapping[str, str]:
    return texts(builders.run(), digest, spec)


@pytest.mark.parametrize("name", catalogue())
def test_a_snippet_is_of_a_backend_that_users_choose(name: str):
    known = backends()[name]
    assert not known.facts.internal
    assert version(catalogue()[name].distribution) == known.version()


def test_what_was_timed_is_offered():
    run = builders.run()
    assert offered(run, builders.PRUNED) == builders.BACKENDS
    assert offered(run, builders.QUANTIZED) == builders.BACKENDS[:2]  # it failed on the third
    assert offered(replace(run, measurements=()), builders.PRUNED) == ()
    strange = replace(run.spec, backends=("null", "onnxruntime"))
    assert offered(replace(run, spec=strange), builders.PRUNED) == ("onnxruntime",)


def test_it_holds_programs_and_papers():
    assert {*packed()} == {
        "CMakeLists.txt", "README.md", "card.svg", "measured.csv", "measured.json", "predict.cpp",
        "predict.py", "preprocess.json", "recipe.json", "requirements.txt",
    }  # fmt: skip
    assert "predict.cpp" not in packed("onnxruntime")


def test_the_address_of_the_run_is_not_given_away():
    run = replace(builders.run(), id="unguessable")
    assert not [t for t in texts(run, builders.PRUNED, "openvino").values() if run.id in t]


def test_versions_are_those_that_measured():
    run = builders.run()
    lines = texts(run, builders.PRUNED, "openvino")["requirements.txt"].splitlines()
    assert lines == [
        f"numpy=={version('numpy')}", "opencv-python-headless==5.0.0", "openvino==2026.4.0",
    ]  # fmt: skip
    timed = builders.HOST.target("openvino")
    rows = tuple(
        replace(row, target=replace(timed, version="2025.1")) if row.backend == "openvino" else row
        for row in run.measurements
    )
    found = texts(replace(run, measurements=rows), builders.PRUNED, "openvino")
    assert "openvino==2025.1\n" in found["requirements.txt"]


def test_recipe_and_numbers_can_be_read_again():
    kept = packed(digest=builders.PRUNED)["recipe.json"]
    assert read(kept.encode(), "recipe.json") == builders.run().outcomes[1].recipe
    found = packed()
    card = read_card(found["measured.json"].encode(), "measured.json")
    assert (card.candidate, card.original) == (builders.QUANTIZED, builders.BASE)
    rows = list(csv.DictReader(io.StringIO(found["measured.csv"])))
    assert {row["candidate"] for row in rows} == {builders.QUANTIZED, builders.BASE}
    timed = [row for row in rows if row["metric"] == "latency_ms" and row["low"]]
    assert timed
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in timed)
    assert found["card.svg"].startswith("<svg")


def test_the_page_says_what_was_measured_where_and_how_it_is_run():
    page = packed()["README.md"]
    assert page.startswith("# resnet for OpenVINO\n")
    assert re.search(r"2\.5?6× faster on OpenVINO", page)  # on the backend of the package
    assert "0.7" in page.split("Latency, OpenVINO")[1].splitlines()[0]
    for words in (builders.HOST.cpu, builders.QUANTIZED, "predict.py IMAGE", "SHA256SUMS"):
        assert words in page
    assert "guess" in page  # this model says nothing of its preprocessing


def test_a_stated_preprocessing_is_no_guess(tmp_path: Path):
    run = shipped.run_of(classifier(), tmp_path, "onnxruntime", STATED)
    found = texts(run, run.model.digest, "onnxruntime")
    assert from_json(Preprocess, json.loads(found["preprocess.json"])) == STATED
    assert "guess" not in found["README.md"]
    assert "not measured" in found["README.md"]


def test_labels_lie_one_on_a_line(tmp_path: Path):
    run = shipped.run_of(classifier(), tmp_path, "onnxruntime", STATED, shipped.LABELS)
    lines = texts(run, run.model.digest, "onnxruntime")["labels.txt"].split("\n")
    assert len(lines) == len(shipped.LABELS)
    assert lines[:2] == ["disc", 'a "quoted" one \\{x}']


@pytest.mark.parametrize("spec", ["onnxruntime", "openvino", "opencv"])
def test_texts_of_a_model_are_never_code(spec: str):
    odd = '"""\n\'); import os; os.abort() #*/ %> <script>'
    run = builders.run()
    model = replace(
        builders.summary(builders.PRUNED, name=odd),
        inputs=(TensorSpec(odd, "float32", (odd, 3, odd, 64)),),
        outputs=(TensorSpec(odd, "float32", (odd, 16)),),
        labels=(odd,) * 16,
    )
    outcomes = tuple(replace(outcome, summary=model) for outcome in run.outcomes)
    run = replace(run, model=model, outcomes=outcomes)
    found = texts(run, builders.PRUNED, spec)
    program = compile(found["predict.py"], "predict.py", "exec")
    assert [name for name in program.co_names if name in ("os", "abort")] == []
    native = found.get("predict.cpp", "")
    assert "os.abort() #*/" in native or not native  # inside of a literal,
    assert all(line.count('"') % 2 == 0 for line in native.splitlines())  # which ends on its line
    assert "<script>" not in found["README.md"]
    assert "<script>" not in found["card.svg"]
    assert found["labels.txt"].count("\n") == 15


def test_a_class_in_kotlin_has_the_numbers_of_the_preprocessing():
    run = builders.run()
    model = replace(
        builders.summary(builders.PRUNED),
        preprocess=replace(STATED, color="bgr"),
        labels=("$a",) * 16,
    )
    run = replace(run, model=model, outcomes=(replace(run.outcomes[1], summary=model),))
    program = texts(run, builders.PRUNED, "litert")["Predict.kt"]
    assert "createScaledBitmap(picture, 64, 64, true)" in program
    assert (
        "x[0 * pixels.size + i] = (Color.blue(pixel) * 0.00392156862745098f - 0.485f) / 0.229f"
        in program
    )
    assert "numThreads = 1" in program
    assert "$a" not in program  # names are read from labels.txt
    assert program.count("{") == program.count("}")
    double = replace(model, inputs=(replace(model.inputs[0], dtype="float64"),))
    run = replace(run, outcomes=(replace(run.outcomes[0], summary=double),))
    assert "Predict.kt" not in texts(run, builders.PRUNED, "litert")


def test_what_is_not_there_is_said():
    with pytest.raises(StoreError):
        texts(builders.run(), "9" * 64, "openvino")
    with pytest.raises(BackendUnavailable):
        texts(builders.run(), builders.PRUNED, "nothing")
    with pytest.raises(BackendUnavailable, match="no program"):
        texts(builders.run(), builders.PRUNED, "null")


def test_a_subject_knows_its_batch_and_names_all_classes_or_none(tmp_path: Path):
    run = shipped.run_of(classifier(3, "4"), tmp_path, "onnxruntime", STATED, ("a",) * 6)
    found = subject.subject_of(run, run.model.digest, "onnxruntime")
    assert (found.batch, len(found.classes)) == (4, 6)
    assert replace(found, labels=("a", "b")).classes == ()


@pytest.mark.parametrize("text", ["a|b", "*a*", "<b>", "[x](y)", "a\nb", "`c`"])
def test_a_text_stays_text_in_markdown(text: str):
    plain = readme.plain(text)
    assert "\n" not in plain
    assert plain.replace("\\", "") == " ".join(text.split())
