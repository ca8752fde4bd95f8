"""Charts and words speak of the run's primary metric, whichever task it is of."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from core.charts import accuracy_figure, quantities, tradeoff_figure
from core.charts.compare import Side, side_by_side
from core.charts.summary import accuracy_delta, headline
from core.charts.sweep import sweep_rows
from core.records import Run, Status
from core.records.standing import Standing
from core.search.choose import best
from core.search.loss import loss
from tests.charts import builders as b

SEGMENTED = {"top1": "miou", "top1_delta": "miou_delta", "agreement": "pixel_agreement",
             "sqnr_db": "sqnr_db", "top5": ""}  # fmt: skip
DETECTED = {"top1": "map", "top1_delta": "map_delta", "agreement": "box_agreement",
            "sqnr_db": "sqnr_db", "top5": "map50"}  # fmt: skip
UNMASKED = {"top1": "", "top1_delta": "", "agreement": "pixel_agreement",
            "sqnr_db": "sqnr_db", "top5": ""}  # fmt: skip
NUMBERS = {"top1": "", "top1_delta": "", "agreement": "", "sqnr_db": "sqnr_db", "top5": ""}


def run(names: dict[str, str], **changes: object) -> Run:
    """The run of the builders with its accuracy in other metrics."""
    rows = [replace(m, metric=names.get(m.metric, m.metric)) for m in b.measurements()]
    return b.run(measurements=tuple(r for r in rows if r.metric), **changes)


@pytest.mark.parametrize(
    ("names", "short", "axis", "said"),
    [
        (SEGMENTED, "mIoU", "mIoU (%)", "3.6 points lower mIoU (−4.1 … −3.1 points)"),
        (DETECTED, "mAP", "mAP (%)", "3.6 points lower mAP (−4.1 … −3.1 points)"),
        (UNMASKED, "Pixel agreement", "pixel agreement with the original (%)",
         "same class as the original at 97.2 % of the pixels"),
        (NUMBERS, "SQNR", "SQNR (dB)", "outputs 24.3 dB above their error (SQNR)"),
    ],
)  # fmt: skip
def test_the_words_are_those_of_the_metric(names, short, axis, said):
    made = run(names)
    assert accuracy_delta(made, b.PRUNED).label == f"{short}, ONNX Runtime"
    assert said in headline(made, b.PRUNED)
    assert accuracy_figure(made, b.PRUNED).layout.xaxis.title.text == axis
    assert tradeoff_figure(made).layout.yaxis.title.text == axis
    column = axis.replace(" with the original", "")
    assert all(column in record for record in sweep_rows(made))


def test_numbers_of_segmentation_reach_table_and_choice():
    made = run(SEGMENTED)
    record = next(r for r in sweep_rows(made) if r["candidate"] == b.PRUNED)
    assert (record["mIoU (%)"], record["change (points)"]) == (90.2, -3.6)
    lost = loss(made, Standing(made), b.PRUNED, "onnxruntime")
    assert (lost.points, lost.metric, lost.is_shown) == (pytest.approx(3.6), "miou_delta", True)
    assert best(made).candidate.digest == b.QUANTIZED
    assert quantities.name("miou_delta") == "mIoU against the original"
    sides = [Side(made, outcome) for outcome in made.outcomes[1:]]
    assert "mIoU, ONNX Runtime" in {row.name for row in side_by_side(sides)}


def test_outputs_as_numbers_lose_an_unknown_share():
    made = run(NUMBERS)
    assert loss(made, Standing(made), b.PRUNED, "onnxruntime") is None


def test_the_original_of_an_unlabelled_sweep_needs_no_score():
    made = run(UNMASKED)
    alone = replace(
        b.row(b.BASE, "pixel_agreement", None, "onnxruntime"),
        status=Status.UNAVAILABLE, reason="This is the original.",
    )  # fmt: skip
    made = replace(made, measurements=(*made.measurements, alone))
    record = next(r for r in sweep_rows(made) if r["candidate"] == b.BASE)
    assert (record["recipe"], record["status"]) == ("original", "ok")


def test_equal_outputs_have_no_place_on_an_axis_of_decibels():
    rows = [
        replace(m, value=200.0, low=200.0, high=200.0) if m.metric == "sqnr_db" else m
        for m in run(NUMBERS).measurements
    ]
    figure = accuracy_figure(b.run(measurements=tuple(rows)), b.PRUNED)
    assert "same outputs, bit for bit" in str(figure.data)
    assert all(math.isfinite(end) for end in figure.layout.xaxis.range)
