"""What a row of ratios does to the shapes of the layers, beside the graphs that pruning gives."""

from __future__ import annotations

from core.analysis.layer_signatures import signatures
from core.pipeline import runner
from core.pipeline.ladder import ladder
from core.records import Recipe, Step
from tests.analysis.nets import residual


def cut(ratio: float) -> Recipe:
    return Recipe("cut", (Step("prune_channels", {"ratio": ratio, "multiple": 1}),))


def test_only_layers_that_change_are_listed_as_the_pruned_graph_has_them():
    graph = residual()
    recipes = [cut(0.0), cut(0.3), cut(0.6)]
    found = ladder(graph, recipes)
    whole = set(signatures(graph).values())
    assert set(found[0]) < whole
    for rung, recipe in zip(found, recipes, strict=True):
        pruned = set(signatures(runner.preview(graph, recipe)[0]).values())
        assert set(rung) <= pruned
        assert pruned - set(rung) <= whole
    assert all(len(set(place)) > 1 for place in zip(*found, strict=True))


def test_a_slider_that_changes_nothing_has_no_layers():
    assert ladder(residual(), [cut(0.0), cut(0.0)]) == ((), ())
    assert ladder(residual(), []) == ()
