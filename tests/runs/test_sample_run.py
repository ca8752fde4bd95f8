"""The sample's own run: the record that ships is a real run of what would be asked here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from core.charts.summary import deltas
from core.recipes import key
from core.records import Measurement, State, Status, from_json
from core.runs import sample_run, samples
from core.search.choose import best

RECORD = json.loads(sample_run.RECORD.read_text(encoding="utf-8"))


def test_the_record_is_of_the_sample_and_of_what_is_asked_here():
    run = sample_run.shipped()
    (model,) = (one for one in samples.table() if one.name == sample_run.MODEL)
    calibration, evaluation = (
        samples.data_digest(name) for name in (samples.CALIBRATION, samples.EVALUATION)
    )
    asked = sample_run.question(model.digest, calibration, evaluation)
    assert run.spec.model == run.model.digest == model.digest
    assert key(run.spec.recipes[-1].steps) == key(asked.recipes[-1].steps)
    assert replace(run.spec, recipes=()) == replace(asked, recipes=())
    assert run.progress.state is State.DONE
    assert run.id == run.owner == ""


def test_the_record_has_a_verdict_an_interval_a_machine_and_a_date():
    run = sample_run.shipped()
    made = best(run)
    assert made is not None
    assert made.candidate is not None
    for delta in deltas(run, made.candidate.digest):
        assert delta.verdict not in ("", "not measured", "not compared", "no data"), delta
    ratio = next(row for row in run.measurements if row.metric == "latency_ratio")
    assert ratio.low < ratio.value < ratio.high
    assert run.host is not None
    assert run.host.cpu
    assert run.host.versions[sample_run.BACKEND]
    assert run.created[:2] == "20"


def test_the_record_is_small_and_names_no_folder_of_the_machine():
    assert sample_run.RECORD.stat().st_size < 40_000
    run = sample_run.shipped()
    made = [one.candidate.path for one in run.outcomes if one.candidate]
    paths = [run.model.path, *made, *(one.summary.path for one in run.outcomes if one.summary)]
    assert all(path.parent == Path() for path in paths)


def test_a_record_keeps_the_numbers_and_drops_their_samples():
    run = sample_run.shipped()
    row = run.measurements[0]
    noisy = replace(row, metric="latency_ms", detail={"samples": [1.0] * 9, "verdict": "same"})
    other = Measurement("x", "", "nodes", 1.0, 1.0, 1.0, Status.OK)
    kept = from_json(
        type(run), json.loads(sample_run.record(replace(run, id="i", measurements=(noisy, other))))
    )
    assert kept.measurements == (replace(noisy, detail={"verdict": "same"}),)
    assert kept.id == ""


@pytest.mark.parametrize(
    ("said", "wanted"), [("", True), ("off", False), ("OFF", False), ("0", False)]
)
def test_an_installation_can_do_without(monkeypatch, said, wanted):
    monkeypatch.setenv(sample_run.VARIABLE, said)
    assert sample_run.is_wanted() is wanted
