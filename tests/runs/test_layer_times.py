"""Which forms of a model have their layers timed before a recipe is built."""

from __future__ import annotations

import pytest

from core.errors import PassPrecondition
from core.passes.fold_batch_norm import FoldBatchNorm
from core.passes.prune_channels import PruneChannels
from core.passes.replace_convolutions import ReplaceConvolutions
from core.records import Recipe
from core.runs.layer_times import stages, wanted_on

FOLD = FoldBatchNorm().step()
REPLACE = ReplaceConvolutions(budget="latency", backend="onnxruntime").step()
PRUNE = PruneChannels(budget="latency", target=0.7, backend="onnxruntime").step()
PLAIN = PruneChannels(ratio=0.3).step()


@pytest.mark.parametrize(
    ("steps", "timed"),
    [
        ((FOLD, PLAIN), []),
        ((FOLD, PRUNE), [()]),
        ((FOLD, REPLACE, PRUNE), [(), (FOLD, REPLACE)]),
        ((REPLACE, PLAIN), [()]),
    ],
)
def test_layers_that_an_earlier_step_makes_are_timed_too(steps, timed):
    assert [before.steps for before, _ in stages(Recipe("r", steps))] == timed


def test_layers_are_timed_in_the_arithmetic_that_the_pass_asks_for():
    whole = PruneChannels(budget="latency", backend="onnxruntime", arithmetic="int8").step()
    assert [kind for _, kind in stages(Recipe("r", (REPLACE, whole)))] == ["f32", "int8"]


def test_two_backends_in_one_recipe_are_refused():
    other = PruneChannels(budget="latency", target=0.7, backend="openvino").step()
    with pytest.raises(PassPrecondition, match="onnxruntime, openvino"):
        wanted_on(Recipe("r", (REPLACE, other)))
