"""The result card: whole recipe, conditions, what was measured; a picture without collisions."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from core.charts import qr
from core.charts.card import card
from core.charts.card_picture import FORMATS, LOOKS, card_svg, picture
from core.charts.drawing import Box, Drawing, Text, extents
from core.charts.lanes import Lane, Mark, Panel
from core.charts.panel_picture import panel_drawing
from core.recipes import recipe_of
from core.records import Host, Run, Step
from tests.charts import builders as b

LINK = "https://lathe.example.com/a/long/prefix/explore?run=yGruFKLFpj2BBPeMFsEbfg"
STATES = {
    "measured": b.run, "unlabelled": b.without_labels, "no images": b.without_data,
    "unstable": b.unstable, "hostile": b.hostile, "live": b.live,
}  # fmt: skip


def longest() -> Run:
    """Names, recipes and machines as long as they come."""
    steps = [
        Step("fold_batch_norm"), Step("simplify"),
        Step("replace_convolutions", {"form": "spatial_svd", "speedup": 1.7}),
        Step("prune_channels", {"ratio": 0.35, "criterion": "l2", "repair": False,
                                "exclude": ["features.0.conv.weights", "features.1.conv"]}),
        Step("fine_tune"), Step("quantize_int8", {"goal": "within_points", "points": 0.5}),
    ]  # fmt: skip
    recipe = recipe_of(steps)
    run = b.run()
    outcomes = tuple(
        replace(o, recipe=recipe, candidate=replace(o.candidate, recipe=recipe))
        if o.recipe.steps
        else o
        for o in run.outcomes
    )
    host = Host(
        "13th Gen Intel(R) Core(TM) i9-13900KS with a Name_that_has_no_space_to_break_at_" * 2,
        ("avx2",), 24, "Linux 6.12.0-1018-realtime-with-a-long-suffix PREEMPT_DYNAMIC" * 2,
        run.host.versions,
    )  # fmt: skip
    name = (
        "efficientvit_b3.r288_in1k.with.a.very.long.file.name.from.an.export.script-2026-11-29" * 2
    )
    return replace(run, outcomes=outcomes, host=host, model=replace(run.model, name=name))


def collisions(drawing: Drawing) -> list[tuple[str, str]]:
    texts = [shape for shape in drawing.shapes if isinstance(shape, Text)]
    return [
        (first.words, second.words)
        for first, second in combinations(texts, 2)
        if meet(first.extent, second.extent)
    ]


def meet(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    slack = 0.6  # of rounding
    return (
        first[0] < second[2] - slack and second[0] < first[2] - slack
        and first[1] < second[3] - slack and second[1] < first[3] - slack
    )  # fmt: skip


def outside(drawing: Drawing) -> list[str]:
    return [
        shape.words
        for shape in drawing.shapes
        if isinstance(shape, Text)
        and not (
            shape.extent[0] >= 0 and shape.extent[1] >= 0
            and shape.extent[2] <= drawing.width and shape.extent[3] <= drawing.height
        )
    ]  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("state", [*STATES, "longest"])
def test_no_text_meets_another_or_leaves_the_picture(state, form):
    run = longest() if state == "longest" else STATES[state]()
    drawn = picture(card(run, b.PRUNED, LINK), form)
    assert not collisions(drawn)
    assert not outside(drawn)
    code = [s for s in drawn.shapes if isinstance(s, Box) and s.fill == "#ffffff"]
    for square in code:
        box = (square.x, square.y, square.x + square.width, square.y + square.height)
        assert box[3] <= drawn.height
        assert not [one for one in extents(drawn) if meet(one, box)]


def test_collisions_would_be_seen():
    two = Drawing(
        100, 100, [Text(0, 20, "one", 20), Text(5, 22, "two", 20), Text(90, 50, "out", 20)]
    )
    assert collisions(two) == [("one", "two")]
    assert outside(two) == ["out"]


@pytest.mark.parametrize("form", FORMATS)
def test_the_whole_recipe_is_on_it_in_words(form):
    drawn = picture(card(longest(), b.PRUNED, LINK), form)
    said = " ".join(shape.words for shape in drawn.shapes if isinstance(shape, Text))
    for words in (
        "Fold batch norms",
        "criterion: l2",
        "repair: off",
        "leave alone: features.0.conv.weights",
        "0.5 points",
    ):
        assert words in said
    assert "…" not in said.replace(" … ", " ")  # intervals have one


def test_conditions_name_input_images_device_versions_and_the_file():
    told = dict(card(b.run(), b.PRUNED, LINK).conditions)
    assert told["Input"] == "1×3×64×64 (batch first), 1 thread"
    assert told["Images"] == "2,000, top-1, by annotations"
    assert "AMD EPYC" in told["Device"]
    assert "OpenVINO 2026.4.0" in told["Versions"]
    assert told["File"] == f"SHA-256 {b.PRUNED}"


def test_only_what_was_measured_is_drawn_and_the_rest_is_named():
    shown = card(b.run(), b.QUANTIZED)
    latency = shown.panels[0]
    assert [lane.label for lane in latency.lanes] == ["ONNX Runtime", "OpenVINO"]
    assert shown.unmeasured == "No number: latency on OpenCV DNN; accuracy on OpenCV DNN."
    assert "accuracy is unknown" in dict(card(b.without_data(), b.PRUNED).conditions)["Images"]
    assert not [
        p for p in card(b.without_data(), b.PRUNED).panels if p.title.startswith("Accuracy")
    ]


def test_cameras_read_the_code_of_the_link():
    import cv2

    drawn = picture(card(b.run(), b.PRUNED, LINK), "wide")
    scale = 2  # as it is saved: a module is so many whole pixels
    page = np.full((scale * int(drawn.height), scale * int(drawn.width)), 128, np.uint8)
    for box in drawn.shapes:
        if isinstance(box, Box) and box.fill in ("#ffffff", "#000000"):
            x, y = (
                slice(round(scale * a), round(scale * (a + b)))
                for a, b in ((box.x, box.width), (box.y, box.height))
            )
            page[y, x] = 255 if box.fill == "#ffffff" else 0
    assert cv2.QRCodeDetector().detectAndDecode(page)[0] == LINK


def test_the_code_is_never_too_small_to_be_read():
    side, module = qr.side_of(LINK, 150)
    assert side <= 150
    assert 2 * module == int(2 * module)
    assert qr.side_of(LINK, 1)[1] == 2


@pytest.mark.parametrize("look", LOOKS)
def test_both_looks_are_drawn_in_their_own_colours(look):
    markup = card_svg(card(b.run(), b.PRUNED, LINK), "square", look)
    assert f'fill="{LOOKS[look]["page"]}"' in markup
    assert LOOKS[look]["ink"] in markup


def test_hostile_names_stay_text_in_the_picture():
    markup = card_svg(card(b.hostile(), b.PRUNED))
    assert "<img" not in markup
    assert "&lt;img" in markup


def test_a_panel_draws_what_has_no_number_as_words():
    lane_of = b.run().spec.backends[0]

    panel = Panel(
        "Latency", [Lane(lane_of, [Mark(None, "#123456", "failed: " + "x" * 300, failed=True)])]
    )
    drawn = panel_drawing(panel, 300)
    assert not collisions(drawn)
    assert not outside(drawn)
