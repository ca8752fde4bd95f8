"""The net as plain data: what is measured, what passes did, and from where each number comes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.charts import net as module
from core.charts.net import Side, errors, is_drawn, net, told, too_many
from core.records import (
    Cut,
    Explanation,
    LayerEffect,
    LayerProfile,
    Note,
    Profile,
    Skip,
    Step,
    StepReport,
    Topology,
)
from tests.pages.fake_workspace import HOSTILE
from tests.pages.fake_workspace import net as chain

BEFORE = Side("Original", "a" * 64, chain("conv1", "conv2"))
QUANTIZED = StepReport(
    Step("quantize_int8"),
    skipped=(Skip("conv1", Note.text("it is the first")),),
    notes=(Note("text", {"text": "done", "layers": ["conv2"]}),),
    effects=(LayerEffect(("conv2",), "int8", 0.004),),
)
PRUNED = StepReport(
    Step("prune_channels"),
    effects=(LayerEffect(("conv1",), "25 %", 0.5, share=0.25),),
    cuts=(Cut(("conv1", "conv2"), 8, 32),),
)
AFTER = Side("int8", "b" * 64, chain("conv1", "conv2"), (PRUNED, QUANTIZED))


def profile(digest: str, seconds: float) -> Profile:
    rows = (
        LayerProfile("n1", "conv1", "Conv", "conv 3x3", seconds, 0.5, "f32"),
        LayerProfile("n2", "conv2", "Conv", "conv 3x3", seconds, 0.25, "int8"),
        LayerProfile("n3", "conv2", "Reorder", "layout", seconds, 0.25, "f32", role="reorder"),
    )
    return Profile(digest, "onnxruntime", 1, rows, 4 * seconds)


def nodes(drawn, side=0):
    return {node["name"]: node for node in drawn["sides"][side]["nodes"]}


def test_one_model_is_drawn_by_macs_which_is_said_to_be_no_time():
    drawn = net([BEFORE])
    assert [colour["key"] for colour in drawn["colours"]] == ["macs", "precision", "parameters"]
    assert "no time was measured" in drawn["colours"][0]["about"]
    assert nodes(drawn)["conv2"] == {
        **nodes(drawn)["conv2"], "macs": 2_000_000, "ms": None, "partner": None, "did": [],
        "out": "1 × 16 × 32 × 32",
    }  # fmt: skip
    assert drawn["sides"][0]["about"] == "2 nodes in 2 layers"


def test_measured_times_come_first_and_name_backend_and_threads():
    answer = Explanation(profile("a" * 64, 0.001), profile("b" * 64, 0.0005))
    drawn = net([BEFORE, AFTER], answer)
    assert drawn["colours"][0]["key"] == "ms"
    assert "ONNX Runtime, 1 thread" in drawn["colours"][0]["about"]
    before, after = nodes(drawn), nodes(drawn, 1)
    assert (before["conv1"]["ms"], after["conv1"]["ms"]) == pytest.approx((1.0, 0.5))
    assert before["conv2"]["ms"] == pytest.approx(2.0)  # both rows of it
    assert (before["conv2"]["ran"], before["input"]["ms"]) == ("int8", None)
    assert drawn["sides"][1]["ms"] == pytest.approx(1.5)


def test_both_sides_point_at_each_other():
    drawn = net([BEFORE, AFTER])
    assert [node["partner"] for node in drawn["sides"][0]["nodes"]] == [0, 1, 2, 3]
    assert [node["partner"] for node in drawn["sides"][1]["nodes"]] == [0, 1, 2, 3]


def test_what_passes_did_stands_with_each_layer():
    found = told((PRUNED, QUANTIZED))
    first, second = ("\n".join(found[name]) for name in ("conv1", "conv2"))
    assert "left alone, it is the first" in first
    assert "8 of 32 channels removed, together with 1 more" in first
    assert "the outputs err by 0.40 %" in second
    assert "done" in second
    assert "25 %" not in first  # what other cuts would have cost is drawn elsewhere


def test_a_step_that_was_undone_did_nothing():
    undone = replace(QUANTIZED, reverted="it failed")
    assert (told((undone,)), errors((undone,))) == ({}, {})


def test_the_error_of_quantization_is_no_error_of_pruning():
    assert errors((PRUNED, QUANTIZED)) == {"conv2": 0.004}
    drawn = net([BEFORE, AFTER])
    assert "error" in {colour["key"] for colour in drawn["colours"]}
    assert nodes(drawn)["conv2"]["error"] == 0.004


def test_foreign_names_pass_as_they_are_through_json():
    drawn = net([Side(HOSTILE, "a" * 64, chain("<script>", HOSTILE))])
    assert HOSTILE in nodes(json.loads(json.dumps(drawn)))


def test_of_very_many_nodes_the_layers_are_drawn(monkeypatch):
    monkeypatch.setattr(module, "MOST_NODES", 1)
    assert "2 nodes, which are shown as 2 layers" in too_many([BEFORE])
    assert is_drawn([BEFORE])
    assert not net([BEFORE])["all_nodes"]


def test_a_net_beyond_all_measure_is_not_drawn(monkeypatch):
    beyond = replace(BEFORE, topology=Topology((), 30_000))
    assert "30,000 nodes, too many for a picture" in too_many([beyond])
    assert not is_drawn([beyond])
    monkeypatch.setattr(module, "MOST_LAYERS", 1)
    assert not is_drawn([BEFORE])


def test_a_net_of_any_usual_size_is_drawn_whole():
    assert too_many([BEFORE, AFTER]) == ""
    assert net([BEFORE])["all_nodes"]
