"""What a question names and is not here is told one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.records import BackendInfo, ExperimentSpec, Recipe, Step
from core.runs.lacking import lacking

SPEC = ExperimentSpec(
    "t", "a" * 64, (Recipe("original"), Recipe("r", (Step("fold_batch_norm"),))), ("onnxruntime",),
    calibration="b" * 64, evaluation="c" * 64,
)  # fmt: skip
HERE = BackendInfo("onnxruntime", "ONNX Runtime", "", ("f32",))


def told(spec: ExperimentSpec = SPEC, model: bool = True, images: bool = True, info=HERE) -> str:
    return " ".join(lacking(spec, lambda _: model, lambda _: images, (info,)))


def test_nothing_is_missing_where_all_is_here():
    assert told() == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": False}, "The model is not here (SHA-256 aaaaaaaaaaaa …): upload it."),
        ({"images": False}, "The calibration images are not here (SHA-256 bbbbbbbbbbbb …)"),
        ({"images": False}, "The evaluation images are not here (SHA-256 cccccccccccc …)"),
        ({"info": replace(HERE, reason="not installed.", remedy="pip install it")}, "pip install"),
        ({"spec": replace(SPEC, backends=("onnxruntime", "invented"))}, "invented"),
        ({"spec": replace(SPEC, backends=("onnxruntime:f8",))}, "f8"),
        ({"spec": replace(SPEC, recipes=(Recipe("r", (Step("of_later"),)),))}, "of_later"),
        (
            {
                "spec": replace(
                    SPEC, recipes=(Recipe("r", (Step("prune_channels", {"ratio": 9}),)),)
                )
            },
            "ratio",
        ),
    ],
)
def test_each_thing_that_is_missing_is_named(given, said):
    assert said in told(**given)
