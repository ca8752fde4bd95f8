"""The net on the Model screen: drawn, compared, timed, with the histograms of what is picked."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.records import Topology
from pages.model.state import state
from tests.charts import builders
from tests.pages.fake_workspace import HOSTILE, net
from tests.pages.screen import clean, markup, page, stock, words


@pytest.fixture
def fake(monkeypatch, tmp_path):
    found = stock(monkeypatch, tmp_path)
    plain = found.models.sample
    monkeypatch.setattr(
        found.models, "sample", lambda name: replace(plain(name), digest=builders.BASE)
    )
    return found


def drawn(test):
    """What the browser is given to draw; None where nothing is drawn."""
    found = [part.proto for part in test.get("bidi_component") if "net" in part.proto.json]
    return json.loads(found[0].json) if found else None


def of_run(run="sweep"):
    test = page("model")
    test.query_params["run"] = run
    return clean(test.run())


def test_a_model_is_drawn_alone_without_a_run(fake):
    test = clean(page("model").run())
    assert "The net" in words(test)
    assert not [box for box in test.selectbox if box.label == "Compare with"]
    sides = drawn(test)["net"]["sides"]
    assert [side["title"] for side in sides] == ["Original"]


def test_a_candidate_of_the_run_stands_beside_it(fake):
    test = of_run()
    box = next(box for box in test.selectbox if box.label == "Compare with")
    chosen = box.value
    assert chosen in {builders.PRUNED, builders.QUANTIZED}
    assert [side["digest"] for side in drawn(test)["net"]["sides"]] == [builders.BASE, chosen]
    box.set_value("")
    assert len(drawn(clean(test.run()))["net"]["sides"]) == 1


def test_the_layer_picked_in_the_graph_stands_first_in_the_table(fake):
    test = of_run()
    first = list(test.dataframe[0].value["layer"])
    test.session_state[state.first.key] = first[3]
    listed = list(clean(test.run()).dataframe[0].value["layer"])
    assert listed == [first[3], *first[:3], *first[4:]]


def test_layers_are_timed_when_asked(fake):
    test = of_run()
    assert drawn(test)["net"]["colours"][0]["key"] == "macs"
    test.button(key="model.time").click()
    test = clean(clean(test.run()).run())
    assert drawn(test)["net"]["colours"][0]["key"] == "ms"
    assert not [button for button in test.button if button.key == "model.time"]


def test_timing_that_takes_long_is_said(fake):
    fake.slow_looks = 1
    test = of_run()
    test.button(key="model.time").click()
    test = clean(test.run())
    assert "Timing every layer" in words(test)
    assert drawn(clean(test.run()))["net"]["colours"][0]["key"] == "ms"


def test_why_layers_cannot_be_timed_is_said(fake):
    fake.cannot_profile = "OpenCV does *not* tell."
    test = of_run()
    test.button(key="model.time").click()
    test = clean(clean(test.run()).run())
    assert r"does \*not\* tell" in words(test)
    assert test.button(key="model.time").label == "Time every layer"


def test_a_graph_that_cannot_be_read_leaves_the_page_alive(fake):
    fake.cannot_read = "The file is <gone>."
    test = clean(page("model").run())
    assert r"The file is \<gone\>\." in words(test)
    assert "Inputs and outputs" in words(test)


def test_a_graph_beyond_all_measure_is_told_and_not_drawn(fake):
    fake.topologies[builders.BASE] = Topology((), 30_000)
    test = clean(page("model").run())
    assert "30,000 nodes, too many" in words(test)
    assert drawn(test) is None


def test_foreign_names_reach_the_browser_as_data_only(fake):
    fake.topologies[builders.BASE] = net(HOSTILE)
    test = clean(page("model").run())
    assert HOSTILE in {node["name"] for node in drawn(test)["net"]["sides"][0]["nodes"]}
    assert not markup(test)


def test_histograms_are_counted_once_they_are_wanted_and_a_layer_is_picked(fake, monkeypatch):
    monkeypatch.setattr("pages.model.distributions.picked", lambda: ("conv1", ""))
    test = clean(page("model").run())
    assert ("distributions", "conv1") not in fake.verbs
    test.toggle(key=state.histograms.key).set_value(True)
    test = clean(test.run())
    assert ("distributions", "conv1") in fake.verbs
    charts = [str(chart.proto) for chart in test.get("plotly_chart")]
    assert any("Distribution of the weights" in chart for chart in charts)
    assert "standard deviation 0.500" in words(test)


def test_histograms_in_the_making_are_waited_for_without_holding_the_page(fake, monkeypatch):
    monkeypatch.setattr("pages.model.distributions.picked", lambda: ("conv1", ""))
    fake.slow_looks = 2
    test = clean(page("model").run())
    test.toggle(key=state.histograms.key).set_value(True)
    assert "Counting" in words(clean(test.run()))
    assert "standard deviation" in words(clean(test.run()))


def test_without_a_picked_layer_it_is_said_how_to_pick_one(fake):
    test = clean(page("model").run())
    test.toggle(key=state.histograms.key).set_value(True)
    assert "Pick a layer" in words(clean(test.run()))
