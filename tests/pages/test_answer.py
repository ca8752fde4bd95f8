"""The sentence and the tiles say what the verdicts and intervals allow, and no more."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.records import Candidate, ExperimentSpec, Outcome, Recipe, State, Status, Step
from pages.widgets import answer, headline
from tests.pages.fake_workspace import BACKENDS, FakeWorkspace, finished_rows, model, row

LABELS = {info.name: info.label for info in BACKENDS}
BASE, CANDIDATE = "a" * 64, "f" * 64
RECIPE = Recipe("fold", (Step("fold_batch_norm"),))


@pytest.fixture
def run():
    spec = ExperimentSpec(
        "t", BASE, (Recipe("original"), RECIPE), ("onnxruntime",), evaluation="e" * 64
    )
    return FakeWorkspace().make_run(spec, "me", "r")


def said(run):
    return answer.sentence(run, run.outcomes[1], LABELS)


def test_the_sentence_names_every_verdict(run):
    assert said(run) == (
        "1.9× faster on OpenVINO, 1.6× faster on ONNX Runtime, no difference in speed shown on "
        "OpenCV; no loss of accuracy shown (−0.4 points, −0.9 … +0.1); 71 % smaller."
    )


def test_a_verdict_outranks_the_point_estimate(run):
    rows = tuple(
        replace(m, value=0.5, detail={"verdict": "same"}) if m.metric == "latency_ratio" else m
        for m in run.measurements
    )
    assert "faster" not in said(replace(run, measurements=rows))


def test_a_loss_whose_interval_leaves_zero_is_called_a_loss(run):
    worse = row(
        CANDIDATE,
        "top1_delta",
        -2.0,
        low=-2.6,
        high=-1.4,
        backend="onnxruntime",
        condition={"data": "e" * 64, "images": "2000"},
    )
    assert "2.0 points less accurate (−2.6 … −1.4)" in said(
        replace(run, measurements=(*run.measurements, worse))
    )


def test_a_backend_that_is_much_worse_than_the_reference_is_named(run):
    worse = row(
        CANDIDATE,
        "top1_delta",
        -9.0,
        low=-9.6,
        high=-8.4,
        backend="opencv",
        condition={"data": "e" * 64, "images": "2000"},
    )
    assert "−9.0 on OpenCV" in said(replace(run, measurements=(*run.measurements, worse)))


def test_a_failure_is_said(run):
    failed = row(
        CANDIDATE,
        "latency_ratio",
        None,
        backend="opencv",
        condition={"threads": "1", "baseline": BASE},
        status=Status.FAILED,
    )
    assert "no result on OpenCV" in said(replace(run, measurements=(*run.measurements, failed)))


def test_no_images_means_no_accuracy_number(run):
    run = replace(run, spec=replace(run.spec, evaluation=""))
    assert "accuracy unknown (no images)" in said(run)
    tile = headline.run_tiles(run, run.outcomes[1], LABELS)[0]
    assert (tile.value, tile.note) == ("–", "no data")


def test_no_labels_means_agreement(run):
    rows = [m for m in run.measurements if not m.metric.startswith("top1")]
    rows.append(row(CANDIDATE, "agreement", 98.2, backend="onnxruntime"))
    run = replace(run, measurements=tuple(rows))
    assert "same answer as the original on 98.2 % of images" in said(run)
    tile = headline.run_tiles(run, run.outcomes[1], LABELS)[0]
    assert (tile.label, tile.value) == ("Agreement", "98.2 %")


def test_a_recipe_that_made_no_model_says_why(run):
    broken = Outcome(RECIPE, None, reason="the graph has a loop")
    assert answer.sentence(run, broken, LABELS) == (
        "This recipe made no model: the graph has a loop"
    )


def test_tiles_of_a_measured_run_are_full_and_toned_by_verdict(run):
    top1, latency, size, macs = headline.run_tiles(run, run.outcomes[1], LABELS)
    assert (top1.value, top1.delta, top1.note, top1.tone) == (
        "93.8 → 93.4 %",
        "−0.4 points",
        "95 %: −0.9 … +0.1",
        "",
    )
    assert (latency.value, latency.delta, latency.note, latency.tone) == (
        "1.80 → 0.954 ms",
        "×0.53 (0.51 … 0.55)",
        "OpenVINO, 1 thread",
        "good",
    )
    assert (size.value, size.delta, size.tone) == ("2.10 → 0.612 MB", "−71 %", "good")
    assert macs.delta == "unchanged"
    assert not any(tile.hollow for tile in (top1, latency, size, macs))


def test_nothing_moves_while_numbers_arrive(run):
    waiting = replace(run, measurements=(), progress=replace(run.progress, state=State.RUNNING))
    before = headline.markup(
        answer.sentence(waiting, run.outcomes[1], LABELS),
        headline.run_tiles(waiting, run.outcomes[1], LABELS),
    )
    after = headline.markup(said(run), headline.run_tiles(run, run.outcomes[1], LABELS))
    for tag in ("<dt>", 'class="lathe-value"', 'class="lathe-delta', 'class="lathe-note"'):
        assert before.count(tag) == after.count(tag) == 4


def test_a_draft_is_hollow_and_says_so():
    preview = FakeWorkspace().preview(BASE, Recipe("p", (Step("p", {"ratio": 0.5}),)))
    tiles = headline.draft_tiles(model(), preview, 93.8)
    assert all(tile.hollow for tile in tiles)
    assert tiles[2].note == "exact, not measured"
    bounds = replace(preview, exact=False)
    assert headline.draft_tiles(model(), bounds, None)[2].note == "predicted"
    assert "predicted" in answer.draft_sentence(model(), bounds, 1)


def test_markup_escapes_everything():
    evil = "<script>alert(1)</script>"
    tile = headline.Tile(evil, evil, evil, evil)
    assert "<script>" not in headline.markup(evil, [tile], evil)


def test_a_later_row_supersedes_its_like(run):
    again = row(CANDIDATE, "latency_ms", 7.0, backend="opencv", condition={"threads": "1"})
    run = replace(run, measurements=(*run.measurements, again))
    found = answer.find(run, CANDIDATE, "latency_ms", "opencv")
    assert [m.value for m in found] == [7.0]


def test_rows_of_other_thread_counts_are_left_out():
    rows = finished_rows(BASE, CANDIDATE)
    two = [replace(m, condition={**m.condition, "threads": "2"}) for m in rows]
    base = Candidate(BASE, Path("x"), Recipe("original"))
    spec = ExperimentSpec("t", BASE, (Recipe("original"),), ("onnxruntime",), threads=(2, 1))
    run = FakeWorkspace().make_run(spec, "me", "r")
    run = replace(run, measurements=tuple(two), outcomes=(Outcome(base.recipe, base, model()),))
    assert answer.find(run, CANDIDATE, "latency_ms", "opencv", threads=1) == []
    assert len(answer.find(run, CANDIDATE, "latency_ms", "opencv", threads=2)) == 1
