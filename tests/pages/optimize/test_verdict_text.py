"""The sentence and the tiles say what the verdicts and intervals allow, and no more."""

from dataclasses import replace

import pytest

from core.charts import latency_figure
from core.records import ExperimentSpec, Measurement, Outcome, Recipe, State, Step
from pages.optimize import headline, verdict_text
from pages.optimize.forecast import Foreseen
from tests.pages.fake_workspace import FakeWorkspace, model, row

BASE, CANDIDATE = "a" * 64, "f" * 64
BACKENDS = ("onnxruntime", "openvino", "opencv")
RECIPE = Recipe("fold", (Step("fold_batch_norm"),))


@pytest.fixture
def run():
    spec = ExperimentSpec("t", BASE, (Recipe("original"), RECIPE), BACKENDS, evaluation="e" * 64)
    return FakeWorkspace().make_run(spec, "me", "r")


def said(run, backend="openvino"):
    return verdict_text.sentence(run, run.outcomes[1], backend)


def tiles(run, backend="openvino"):
    return headline.run_tiles(run, run.outcomes[1], backend)


def test_the_sentence_names_every_verdict(run):
    assert said(run).startswith("1.89× faster on OpenVINO;")
    assert said(run, "onnxruntime").startswith("1.61× faster on ONNX Runtime;")
    assert said(run, "opencv").startswith("No difference in speed shown on OpenCV DNN;")
    assert "top-1 0.4 points less; could be 0.9 less to 0.1 more" in said(run)
    assert said(run).endswith("71 % smaller.")


def test_a_recipe_that_made_the_original_is_not_compared_with_it(run):
    first, last = run.outcomes
    same = replace(last, candidate=replace(last.candidate, digest=run.spec.model))
    assert "changes nothing" in said(replace(run, outcomes=(first, same)))


@pytest.mark.parametrize(("state", "words"), [(State.DONE, "Too noisy"), (State.RUNNING, "yet")])
def test_an_open_verdict_is_still_open_or_too_noisy(run, state, words):
    rows = tuple(
        replace(m, detail={"verdict": "not enough data"}) if m.metric == "latency_ratio" else m
        for m in run.measurements
    )
    told = said(replace(run, measurements=rows, progress=replace(run.progress, state=state)))
    assert told.count(".") == 1 + told.count("0.")
    assert words in told


def test_a_verdict_outranks_the_point_estimate(run):
    rows = tuple(
        replace(m, value=0.5, detail={"verdict": "same"}) if m.metric == "latency_ratio" else m
        for m in run.measurements
    )
    assert "faster" not in said(replace(run, measurements=rows))


def test_a_backend_that_loses_more_than_the_reference_is_named(run):
    worse = row(
        CANDIDATE,
        "top1_delta",
        -9.0,
        low=-9.6,
        high=-8.4,
        backend="opencv",
        condition={"data": "e" * 64, "images": "2000"},
    )
    crossed = replace(run, measurements=(*run.measurements, worse))
    assert "but −9.0 points on OpenCV" in tiles(crossed)[1].note
    assert tiles(crossed)[1].tone == ""
    assert tiles(crossed, "opencv")[1].tone == "bad"
    assert tiles(crossed, "opencv")[1].delta == "−9.0 points (−9.6 … −8.4)"


def test_no_images_means_no_accuracy_number(run):
    run = replace(run, spec=replace(run.spec, evaluation=""))
    assert "accuracy unknown (no images)" in said(run)
    assert (tiles(run)[1].value, tiles(run)[1].note) == ("–", "no data")


def test_no_labels_means_agreement(run):
    rows = [m for m in run.measurements if not m.metric.startswith("top1")]
    rows.append(row(CANDIDATE, "agreement", 98.2, backend="openvino"))
    run = replace(run, measurements=tuple(rows))
    assert "same answer as the original on 98.2 % of images" in said(run)
    assert (tiles(run)[1].label, tiles(run)[1].value) == ("Agreement", "100 → 98.2 %")


def test_a_recipe_that_made_no_model_says_why(run):
    broken = Outcome(RECIPE, None, reason="the graph has a loop")
    told = verdict_text.sentence(run, broken, "openvino")
    assert told == "This recipe made no model: the graph has a loop"


def test_tiles_of_a_measured_run_are_full_and_toned_by_verdict(run):
    latency, top1, size = tiles(run)
    assert (top1.value, top1.delta, top1.tone) == (
        "93.8 → 93.4 %",
        "−0.4 points (−0.9 … +0.1)",
        "",
    )
    assert (latency.value, latency.delta, latency.tone) == (
        "1.80 → 0.954 ms",
        "1.89× faster (1.82 … 1.96×)",
        "good",
    )
    assert latency.note.endswith("1 thread")
    assert (size.value, size.delta, size.tone) == ("2.10 → 0.612 MB", "−71 %", "good")
    assert not any(tile.hollow for tile in (top1, latency, size))


