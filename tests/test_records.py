"""Records survive the trip through JSON, and refuse what does not describe them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.records import (
    Better,
    Candidate,
    DataSummary,
    Measurement,
    Metric,
    ModelSummary,
    Note,
    Preprocess,
    Recipe,
    Skip,
    Status,
    Step,
    StepReport,
    TensorSpec,
    from_json,
    to_json,
)

STEP = Step("prune_channels", {"ratio": 0.3, "exclude": ["a", "b"]})
REPORT = StepReport(
    STEP, changed=3, skipped=(Skip("n", Note.text("frozen")),), notes=(Note.text("x"),), seconds=0.5
)
RECORDS = [
    Metric("latency_ms", "ms", Better.LOWER),
    Recipe("fold", (Step("fold_batch_norm"), STEP)),
    Candidate("d" * 64, Path("a/b.onnx"), Recipe("r", (STEP,)), (REPORT,)),
    Measurement("d", "openvino:bf16", "latency_ms", 1.5, 1.0, 2.0, Status.UNSTABLE, "noisy"),
    Measurement("d", "opencv", "top1", None, None, None, Status.FAILED, "died by SIGSEGV"),
    Preprocess("bgr", 1.0, (104.0, 117.0, 123.0), resize=(256, 256), crop=(227, 227)),
    ModelSummary(
        "d",
        "n",
        Path("m"),
        (TensorSpec("x", "float32", ("N", 3, 8, 8)),),
        (),
        17,
        8,
        "",
        1,
        2,
        3,
        4,
        0,
    ),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_round_trip_through_json_text(record):
    assert from_json(type(record), json.loads(json.dumps(to_json(record)))) == record


def test_an_image_set_of_an_older_version_keeps_its_labels():
    """0.1.0 wrote whether there are labels, and no other annotations were known."""
    old = {"digest": "d", "name": "n", "path": "p", "kind": "images", "count": 2, "labelled": True}
    read = from_json(DataSummary, old)
    assert (read.annotations, read.is_annotated) == ("", True)
    assert not from_json(DataSummary, old | {"labelled": False}).is_annotated


def test_unknown_keys_of_a_newer_version_are_ignored():
    data = to_json(STEP) | {"invented_later": 1}
    assert from_json(Step, data) == STEP


@pytest.mark.parametrize(
    ("cls", "data"),
    [
        (Recipe, {"steps": []}),
        (Recipe, {"name": "r", "steps": [{"params": {}}]}),
        (Metric, {"name": "x", "unit": "ms", "better": "sideways"}),
        (Preprocess, {"resize": [1, 2, 3]}),
        (Preprocess, {"scale": "big"}),
        (Recipe, {"name": 3, "steps": []}),
    ],
)
def test_what_does_not_describe_a_record_is_refused(cls, data):
    with pytest.raises((ValueError, TypeError, KeyError)):
        from_json(cls, data)
