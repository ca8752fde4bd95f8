"""The axes that the passes span, and the recipes of their grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from core.passes.base import Pass, build, catalogue, parameter, parameters
from core.recipes import key
from core.records import Recipe, Step
from core.search.space import Variant, axes_of, combine, default_grid, is_range, neighbours


class Half(Pass):
    label: ClassVar[str] = "Half"
    help: ClassVar[str] = "Halves."

    def apply(self, graph, report, statistics):
        """Nothing."""


def test_the_opening_grid_varies_a_cut_and_the_arithmetic():
    started = {label for axis in axes_of(catalogue()) for label in axis.start}
    assert "prune_channels.30 %" in started
    assert "quantize_int8.int8 safe" in started


def test_the_grid_is_the_product_of_its_axes():
    step = [variant for axis in axes_of(catalogue()) for variant in axis.variants]
    some = [variant for variant in step if variant.step is not None]
    first, second = some[0], some[-1]
    off = Variant("off", "off", None)
    recipes = combine([[off, first], [off, second]])
    assert [len(recipe.steps) for recipe in recipes] == [1, 1, 2]


def test_every_pass_can_be_varied():
    for axis in axes_of(catalogue()):
        assert len(axis.variants) > 1, axis.name


def test_a_number_with_a_unit_is_varied_around_its_default():
    (axis,) = [a for a in axes_of(catalogue()) if a.name == "replace_convolutions"]
    assert [v.label for v in axis.variants] == ["off", "2×", "3×", "4×"]


def test_a_pass_without_parameters_is_off_or_on():
    assert [v.label for v in axes_of({"half": Half})[0].variants] == ["off", "on"]


def test_a_family_is_one_axis_with_the_presets_of_its_passes():
    class Whole(Half):
        family: ClassVar[str] = "Kind"
        presets: ClassVar[dict] = {"all": {}}

    class Quarter(Half):
        family: ClassVar[str] = "Kind"
        presets: ClassVar[dict] = {"one": {}, "three": {}}

    (axis,) = axes_of({"whole": Whole, "quarter": Quarter})
    assert axis.name == "Kind"
    assert [v.label for v in axis.variants] == ["as it is", "all", "one", "three"]
    assert [v.step and v.step.pass_name for v in axis.variants[1:]] == ["whole", *["quarter"] * 2]


def test_parameter_builds_a_share_axis():
    @dataclass(frozen=True)
    class Cut(Half):
        ratio: float = parameter(0.25, "Ratio", "How much.", low=0.0, high=0.5)

    (axis,) = axes_of({"cut": Cut})
    assert [v.label for v in axis.variants] == ["off", "10 %", "20 %", "30 %", "40 %", "50 %"]
    assert axis.variants[3].step.params["ratio"] == pytest.approx(0.3)


def test_combinations_that_ask_for_the_same_are_tried_once():
    cut = catalogue()["prune_channels"]().step()
    short = Variant("short", "short", Step("prune_channels"))
    whole = Variant("whole", "whole", Step("prune_channels", cut.params))
    assert len(combine([[short, whole]])) == 1


def test_no_two_recipes_of_a_grid_have_one_name_or_ask_for_the_same():
    every = combine([axis.variants[:3] for axis in axes_of(catalogue())])
    assert len({recipe.name for recipe in every}) == len(every)
    assert len({key(recipe.steps) for recipe in every}) == len(every)


def test_the_default_grid_is_fold_with_each_share_and_each_arithmetic():
    found = default_grid(calibrated=True, shares=(0.2,))
    presets = sum(len(kind.presets) for kind in catalogue().values() if kind.family)
    assert len(found) == 2 * (1 + presets)
    assert all(recipe.steps[0].pass_name == "fold_batch_norm" for recipe in found)
    assert key(found[0].steps) == key((Step("fold_batch_norm"),))
    asked = (Step("fold_batch_norm"), Step("prune_channels", {"ratio": 0.2}))
    assert key(asked) in {key(recipe.steps) for recipe in found}


def test_without_calibration_images_nothing_in_the_grid_needs_them():
    passes = catalogue()
    found = default_grid(calibrated=False)
    assert not any(passes[s.pass_name].needs_data for recipe in found for s in recipe.steps)
    assert len(found) < len(default_grid(calibrated=True))


@pytest.mark.parametrize("name", catalogue())
def test_every_neighbour_is_a_recipe_that_the_pass_takes(name):
    recipe = Recipe("r", (catalogue()[name]().step(),))
    for neighbour in neighbours(recipe):
        build(neighbour.steps[0])


@pytest.mark.parametrize("name", catalogue())
def test_neighbours_cover_every_stop_of_every_visible_slider(name):
    recipe = Recipe("r", (catalogue()[name]().step(),))
    found = list(neighbours(recipe))
    visible = [
        about
        for default, about in parameters(catalogue()[name]).values()
        if is_range(default, about) and not about.expert
    ]
    if not visible:
        assert not found
    for about in visible:
        assert any(about.low in n.steps[0].params.values() for n in found) or not about.step


def test_every_value_of_an_axis_is_one_that_its_pass_takes():
    for axis in axes_of(catalogue()):
        for step in (one.step for one in axis.variants if one.step is not None):
            known = parameters(catalogue()[step.pass_name])
            assert build(step).step() == step
            assert all(type(known[name][0]) is type(value) for name, value in step.params.items())