def test_what_has_no_tile_stands_below_them(run):
    told = verdict_text.notes(run, run.outcomes[1], "openvino")
    assert told[0].startswith("Also: MACs 41.2 M · parameters ")
    assert told[1].endswith(verdict_text.BRACKETS)
    (early,) = verdict_text.notes(run, None, "openvino")  # nothing stands in brackets yet
    assert told[1].startswith(early)
    assert early == told[1].removesuffix(f" · {verdict_text.BRACKETS}")


def test_a_backend_that_failed_says_why_in_its_tile(run):
    reason = "opencv cannot load QuantizeLinear"
    kept = [m for m in run.measurements if (m.backend, m.metric) != ("opencv", "latency_ms")]
    kept.append(row(CANDIDATE, "latency_ms", None, backend="opencv", reason=reason))
    broken = replace(run, measurements=tuple(kept))
    assert tiles(broken, "opencv")[0].note == f"failed: {reason}"


def test_nothing_moves_while_numbers_arrive(run):
    waiting = replace(run, measurements=(), progress=replace(run.progress, state=State.RUNNING))
    before, after = headline.markup(tiles(waiting)), headline.markup(tiles(run))
    for tag in ("<dt>", 'class="lathe-value"', 'class="lathe-delta', 'class="lathe-note"'):
        assert before.count(tag) == after.count(tag) == 3


def test_a_candidate_in_the_making_is_said(run):
    live = replace(run, progress=replace(run.progress, state=State.RUNNING))
    silent = replace(live, measurements=())
    assert verdict_text.sentence(silent, None, "openvino") == "Making the candidate."
    ended = replace(run, measurements=())
    assert verdict_text.sentence(ended, None, "openvino") == "This recipe was not measured."


def test_the_original_has_its_numbers_while_the_candidate_is_made(run):
    live = replace(run, progress=replace(run.progress, state=State.RUNNING))
    said = verdict_text.sentence(live, None, "openvino")
    assert said.startswith("Making the candidate. The original takes ")
    assert "ms on ONNX Runtime" in said
    latency, top1, size = headline.run_tiles(live, None, "openvino")
    assert latency.value.endswith(" ms")
    assert latency.note.startswith("the original, ")
    assert top1.value.endswith(" %")
    assert size.value.endswith("MB")
    assert size.note == "the original, counted in the file"


def test_a_busy_machine_is_said_where_the_verdict_is(run):
    note = "the machine was busy: calls stood in line for a core for 12% of their time"
    crowded = replace(run, measurements=tuple(_crowded(row, note) for row in run.measurements))
    digest = run.outcomes[1].candidate.digest
    assert tiles(crowded)[0].note.endswith("the machine was busy")
    notes = verdict_text.notes(crowded, run.outcomes[1], "openvino")
    assert f"were timed, {note}; measure again" in notes[2]
    assert ", machine busy" in str(latency_figure(crowded, digest).to_dict())
    assert "busy" not in " ".join(verdict_text.notes(run, run.outcomes[1], "openvino"))
    alone = tuple(row for row in crowded.measurements if row.metric != "latency_ratio")
    only = headline.run_tiles(replace(crowded, measurements=alone), None, "openvino")
    assert only[0].note.endswith("busy")


def _crowded(row: Measurement, note: str) -> Measurement:
    if not row.metric.startswith("latency"):
        return row
    return replace(row, detail={**row.detail, "busy": True, "note": note})


def test_a_draft_is_hollow_and_says_so():
    preview = FakeWorkspace().insights.preview(BASE, Recipe("p", (Step("p", {"ratio": 0.5}),)))
    drafted = headline.draft_tiles(model(), preview, 93.8, Foreseen())
    assert all(tile.hollow for tile in drafted)
    assert drafted[2].note == "counted in the file"
    bounds = replace(preview, exact=False)
    assert headline.draft_tiles(model(), bounds, None, Foreseen())[2].note.startswith("an estimate")
    assert "an estimate" in verdict_text.draft_sentence(model(), bounds, 1)
    assert "50 % smaller" in verdict_text.draft_sentence(model(), preview, 1)


def test_markup_escapes_everything():
    evil = "<script>alert(1)</script>"
    tile = headline.Tile(evil, evil, evil, evil)
    assert "<script>" not in headline.markup([tile], (evil,), evil)
    assert "<script>" not in headline.sentence_markup(evil)


def test_a_run_that_waits_makes_nothing_yet(run):
    queued = replace(run, measurements=(), progress=replace(run.progress, state=State.QUEUED))
    assert verdict_text.sentence(queued, None, "openvino").startswith("Waiting for the machine")
