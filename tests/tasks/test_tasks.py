"""A task is told by the outputs; what fits none is compared as numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.data import Boxes, ImageBoxes, Masks
from core.data.frame import frame_of
from core.errors import DataError
from core.metrics.base import catalogue as metrics
from core.metrics.base.outputs import Outputs
from core.records import Measurement, ModelSummary, Preprocess, Status, TensorSpec
from core.tasks.base import Signature, catalogue, order, primary_metric, task_of
from core.tasks.detection import layouts
from core.tasks.detection.layouts.base import Layout

IMAGE = TensorSpec("x", "float32", ("N", 3, 64, 64))
NAMED = {
    "scores": (("float32", ("N", 10)), "classification"),
    "one feature map of one pixel": (("float32", ("N", 10, 1, 1)), "classification"),
    "counts": (("int64", ("N", 10)), "outputs as numbers"),
    "scores of pixels": (("float32", ("N", 21, 64, 64)), "segmentation"),
    "scores of every eighth pixel": (("float32", ("N", 21, 8, 8)), "segmentation"),
    "classes of pixels": (("int64", ("N", 64, 64)), "segmentation"),
    "classes of pixels with an axis of one": (("int64", ("N", 1, 64, 64)), "segmentation"),
    "an image": (("float32", ("N", 3, 64, 64)), "outputs as numbers"),
    "one channel": (("float32", ("N", 1, 64, 64)), "outputs as numbers"),
    "deep features": (("float32", ("N", 512, 2, 2)), "outputs as numbers"),
    "an enlarged image": (("float32", ("N", 12, 128, 128)), "outputs as numbers"),
    "YOLOv8": (("float32", ("N", 84, 84)), "detection"),
    "tokens": (("float32", ("N", 84, 90)), "outputs as numbers"),
    "YOLOX": (("float32", ("N", 84, 6)), "outputs as numbers"),
}


@pytest.mark.parametrize("name", NAMED)
def test_the_form_of_the_outputs_tells_the_task(name: str):
    (dtype, shape), label = NAMED[name]
    assert task_of(Signature((IMAGE,), (TensorSpec("y", dtype, shape),))).label == label


def test_outputs_that_are_nobodys_rows_have_no_task():
    scores = (TensorSpec("y", "float32", ("N", 10)),)
    assert task_of(Signature((IMAGE,), scores, shared=frozenset({0}))).label == "outputs as numbers"
    assert task_of(Signature((IMAGE,), scores, ragged=frozenset({0}))).label == "outputs as numbers"


def test_three_outputs_of_torchvisions_names_are_boxes_although_ragged():
    specs = tuple(
        TensorSpec(name, kind, ("K", *more))
        for name, kind, more in (("boxes", "float32", (4,)), ("labels", "int64", ()),
                                 ("scores", "float32", ()))
    )  # fmt: skip
    assert task_of(Signature((IMAGE,), specs, frozenset({0, 1, 2}))).label == "detection"
    assert task_of(Signature((IMAGE,), specs)).label == "detection"
    shared = Signature((IMAGE,), specs, frozenset({0}), frozenset({0}))
    assert task_of(shared).label == "outputs as numbers"


def test_boxes_of_torchvision_leave_out_what_an_image_does_not_fill():
    layout, nan = layouts()["torchvision"], np.nan
    specs = tuple(TensorSpec(name, "float32", ("K",)) for name in ("scores", "boxes", "labels"))
    outputs = [np.array([0.9, nan]), np.array([[1, 2, 3, 4], [nan] * 4]), np.array([17, nan])]
    found = layout.decode(outputs, Signature((IMAGE,), specs))
    assert found.corners.tolist() == [[1, 2, 3, 4]]
    assert (found.scores.tolist(), found.classes.tolist()) == ([0.9], [17])
    assert layout.by_identifier


def test_a_yolo_with_key_points_is_no_yolov8():
    pose = (TensorSpec("y", "float32", ("N", 56, 84)),)
    assert task_of(Signature((IMAGE,), pose, labels=("person",))).label == "outputs as numbers"


def test_every_layout_keeps_its_promises():
    assert all(isinstance(layout, Layout) for layout in layouts().values())


def row(metric: str, status: Status = Status.OK) -> Measurement:
    return Measurement("a", "onnxruntime", metric, 1.0, 1.0, 1.0, status)


@pytest.mark.parametrize(
    ("rows", "metric"),
    [
        ([], "top1"),
        ([row("latency_ms")], "top1"),
        ([row("top1"), row("agreement"), row("sqnr_db")], "top1"),
        ([row("agreement"), row("sqnr_db")], "agreement"),
        ([row("top1", Status.FAILED), row("agreement")], "agreement"),
        ([row("top1", Status.UNAVAILABLE)], "top1"),
        ([row("miou"), row("pixel_agreement"), row("sqnr_db")], "miou"),
        ([row("map", Status.FAILED), row("sqnr_db")], "sqnr_db"),
        ([row("map", Status.FAILED)], "map"),
    ],
)
def test_one_metric_stands_for_a_run(rows: list[Measurement], metric: str):
    assert primary_metric(rows) == metric


def test_what_may_stand_for_a_run_is_told_from_the_tasks():
    assert order()[0] == "top1"
    assert order()[-1] == "sqnr_db"


def kept(folder: Path, dtype: str, *arrays: np.ndarray) -> Outputs:
    for index, array in enumerate(arrays):
        np.save(folder / f"{index}.npy", array.astype(np.float32))
    specs = tuple(TensorSpec(f"y{i}", dtype, ("N",)) for i in range(len(arrays)))
    model = ModelSummary("m", "m", folder, (IMAGE,), specs, 17, 8, "", 1, 1, 1, 1, 0)
    return Outputs(model, "onnxruntime", folder, len(arrays[0]))


def test_miou_by_hand(tmp_path: Path):
    scores = np.zeros((1, 4, 64, 64))
    scores[0, 0], scores[0, 1, :, :16] = 0.5, 1  # predicted: class 1 on a quarter, else 0
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :32] = 1
    mask[:, -16:] = 255
    task, metric = catalogue()["segmentation"], metrics()["miou"]
    maps = task.decode(kept(tmp_path, "float32", scores), 1, None)
    truth = task.truth(maps, Masks(lambda _: mask, 1)).value
    value = metric.score(metric.statistics(maps, truth)).value
    assert value == pytest.approx(100 * np.mean([16 / 32, 16 / 32]))


def test_a_mask_of_another_size_gets_the_prediction_in_its_own(tmp_path: Path):
    classes = np.repeat([[0, 1]], 64, 0).repeat(32, 1)[None]
    task, metric = catalogue()["segmentation"], metrics()["miou"]
    maps = task.decode(kept(tmp_path, "int64", classes), 1, None)
    mask = np.repeat([[0, 1]], 30, 0).repeat(50, 1).astype(np.uint8)
    assert metric.score(metric.statistics(maps, Masks(lambda _: mask, 1))).value == 100


def test_what_a_crop_leaves_out_is_not_counted(tmp_path: Path):
    classes = np.ones((1, 64, 64))
    crop = Preprocess(resize=(128, 128), crop=(64, 64))
    mask = np.zeros((256, 256), np.uint8)
    mask[64:192, 64:192] = 1
    task, metric = catalogue()["segmentation"], metrics()["miou"]
    maps = task.decode(kept(tmp_path, "int64", classes), 1, crop)
    assert metric.score(metric.statistics(maps, Masks(lambda _: mask, 1))).value == 100


def test_a_class_that_the_model_lacks_is_said(tmp_path: Path):
    maps = catalogue()["segmentation"].decode(
        kept(tmp_path, "float32", np.zeros((1, 4, 64, 64))), 1, None
    )
    mask = np.full((64, 64), 7, np.uint8)
    with pytest.raises(DataError, match="class 7, but the model tells 4 apart"):
        metrics()["miou"].statistics(maps, Masks(lambda _: mask, 1))


def test_a_frame_carries_boxes_into_the_input():
    whole = frame_of((100, 200), (IMAGE,), None)
    np.testing.assert_allclose(whole.to_input(np.array([[0, 0, 200, 100]])), [[0, 0, 64, 64]])
    crop = frame_of((100, 200), (IMAGE,), Preprocess(resize=(128, 128), crop=(64, 64)))
    np.testing.assert_allclose(crop.to_input(np.array([[50, 25, 150, 75]])), [[0, 0, 64, 64]])
    assert crop.region == (slice(25, 75), slice(50, 150))


def test_yolov8_boxes_come_out_as_they_are_annotated(tmp_path: Path):
    output = np.zeros((1, 6, 84))
    output[0, :, 3] = (32, 16, 8, 4, 0.9, 0.01)
    task = catalogue()["detection"]
    found = task.decode(kept(tmp_path, "float32", output), 1, None)
    np.testing.assert_allclose(found[0].corners[0], (28, 14, 36, 18))
    assert found[0].classes.tolist() == [0, 1]
    image = ImageBoxes((128, 128), np.array([[56.0, 28, 72, 36]]), np.array([0]), np.array([False]))
    truth = task.truth(found, Boxes((image,), (3, 17)))
    np.testing.assert_allclose(truth.value.images[0].corners, [[28, 14, 36, 18]])
    assert metrics()["map"].score(metrics()["map"].statistics(found, truth.value)).value == 100
    with pytest.raises(DataError, match="3 categories, but the model tells 2 apart"):
        task.truth(found, Boxes((image,), (1, 2, 3)))
    nothing = ImageBoxes((128, 128), np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, bool))
    with pytest.raises(DataError, match="no annotated box"):
        task.truth(found, Boxes((nothing,), (3, 17)))
