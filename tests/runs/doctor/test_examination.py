"""Examination: every target as it is, and the fewest rewrites that make it run."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import graph as graphs
from core.backends.base import offered
from core.formats.base.artifacts import Artifacts
from core.measure import Source
from core.pipeline.client import Workshop
from core.records import Attempt, Fate, ModelSummary, Obstacle
from core.runs.doctor import examination
from core.runs.doctor.examination import Examination, targets
from core.runs.doctor.treatment import FREEZE
from core.runs.on_demand import Shelf, Step, key_of
from tests.builders import graph

CLASSIC = "opencv_classic"


def examine(text: str, folder: Path, **weights: object) -> tuple[Examination, ModelSummary]:
    graphs.save(graph(text, domains='"com.microsoft" : 1', **weights), folder / "net.onnx")
    with Workshop() as workshop:
        model = workshop.admit(folder / "net.onnx", "net.onnx", folder / "models")
    names = (d for spec in model.inputs for d in spec.shape if isinstance(d, str))
    made = Examination(
        model,
        dict.fromkeys(names, 1),
        Source(),
        Artifacts(folder / "artifacts"),
        Shelf(Attempt, folder / "attempts"),
        Shelf(tuple[Obstacle, ...], folder / "hindrances"),
        lambda model, target: key_of(model.digest, target),
        Step(),
    )
    return made, model


def test_every_backend_with_every_format_that_it_reads():
    assert {target.partition("@")[0] for target in targets()} == set(offered())
    assert "openvino@openvino_ir" in targets()


@pytest.mark.slow
def test_the_fewest_rewrites_that_unlock_a_target(tmp_path: Path):
    text = """(float[N,3,8,8] x) => (float[N,4,8,8] y) {
        c = com.microsoft.FusedConv <activation="Relu", pads=[1,1,1,1]> (x, w)
        y = HardSwish (c) }"""
    asked, model = examine(text, tmp_path, w=(4, 3, 3, 3))
    found = asked.diagnose(["onnxruntime", CLASSIC])
    first, second = found.findings
    assert found.model == model.digest
    assert first.as_it_is.fate is Fate.RUNS
    assert first.rewritten is None
    assert second.as_it_is.fate is Fate.REFUSED
    assert [one.operator for one in second.obstacles] == ["com.microsoft.FusedConv"]
    assert second.rewrites == ("vendor_operators",)
    assert second.unlocked
    assert found.for_all == ("vendor_operators",)
    assert {FREEZE, "basic_activations", "vendor_operators"} <= set(found.rewrites)
    assert all(f.together is not None and f.together.runs for f in found.findings)


@pytest.mark.slow
def test_work_that_stepped_aside_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    text = "(float[2,3] x) => (float[2,3] y) { y = RandomUniformLike (x) }"
    first, _ = examine(text, tmp_path)
    found = first.diagnose([CLASSIC])
    assert found.findings[0].obstacles

    def again(*_: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(examination, "alone", again)
    second, _ = examine(text, tmp_path)
    assert second.diagnose([CLASSIC]).findings == found.findings


@pytest.mark.slow
def test_what_nothing_helps_says_what_is_left(tmp_path: Path):
    text = "(float[2,3] x) => (float[2,3] y) { a = HardSwish (x) r = RandomUniformLike (a) " \
           "z = Sub (r, r) y = Add (a, z) }"  # fmt: skip
    asked, _ = examine(text, tmp_path)
    (found,) = asked.diagnose([CLASSIC]).findings
    assert found.as_it_is.fate is Fate.REFUSED
    assert not found.unlocked
    assert found.rewrites == ()
    assert found.rewritten is not None
    assert [one.operator for one in found.remaining] == ["RandomUniformLike"]
