"""A recipe in words is whole, and short where its parameters are the defaults."""

from __future__ import annotations

import pytest

from core.charts.recipe_words import step_in_words, steps_in_words
from core.recipes import recipe_of
from core.records import Recipe, Step


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Step("fold_batch_norm"), "Fold batch norms"),
        (Step("prune_channels", {"ratio": 0.3}), "Prune channels 30 %"),
        (Step("quantize_int8", {"goal": "safe"}), "int8 safe"),
        (
            Step(
                "prune_channels", {"ratio": 0.3, "repair": False, "exclude": ["a", "b", "c", "d"]}
            ),
            "Prune channels 30 % (repair: off, leave alone: 4 layers)",
        ),
        (Step("prune_channels", {"ratio": "<b>"}), "prune_channels (ratio: <b>)"),
        (Step("of_a_later_version", {"depth": 3}), "of_a_later_version (depth: 3)"),
    ],
)
def test_a_step_says_what_is_not_its_default(step, words):
    assert step_in_words(step) == words


def test_the_original_has_a_word():
    assert steps_in_words(Recipe("original")) == ("original",)
    assert len(steps_in_words(recipe_of([Step("simplify"), Step("fold_batch_norm")]))) == 2
