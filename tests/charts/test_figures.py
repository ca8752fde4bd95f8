"""Figures of every state that a run can be in."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.backends.base import catalogue
from core.charts import (
    accuracy_figure,
    latency_figure,
    layers_figure,
    palette,
    preview_figure,
    size_figure,
    tradeoff_figure,
)
from core.charts.lanes import round_up
from core.charts.layers import layer_rows
from core.records import ExperimentSpec, Preview, Recipe, Run
from tests.charts import builders as b

RUNS = {
    "done": b.run,
    "live": b.live,
    "without labels": b.without_labels,
    "without data": b.without_data,
    "refused": b.refused,
    "unstable": b.unstable,
    "hostile": b.hostile,
}
FIGURES = (latency_figure, accuracy_figure, size_figure, tradeoff_figure)


def words(figure):
    """Everything that a figure writes without being hovered over."""
    found = [a.text for a in figure.layout.annotations]
    for trace in figure.data:
        found += list(trace.text) if trace.text is not None else []
    return "\n".join(str(w) for w in [*found, figure.layout.title.text])


def hovers(figure):
    return "\n".join(h for trace in figure.data for h in (trace.hovertext or ()))


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize("state", RUNS)
def test_every_state_draws(draw, state):
    figure = draw(RUNS[state]())
    assert json.loads(figure.to_json())["layout"]["title"]["text"]


@pytest.mark.parametrize("draw", FIGURES[:3])
def test_height_is_the_same_before_and_after_the_numbers(draw):
    assert draw(b.live()).layout.height == draw(b.run()).layout.height


def test_lanes_stand_before_their_numbers():
    def labels(run):
        return [a.y for a in latency_figure(run).layout.annotations]

    assert labels(b.live()) == labels(b.run())


def test_a_failure_is_a_cross_with_its_reason():
    figure = latency_figure(b.run(), b.QUANTIZED)
    signs = figure.data[1]
    assert list(signs.marker.symbol) == ["x"]
    assert "opencv cannot load" in signs.hovertext[0]
    assert "failed: opencv cannot load" in words(figure)


def test_what_is_not_measured_is_hollow_and_says_so():
    figure = latency_figure(b.live())
    assert set(figure.data[1].marker.symbol) == {"circle-open"}
    assert words(figure).count("not measured yet") == 6
    assert not figure.data[0].x


def test_latency_shows_both_numbers_with_interval_ratio_and_verdict():
    figure = latency_figure(b.run(), b.PRUNED)
    assert {"2.10 ms", "1.50 ms"} <= set(words(figure).split("\n"))
    assert "1.41× faster" in words(figure)
    assert "×0.99 no difference shown" in words(figure)
    assert "95 % interval 1.47–1.53 ms" in hovers(figure)
    assert figure.data[0].error_x.array[0] == pytest.approx(2.1 * 0.02)


def test_baseline_is_grey_and_a_backend_keeps_its_colour():
    bars = latency_figure(b.run(), b.PRUNED).data[0].marker.color
    assert list(bars[::2]) == [palette.BASELINE] * 3
    assert list(bars[1::2]) == [palette.color(name) for name in b.BACKENDS]
    dots = accuracy_figure(b.run(), b.PRUNED).data[0].marker.color
    assert list(dots[1::2]) == list(bars[1::2])


def test_the_sign_of_an_unstable_row_is_explained_where_it_is_used():
    assert "~ unstable" in str(latency_figure(b.unstable(), b.PRUNED).layout)
    assert "~ unstable" not in str(latency_figure(b.run(), b.PRUNED).layout)


def test_unstable_rows_say_so():
    assert "unstable: the interval stayed 8 % wide" in hovers(
        latency_figure(b.unstable(), b.PRUNED)
    )


def test_several_thread_counts_get_a_lane_each_while_they_fit():
    run = b.run(spec=replace(b.run().spec, threads=(1, 0)))
    assert len(latency_figure(run).layout.annotations) == 6
    assert len(latency_figure(run, threads=0).layout.annotations) == 3
    many = b.run(spec=replace(b.run().spec, threads=(1, 2, 0)))
    assert len(latency_figure(many).layout.annotations) == 3


def test_accuracy_with_labels_shows_the_paired_difference():
    assert "−0.4 points (−0.9 … +0.1)" in words(accuracy_figure(b.run(), b.QUANTIZED))
    assert "31 images flipped" in hovers(accuracy_figure(b.run(), b.QUANTIZED))


def test_accuracy_without_labels_is_agreement():
    figure = accuracy_figure(b.without_labels(), b.PRUNED)
    assert "agreement" in figure.layout.xaxis.title.text
    assert "SQNR 24.3 dB" in words(figure)


def test_accuracy_without_data_is_words_and_no_number():
    figure = accuracy_figure(b.without_data())
    assert not figure.data
    assert "no data" in words(figure)
    assert not any(character.isdigit() for character in words(figure))


def test_a_recipe_that_made_no_model_says_why():
    assert "needs calibration images" in words(latency_figure(b.refused())).replace("<br>", " ")


def test_size_shows_file_zip_and_kinds():
    shown = words(size_figure(b.run(), b.QUANTIZED))
    for part in ("File", "Zipped", "conv 3x3", "1.40 MB", "365 kB", "−74 %"):
        assert part in shown


def test_size_of_the_kinds_adds_up_to_all_layers():
    from core.charts.size import by_kind

    pairs = by_kind(b.summary(), b.summary(keep=0.5))
    assert sum(before for _, before, _ in pairs) == sum(c.size_bytes for c in b.summary().layers)


def test_an_estimate_is_hollow_and_an_exact_count_is_not():
    summary = b.summary()
    known = Preview(summary.parameters // 2, summary.macs // 2, 700_000, 25)
    exact, guess = (preview_figure(summary, replace(known, exact=e)) for e in (True, False))
    assert palette.NOTHING not in exact.data[0].marker.color
    assert list(guess.data[0].marker.color[1::2]) == [palette.NOTHING] * 4
    assert "estimate" in guess.layout.title.subtitle.text


def test_hostile_text_reaches_no_figure_unescaped():
    run = b.hostile()
    for draw in FIGURES:
        shown = words(draw(run)) + hovers(draw(run))
        assert "<img" not in shown
    assert "&lt;img" in words(latency_figure(run))


def test_colours_are_stable_and_told_apart():
    names = catalogue()
    assert len({palette.color(name) for name in names}) == len(names)
    assert palette.color("openvino:bf16") == palette.color("openvino")
    assert palette.marker("openvino:bf16") != palette.marker("openvino")
    assert palette.color("brand_new") == palette.color("brand_new")


@pytest.mark.parametrize("page", ["#ffffff", "#0e1320"])
def test_every_colour_is_seen_on_light_and_dark(page):
    everything = [palette.BASELINE, palette.CANDIDATE, palette.FAILED, palette.INK]
    everything += [*(one.facts.color for one in catalogue().values()), *palette._OTHERS]
    for shade in everything:
        assert contrast(shade, page) >= 3, shade


def contrast(first, second):
    def luminance(color):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("value", [1e-6, 0.011, 0.7, 1, 1.01, 9.99, 10, 123.4, 8e9])
def test_an_axis_ends_at_a_round_number_above(value):
    end = round_up(value)
    assert value <= end * 1.001
    assert end <= 2 * value + 1e-12


def test_layers_are_counted_once_and_share_out_to_all():
    rows = layer_rows(b.summary())
    assert sum(row["MACs (%)"] for row in rows) == pytest.approx(100)
    assert sum(row["bytes (%)"] for row in rows) == pytest.approx(100)
    bars = sum(len(trace.x) for trace in layers_figure(b.summary()).data)
    assert bars == len(b.summary().layers)


def test_a_model_without_layers_has_a_sentence():
    assert "No layer" in words(layers_figure(replace(b.summary(), layers=())))


def test_a_run_of_nothing_but_the_original():
    spec = ExperimentSpec("t", b.BASE, (Recipe("original"),), b.BACKENDS, evaluation="d" * 64)
    whole = b.run()
    run: Run = replace(whole, spec=spec, outcomes=whole.outcomes[:1])
    for draw in FIGURES:
        assert draw(run).layout.title.text
    assert len(latency_figure(run).data[0].x) == 3
