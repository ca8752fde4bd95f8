"""The Model screen: layers, advice, inputs and outputs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.records import LayerEffect, Note, Sensitivity
from tests.charts import builders
from tests.pages.screen import clean, files, markup, page, stock, words


@pytest.fixture
def fake(monkeypatch, tmp_path):
    return stock(monkeypatch, tmp_path)


def metrics(test):
    return {metric.label: metric.value for metric in test.metric}


def test_facts_have_units(fake):
    test = clean(page("model").run())
    assert metrics(test)["File"] == "1.40 MB"
    assert metrics(test)["MACs per sample"] == "118 M"


def test_layers_have_type_shape_cost_and_share(fake):
    frame = clean(page("model").run()).dataframe[0].value
    assert list(frame["type"])[:3] == ["conv 3x3", "conv 3x3", "depthwise 3x3"]
    assert frame["MACs (%)"].sum() == pytest.approx(100)
    assert frame["output shape"][0] == "1 × 16 × 64 × 64"


def test_advice_has_its_number(fake):
    said = words(clean(page("model").run()))
    assert "**Heavy first layer** · 38.4 % of the MACs" in said.replace("\\", "").replace(
        "\N{NO-BREAK SPACE}", " "
    )


def test_bytes_and_parameters_have_a_chart_too(fake):
    test = clean(page("model").run())
    for share in ("size_bytes", "parameters", "macs"):
        test.session_state["model.share"] = share
        assert len(clean(test.run()).get("plotly_chart")) == 1


def test_inputs_outputs_and_origin(fake):
    test = clean(page("model").run())
    assert list(test.dataframe[-1].value["name"]) == ["input", "logits"]
    assert "opset 17" in words(test)
    assert files(test) == ["Layers (CSV)"]


def test_a_model_without_layers_or_advice(fake, monkeypatch):
    bare = replace(builders.summary(), layers=(), advice=())
    monkeypatch.setattr(fake.models, "sample", lambda name: bare)
    said = words(clean(page("model").run()))
    assert "No layer of this model computes" in said
    assert "Nothing in this architecture stands out" in said


def test_hostile_names_stay_text(fake, monkeypatch):
    evil = replace(builders.summary(name=builders.HOSTILE), producer=builders.HOSTILE)
    monkeypatch.setattr(fake.models, "sample", lambda name: evil)
    assert not markup(clean(page("model").run()))


def test_the_sensitivity_to_pruning_is_measured_when_asked_for(fake):
    test = clean(page("model").run())
    assert "Sensitivity to pruning" in words(test)
    fake.known_sensitivity = Sensitivity(
        tuple(
            LayerEffect((name,), setting, 0.1, 90.0, share)
            for name in ("conv1", "conv2")
            for setting, share in (("25 %", 0.25), ("50 %", 0.5))
        )
    )
    test = clean(test.button(key="sensitivity.ask").click().run())
    charts = [str(chart.proto) for chart in test.get("plotly_chart")]
    assert any("one layer alone" in chart for chart in charts)


def test_a_sensitivity_in_the_making_is_said(fake):
    test = clean(clean(page("model").run()).button(key="sensitivity.ask").click().run())
    assert "Measuring on the calibration images" in words(test)
    assert "cutting each group alone, about 40 s left" in words(test)


def test_a_sensitivity_in_the_making_can_be_stopped(fake):
    test = clean(clean(page("model").run()).button(key="sensitivity.ask").click().run())
    test = clean(test.button(key="sensitivity.stop").click().run())
    assert ("stop_sensitivity", "") in fake.verbs
    assert "Measuring on the calibration images" not in words(test)
    assert test.button(key="sensitivity.ask").label


def test_the_digits_of_large_counts_have_room(fake):
    """A column that is too narrow cuts a number from the left: 11,194,880 reads ",194,880"."""
    test = clean(page("model").run())
    configs = [json.loads(frame.proto.columns) for frame in test.dataframe]
    layers = next(config for config in configs if "MACs" in config)
    widest = len("86,567,656,448")
    for name in ("parameters", "MACs", "bytes"):
        assert layers[name]["width"] >= 9 * widest


def test_what_is_wrong_with_a_file_is_pointed_out_where_it_is_chosen(fake, monkeypatch):
    said = Note.of("training.exported", norms=1, dropouts=0)
    plain = fake.models.sample
    monkeypatch.setattr(fake.models, "sample", lambda name: replace(plain(name), warnings=(said,)))
    for screen in ("model", "optimize"):
        test = clean(page(screen).run())
        assert any("training mode" in warning.value for warning in test.warning), screen
