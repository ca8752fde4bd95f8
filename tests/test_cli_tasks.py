"""Segmentation and detection from the command line to the numbers: nets whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import graph as graphs
from core.cli import main
from core.graph import Graph
from core.pipeline.summary import summarise
from core.workspace.facts import unmet_by
from tests.builders import graph
from tests.tasks import nets

pytestmark = pytest.mark.backend
Rows = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture
def measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch
) -> Callable[..., Rows]:
    """Rows by model and metric."""
    monkeypatch.setenv("LATHE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def call(models: dict[str, Graph], data: Path) -> Rows:
        for name, made in models.items():
            graphs.save(made, tmp_path / f"{name}.onnx")
        paths = [f"{name}.onnx" for name in models]
        status = main(["measure", *paths, "--data", str(data), "--budget-s", "0.2", "--json"])
        said = capsys.readouterr()
        assert status == 0, said.err
        return {(r["model"].removesuffix(".onnx"), r["metric"]): r
                for r in json.loads(said.out)["rows"]}  # fmt: skip

    return call


def test_segmentation_is_scored_by_its_masks(measured, tmp_path: Path):
    models = {"net": nets.segmentation(), "worse": nets.segmentation(spoiled=0.6)}
    rows = measured(models, nets.masked_zip(tmp_path / "masks.zip"))
    assert rows["net", "miou"]["value_percent"] == pytest.approx(100)
    worse, change = rows["worse", "miou"], rows["worse", "miou_delta"]
    assert worse["value_percent"] < 50
    assert change["value_points"] == pytest.approx(worse["value_percent"] - 100)
    assert change["high_points"] < 0
    assert worse["condition"]["images"] == "24"
    assert 0 < rows["worse", "pixel_agreement"]["value_percent"] < 100
    assert ("worse", "sqnr_db") in rows
    assert not {metric for _, metric in rows} & {"top1", "agreement", "map"}


def test_segmentation_without_masks_is_held_against_the_original(measured, tmp_path: Path):
    pixels, masks = nets.regions(12, side=96)
    np.savez(tmp_path / "images.npz", images=pixels)
    models = {"net": nets.segmentation(), "worse": nets.segmentation(spoiled=0.6)}
    rows = measured(models, tmp_path / "images.npz")
    ground = 100 * np.mean(masks == 0)
    assert rows["worse", "pixel_agreement"]["value_percent"] == pytest.approx(ground, abs=2)
    alone = rows["net", "pixel_agreement"]
    assert (alone["status"], alone["value_percent"]) == ("unavailable", None)
    assert "the original" in alone["reason"]


@pytest.mark.parametrize("scale", [1, 2])
def test_detection_is_scored_by_its_boxes(measured, tmp_path: Path, scale: int):
    models = {"net": nets.detector(), "shifted": nets.detector(shift=4)}
    rows = measured(models, nets.boxed_zip(tmp_path / "boxes.zip", scale=scale))
    assert rows["net", "map"]["value_percent"] == pytest.approx(100, abs=0.01)
    shifted, change = rows["shifted", "map"], rows["shifted", "map_delta"]
    assert rows["shifted", "map50"]["value_percent"] == pytest.approx(100, abs=0.01)
    # Moved by a quarter of its width a square overlaps by 12 / 20: right at 0.5, 0.55 and 0.6.
    assert shifted["value_percent"] == pytest.approx(30, abs=0.1)
    assert change["value_points"] == pytest.approx(-70, abs=0.1)
    assert rows["shifted", "box_agreement"]["value_percent"] == pytest.approx(100)


def test_annotations_that_the_outputs_cannot_meet_are_a_reason(measured, tmp_path: Path):
    rows = measured({"net": nets.segmentation()}, nets.boxed_zip(tmp_path / "boxes.zip", 4))
    assert rows["net", "map"]["status"] == "failed"
    assert "read as segmentation" in rows["net", "map"]["reason"]


@pytest.mark.parametrize(("net", "kind", "told"), [
    (nets.detector(), "labels", "read as detection"), (nets.detector(), "boxes", ""),
    (nets.segmentation(), "", ""),
    (graph("(float[N,3,8,8] x) => (float[N,3,8,8] y) { y = Neg (x) }"), "labels", ""),
])  # fmt: skip
def test_annotations_of_another_kind_are_told_before_anything_runs(net, kind: str, told: str):
    model = summarise(net, Path("net.onnx"), "d", "net", own_bytes=1)
    said = unmet_by(model, kind)
    assert told in said
    assert bool(said) == bool(told)


@pytest.mark.parametrize("batch", ["N", "1", "12"])
def test_boxes_of_all_images_together_are_never_counted_as_images(
    measured, tmp_path: Path, batch: str
):
    """As many as there are images, and as numbers: the first axis alone would take them in."""
    made = graph(
        f"(float[{batch},3,8,8] x) => (float[K,4] y) {{"
        " c = ReduceMean <axes=[1], keepdims=1> (x) g = Greater (c, t) n = NonZero (g)"
        " r = Transpose <perm=[1,0]> (n) y = Cast <to=1> (r) }",
        opset=13, t=np.array([0.7], np.float32),
    )  # fmt: skip
    pixels = np.zeros((12, 8, 8, 3), np.uint8)
    pixels[np.arange(12), np.arange(12) % 8, np.arange(12) * 3 % 8] = 255
    if batch != "12":
        pixels[3:, 0, 0] = 255
    np.savez(tmp_path / "images.npz", images=pixels, labels=np.zeros(12, np.int64))
    rows = measured({"net": made}, tmp_path / "images.npz")
    scores = {metric for _, metric in rows} & {"top1", "top5", "agreement", "miou", "map"}
    assert not scores
    row = rows["net", "sqnr_db"]
    assert row["status"] == "unavailable"
    assert "outputs as numbers" in row["reason"]
