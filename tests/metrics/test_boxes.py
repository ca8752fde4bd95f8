"""Average precision is pycocotools' own, image by image and drawn anew; overlaps by hand."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from core.metrics.base import boxes as boxes
from core.metrics.base import catalogue
from core.metrics.base.boxes import (
    Annotated,
    BoxTruth,
    Detections,
    MeanPrecision,
    iou,
    kept_by_nms,
    match,
)

IMAGES = 30


def crowded(seed: int) -> tuple[list[Detections], list[Annotated]]:
    """Noisy detections of random boxes, some of crowds, with false ones among them."""
    random = np.random.default_rng(seed)

    def some(count: int) -> np.ndarray:
        start = random.uniform(0, 80, (count, 2))
        return np.concatenate([start, start + random.uniform(5, 20, (count, 2))], 1)

    found, truth = [], []
    for _ in range(IMAGES):
        corners, false = some(random.integers(0, 6)), some(random.integers(0, 5))
        classes = random.integers(0, 4, len(corners))
        truth.append(Annotated(corners, classes, random.random(len(corners)) < 0.1))
        given = np.concatenate([corners + random.normal(0, 1.2, corners.shape), false])
        numbers = np.concatenate([classes, random.integers(0, 4, len(false))])
        found.append(Detections(given, random.random(len(given)), numbers))
    return found, truth


def by_pycocotools(found: list[Detections], truth: list[Annotated]) -> tuple[float, float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    given, detected = COCO(), COCO()
    given.dataset, detected.dataset = boxes._truth_rows(truth), boxes._found_rows(found, truth)
    with contextlib.redirect_stdout(io.StringIO()):
        given.createIndex()
        detected.createIndex()
        judge = COCOeval(given, detected, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return 100 * judge.stats[0], 100 * judge.stats[1]


@pytest.mark.parametrize("seed", range(3))
def test_map_is_that_of_pycocotools(seed: int):
    found, truth = crowded(seed)
    judge = BoxTruth(truth)
    wanted = by_pycocotools(found, truth)
    for name, value in zip(("map", "map50"), wanted, strict=True):
        metric = catalogue()[name]
        interval = metric.score(metric.statistics(found, judge))
        assert interval.value == pytest.approx(value, abs=1e-9)
        assert interval.low < value < interval.high


def test_weights_are_images_that_occur_several_times():
    found, truth = crowded(1)
    weights = np.random.default_rng(0).integers(0, 3, IMAGES)
    drawn = np.repeat(np.arange(IMAGES), weights)
    value = MeanPrecision(match(found, truth), slice(None)).weighted(weights)
    again = by_pycocotools([found[i] for i in drawn], [truth[i] for i in drawn])[0]
    assert value == pytest.approx(again, abs=0.2)  # equal scores may stand in another order


def test_a_file_against_itself_changes_nothing():
    found, truth = crowded(2)
    metric, judge = catalogue()["map"], BoxTruth(truth)
    same = metric.statistics(found, judge)
    assert same.matches is metric.statistics(found, judge).matches
    assert metric.difference(same, same) == (0, 0, 0)


def test_worse_boxes_lose_and_the_interval_shows_it():
    found, truth = crowded(0)
    worse = [Detections(d.corners + 4, d.scores, d.classes) for d in found]
    metric, judge = catalogue()["map"], BoxTruth(truth)
    before, after = (metric.statistics(one, judge) for one in (found, worse))
    change = metric.difference(before, after)
    assert change.value == pytest.approx(metric.score(after).value - metric.score(before).value)
    assert change.high < 0


def test_overlap_by_hand():
    first = np.array([[0, 0, 2, 2], [0, 0, 1, 1]], float)
    second = np.array([[1, 1, 3, 3], [5, 5, 6, 6], [0, 0, 2, 2]], float)
    np.testing.assert_allclose(iou(first, second), [[1 / 7, 0, 1], [0, 0, 1 / 4]])


def test_suppression_is_within_a_class_and_keeps_the_surest():
    corners = np.array([[0, 0, 10, 10], [0, 0, 10, 9.5], [0, 0, 10, 9.5], [20, 0, 30, 10]], float)
    given = Detections(corners, np.array([0.8, 0.9, 0.7, 0.1]), np.array([0, 0, 1, 0]))
    kept = kept_by_nms(given, 0.7, 10)
    assert kept.scores.tolist() == [0.9, 0.7, 0.1]
    assert kept.classes.tolist() == [0, 1, 0]
    assert len(kept_by_nms(given, 0.7, 1).scores) == 1


def test_boxes_in_common_by_hand():
    metric = catalogue()["box_agreement"]
    one = Detections(np.array([[0, 0, 10, 10], [20, 0, 30, 10]], float), np.array([0.9, 0.3]),
                     np.array([0, 0]))  # fmt: skip
    moved = Detections(one.corners + 1, one.scores, np.array([0, 1]))
    unsure = Detections(one.corners, np.array([0.9, 0.2]), one.classes)
    none = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
    for other, value in ((one, 100), (moved, 50), (unsure, 200 / 3), (none, 0)):
        assert metric.score(metric.statistics([other], [one])).value == pytest.approx(value)
    assert metric.value(metric.statistics([none], [none])) == 100
