"""Training in the limited child: it fits, tells where it is, and ends when it is cancelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.pipeline.client import Workshop
from core.records import Json, Recipe, Step

torch = pytest.importorskip("torch", reason="PyTorch is not installed: requirements/torch.txt")

SAMPLES = Path(__file__).parents[3] / "sample_models"
pytestmark = pytest.mark.slow


class Cancelled(Exception):
    """What a job raises when its user gives up."""


def test_a_sample_is_tuned_in_the_child_and_can_be_cancelled(tmp_path: Path):
    models, heard = tmp_path / "models", []

    def cancel() -> None:
        if any("share" in message for message in heard):
            raise Cancelled

    with Workshop() as workshop:
        model = workshop.admit(SAMPLES / "mobile.onnx", "mobile.onnx", models)
        images = workshop.admit_data(SAMPLES / "calibration.zip", "calibration.zip", tmp_path)
        step = Step("fine_tune", {"steps": 4, "rate": "0.0003", "weights": "int8"})
        made = workshop.build(model.path, Recipe("r", (step,)), images.path, models)
        assert made.candidate is not None, made.reason
        assert made.candidate.report[0].reverted == ""
        assert made.candidate.digest != model.digest
        long = Step("fine_tune", {"minutes": 10.0, "rate": "0.0003"})
        with pytest.raises(Cancelled):
            workshop.build(
                model.path, Recipe("r", (long,)), images.path, models, heard.append, cancel
            )
    told: list[Json] = [message for message in heard if "share" in message]
    assert "Fine-tune: " in told[-1]["current"]
