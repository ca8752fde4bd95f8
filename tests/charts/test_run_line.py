"""A run in a line: what its best recipe gained and cost, and where that was measured."""

from __future__ import annotations

import pytest

from core.charts.run_line import answer
from tests.charts import builders as b


def test_the_best_recipe_speaks_for_the_run():
    said = answer(b.run())
    assert said.headline.startswith("Best of 2 recipes: int8")
    assert said.speed == "2.56× faster on OpenVINO"
    assert said.accuracy == "93.4 % (−0.4 points)"
    assert said.images == 2000
    assert said.machine == "AMD EPYC 9354 32-Core Processor, 2 cores"


@pytest.mark.parametrize(
    ("run", "speed", "accuracy", "images"),
    [
        (b.live(), "", "", None),
        (b.refused(), "", "", 2000),
        (b.without_data(), "2.56× faster on OpenVINO", "no data", None),
        (b.without_labels(), "2.56× faster on OpenVINO", "97.2 %", 2000),
    ],
)
def test_other_states_say_what_they_have(run, speed, accuracy, images):
    said = answer(run)
    assert (said.speed, said.accuracy, said.images) == (speed, accuracy, images)
