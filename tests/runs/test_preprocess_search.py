"""Labelled images tell how pixels become the input of a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from core.errors import DataError
from core.records import Preprocess, TensorSpec
from core.runs.images import ImageSource
from core.runs.preprocess_search import presets, trials
from core.workspace import Workspace
from tests.pages.fake_workspace import model


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    opened = Workspace.open(tmp_path_factory.mktemp("home"))
    yield opened
    opened.close()


def names(shape: tuple[int | str, ...], dtype: str = "float32") -> list[str]:
    return list(presets(model(inputs=(TensorSpec("x", dtype, shape),))))


def test_a_sample_scores_best_with_what_is_nearest_to_its_training(workspace):
    sample = workspace.models.sample("resnet")
    _, evaluation = workspace.data.samples()
    found = workspace.insights.pixel_trials(sample.digest, evaluation.digest, "anybody")
    assert found[0].top1 > 85 > found[-1].top1
    assert found[0].low <= found[0].top1 <= found[0].high
    assert [trial.top1 for trial in found] == sorted((t.top1 for t in found), reverse=True)
    assert "mean and deviation" in found[0].name  # trained on (x - 0.5) / 0.25
    assert "raw" in found[-1].name


def test_images_without_labels_cannot_tell(workspace):
    calibration, _ = workspace.data.samples()
    with pytest.raises(DataError, match="labelled"):
        workspace.insights.pixel_trials(
            workspace.models.sample("resnet").digest, calibration.digest, "anybody"
        )


def test_it_ends_in_time(workspace, tmp_path):
    _, evaluation = workspace.data.samples()
    images = ImageSource(evaluation.path, evaluation.digest)
    unlike = replace(workspace.models.sample("resnet"), preprocess=Preprocess(scale=0.1))
    with pytest.raises(DataError, match="another measurement"):
        trials(unlike, images, tmp_path, limit_s=0.0)


def test_only_what_the_input_can_hold_is_tried():
    assert len(names((1, 3, 32, 32))) == 7
    assert names((1, 1, 28, 28)) == ["0 … 1, RGB", "−1 … 1, RGB", "raw 0 … 255, RGB"]
    assert all(name.startswith("raw 0") for name in names((1, 32, 32, 3), "uint8"))
