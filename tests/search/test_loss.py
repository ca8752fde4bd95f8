"""What decides: top-1 where a label was counted, else the answers that stay; nothing is guessed."""

from __future__ import annotations

import pytest

from core.records.standing import Standing
from core.search.loss import deciding, loss, standing_for
from tests.charts import builders as b


def test_labels_decide_where_they_were_counted():
    assert deciding(Standing(b.run())).loss == "top1_delta"
    assert deciding(Standing(b.without_labels())).loss == "agreement"
    assert deciding(Standing(b.live())).loss == "top1_delta"


def test_labels_that_could_not_be_counted_decide_nothing():
    rows = tuple(
        b.row(m.candidate, m.metric, None, m.backend) if m.metric in ("top1", "top1_delta") else m
        for m in b.measurements()
    )
    assert deciding(Standing(b.run(measurements=rows))).loss == "agreement"


def test_a_loss_has_the_sign_and_the_interval_of_what_is_lost():
    lost = loss(b.run(), Standing(b.run()), b.PRUNED, "openvino")
    assert (lost.points, lost.low, lost.high) == pytest.approx((3.6, 3.1, 4.1))
    run = b.without_labels()
    lost = loss(run, Standing(run), b.PRUNED, "openvino")
    assert (lost.points, lost.low, lost.high) == pytest.approx((2.8, 2.1, 3.5))


def test_the_original_loses_nothing_and_what_was_not_measured_is_unknown():
    rows = Standing(b.run())
    assert loss(b.run(), rows, b.BASE, "openvino").points == 0.0
    assert loss(b.run(), rows, b.QUANTIZED, "opencv") is None


def test_onnx_runtime_stands_for_all_else_the_first_that_was_measured():
    rows = Standing(b.run())
    assert standing_for(rows, b.PRUNED, "top1", ("opencv", "onnxruntime")).backend == "onnxruntime"
    assert standing_for(rows, b.PRUNED, "top1", ("opencv", "openvino")).backend == "opencv"
    assert standing_for(rows, b.QUANTIZED, "top1", ("opencv",)) is None
