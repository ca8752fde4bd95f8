"""The answer says what is shown and nothing else; the table keeps every row."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from core.charts import (
    latency_figure,
    layers_figure,
    preview_figure,
    text,
    tradeoff_figure,
)
from core.charts.card import card
from core.charts.compare import Side, obstacles
from core.charts.layers import layer_rows
from core.charts.report import report_html
from core.charts.rows import rows_table
from core.charts.summary import answer, deltas, headline
from core.charts.sweep import sweep_rows
from core.charts.table import to_csv
from core.records import Preview, Recipe, Run, RunProgress, State
from core.records.standing import Standing
from core.search.choose import best
from tests.charts import builders as b


def test_headline_is_made_from_verdicts():
    said = headline(b.run(), b.PRUNED)
    assert "1.64× faster on" in said
    assert "no difference in speed shown on" in said
    assert "3.6 points less accurate (−4.1 … −3.1 points)" in said
    assert "30 % smaller" in said


def test_headline_claims_no_loss_only_as_not_shown():
    said = headline(b.run(), b.QUANTIZED)
    assert "top-1 0.4 points less; could be 0.9 less to 0.1 more" in said
    assert "1.38× slower on" in said
    assert "no time on OpenCV DNN" in said


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (-0.8, -1.5, 0.0, "top-1 0.8 points less; could be 0 to 1.5"),
        (0.6, 0.0, 1.3, "top-1 0.6 points more; could be 0 to 1.3"),
        (0.0, -0.2, 0.2, "top-1 unchanged; could be 0.2 less to 0.2 more"),
        (0.0, 0.0, 0.0, "top-1 unchanged"),
    ],
)
def test_a_difference_that_may_be_none_says_what_it_could_be(value, low, high, words):
    rows = tuple(
        replace(m, value=value, low=low, high=high) if m.metric == "top1_delta" else m
        for m in b.measurements()
    )
    said = headline(b.run(measurements=rows), b.QUANTIZED)
    assert words in said
    assert "no loss" not in said


@pytest.mark.parametrize(
    ("pruned", "quantized", "said"),
    [
        (4.7, 99.6, "Best of 2 recipes by speed and by the answers that stay the same: int8."),
        (99.6, 99.6, "Best of 2 recipes by speed and by the answers that stay the same: prune"),
        (4.7, 80.0, "Each of 2 recipes loses accuracy; int8 loses least, without labels by"),
    ],
)
def test_without_labels_the_answers_that_stay_decide(pruned, quantized, said):
    assert headline(b.unlabelled(pruned, quantized)).startswith(said)


def test_without_images_no_recipe_is_called_best():
    assert headline(b.without_data()).startswith("Fastest of 2 recipes, accuracy unknown: ")


def original(**changes: object) -> Run:
    rows = tuple(
        replace(m, **changes) if (m.metric, m.candidate) == ("top1", b.BASE) else m
        for m in b.measurements()
    )
    return b.run(measurements=rows)


def test_an_original_at_chance_level_is_said_where_the_number_stands():
    guessing = original(value=6.4, low=5.4, high=7.5, detail={"classes": 16})
    assert "better than guessing among 16 classes (6.25 %)" in headline(guessing, b.PRUNED)
    assert "guessing" not in headline(original(detail={"classes": 16}), b.PRUNED)


def test_headline_of_many_recipes_names_the_best():
    assert best(b.run()).recipe.name == "int8"  # prune is proved to lose accuracy
    assert headline(b.run()).startswith("Best of 2 recipes: int8.")


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (b.live(), "Nothing is measured yet."),
        (b.refused(), "needs calibration images"),
        (b.without_data(), "accuracy unknown (no images)"),
        (b.without_labels(), "same answer as the original on 97.2 % of images"),
    ],
)
def test_headline_of_other_states(run, said):
    assert said in headline(run)


def test_headline_while_it_runs():
    whole = b.run()
    run = replace(whole, measurements=(), progress=RunProgress(State.RUNNING, 1, 9))
    assert "still being measured" in headline(run, b.PRUNED)
    failed = replace(b.run(), progress=RunProgress(State.RUNNING, 1, 9))
    assert answer(failed, failed.outcomes[2], "opencv").startswith("No time on OpenCV DNN;")


def test_deltas_carry_units_intervals_and_tone():
    accuracy, latency, size = deltas(b.run(), b.QUANTIZED)
    assert (accuracy.before, accuracy.after, accuracy.tone) == ("93.8 %", "93.4 %", "")
    assert (latency.before, latency.after, latency.change) == ("1.80 ms", "0.700 ms", "2.56×")
    assert latency.interval == "2.51× … 2.62×"
    assert (size.before, size.after, size.change, size.tone) == (
        "1.40 MB",
        "365 kB",
        "−74 %",
        "good",
    )


def test_without_data_accuracy_is_no_number():
    accuracy = deltas(b.without_data(), b.PRUNED)[0]
    assert (accuracy.after, accuracy.verdict) == ("–", "no data")


def test_table_has_every_row_its_unit_and_its_reason():
    rows = rows_table(b.run())
    assert len(rows) == len(b.measurements())
    assert all(row["unit"] for row in rows if row["metric"] in ("latency_ms", "size_bytes", "top1"))
    failed = [row for row in rows if row["status"] == "failed"]
    assert failed
    assert all(row["reason"] and row["value"] is None for row in failed)


def test_a_recipe_without_a_model_is_a_row():
    assert rows_table(b.refused())[-1]["reason"] == "quantize_static needs calibration images"


def test_a_later_row_supersedes_its_like():
    whole = b.run()
    again = replace(whole.measurements[0], value=1.0)
    rows = Standing(replace(whole, measurements=(*whole.measurements, again)))
    assert rows.value(b.BASE, "size_bytes") == 1.0
    assert len(list(rows)) == len(whole.measurements)


@pytest.mark.parametrize("attack", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "\r=1"])
def test_csv_runs_no_formula(attack):
    records = [{attack: attack, "n": -1.5}]
    header, line = list(csv.reader(io.StringIO(to_csv(records), newline="")))
    assert header[0].startswith("'")
    assert line[0].startswith("'")
    assert line[1] == "-1.5"


def test_csv_keeps_quotes_commas_and_line_breaks():
    value = 'a "b", c\nd'
    assert list(csv.reader(io.StringIO(to_csv([{"x": value}]), newline="")))[1] == [value]


def test_report_holds_everything():
    page = report_html(b.run(), "http://localhost:8501/?run=run-1")
    for part in (
        b.PRUNED,
        b.QUANTIZED,
        "AMD EPYC",
        "1.32.0",
        "shared weights",
        "prune_channels",
        "?run=run-1",
        "cannot load QuantizeLinear",
    ):
        assert part in page
    assert page.count("<tr") > len(b.measurements())


def test_report_of_every_state():
    for run in (b.live(), b.refused(), b.without_data(), b.without_labels(), b.unstable()):
        assert "</html>" in report_html(run)


def test_report_escapes_and_asks_no_host():
    run = b.hostile()
    evil = "</script><script>alert(1)</script>"
    recipes = (run.spec.recipes[0], *(Recipe(evil, r.steps) for r in run.spec.recipes[1:]))
    outcomes = tuple(
        replace(o, recipe=r, candidate=replace(o.candidate, recipe=r))
        for o, r in zip(run.outcomes, recipes, strict=True)
    )
    page = report_html(replace(run, spec=replace(run.spec, recipes=recipes), outcomes=outcomes))
    assert "alert(1)</script>" not in page
    assert "<img src=x" not in page
    assert "default-src 'none'" in page
    assert ' src="http' not in page


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (0.612, "0.612"),
        (41.23, "41.2"),
        (1234.5, "1,230"),
        (0, "0"),
        (-2.5, "−2.50"),
        (9.999, "10.0"),
    ],
)
def test_numbers(value, printed):
    assert text.number(value) == printed


def test_quantities_and_changes():
    assert text.quantity(2_100_000, text.BYTES) == "2.10 MB"
    assert text.quantity(17, text.COUNT) == "17"
    assert text.percent_change(100, 29) == "−71 %"
    assert text.signed(-0.04) == "±0.0"


def test_labels_beyond_the_outputs_are_said_where_the_number_stands():
    rows = [m for m in b.measurements() if m.metric not in ("top1", "top5", "top1_delta")]
    why = "The labels go from 1 to 16, but the model has 16 outputs (0 to 15)."
    about = {"labels": "beyond the outputs"}
    rows.append(b.row(b.BASE, "top1", None, "onnxruntime", reason=why, detail=about))
    said = headline(b.run(measurements=tuple(rows)), b.PRUNED)
    assert f"Top-1 was not counted: {why}" in said
    assert "same answer as the original on 97.2 % of images" in said


def test_the_shape_of_the_input_stands_beside_every_latency():
    run, shape = b.run(), "1×3×64×64"
    timed = [r for r in rows_table(run) if r["metric"] in ("latency_ms", "latency_ratio")]
    assert {r["input"] for r in timed} == {shape}
    assert shape in deltas(run, b.PRUNED)[1].label
    drawn = card(run, b.PRUNED)
    assert any(shape in delta.label for delta in drawn.deltas)
    assert shape in dict(drawn.conditions)["Input"]
    assert shape in str(latency_figure(run, b.PRUNED))
    assert shape in str(tradeoff_figure(run))
    assert shape in report_html(run)
    assert {r["input"] for r in sweep_rows(run) if r["latency (ms)"]} == {shape}


def test_times_at_two_shapes_are_not_weighed():
    run = b.run()
    other = replace(
        run,
        measurements=tuple(
            replace(row, condition={**row.condition, "input": "8x3x64x64"})
            for row in run.measurements
        ),
    )
    first, second = (Side(one, one.outcomes[1]) for one in (run, other))
    assert not obstacles([first, first])
    assert any("shape" in said for said in obstacles([first, second]))


def test_macs_of_an_open_shape_are_unknown_everywhere():
    unknown = replace(b.summary(), macs=None)
    layers = tuple(replace(layer, macs=None) for layer in unknown.layers)
    unknown = replace(unknown, layers=layers)
    assert {row["MACs"] for row in layer_rows(unknown)} == {None}
    assert {row["MACs (%)"] for row in layer_rows(unknown)} == {None}
    assert "unknown: open shape" in str(layers_figure(unknown))
    preview = Preview(1, None, 1, 1)
    assert "unknown: open shape" in str(preview_figure(unknown, preview))
