"""Boxes that detectors find, in pixels of the model's input; overlaps, and COCO's matching.

The matching is pycocotools' own (`COCOeval.evaluate`): of each image and category the detections in
falling order of score take the best free box above a threshold of IoU. From its per-image results
average precision is computed again with any weights of the images, as its `accumulate` does for
weights of one: precision made monotone, read at 101 recalls, averaged over thresholds and over the
categories that have a box.
Source: Lin et al. 2014, arXiv 1405.0312; cocodataset.org/#detection-eval.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.metrics.base.over_images import Counts, Resampled
from core.records import Json

Array = np.ndarray[Any, Any]
THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10))  # of IoU
RECALLS = np.linspace(0.0, 1.0, 101)
MOST = 100  # detections of an image that count, as in COCO
FEWEST_RESAMPLES, MOST_RESAMPLES = 200, 1000
WORK = 20_000  # categories x draws of a bootstrap


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes of one image: corners (K, 4) left, top, right, bottom; scores (K,); classes (K,)."""

    corners: Array
    scores: Array
    classes: Array

    def above(self, score: float) -> Detections:
        """Those that the model is at least so sure of."""
        kept = self.scores >= score
        return Detections(self.corners[kept], self.scores[kept], self.classes[kept])


@dataclass(frozen=True, slots=True)
class Annotated:
    """Annotated boxes of one image, in pixels of the model's input; see `core.data.ImageBoxes`."""

    corners: Array
    classes: Array
    crowd: Array


@dataclass(frozen=True, slots=True)
class Matched:
    """The detections of one category in all images, in falling order of score.

    Attributes:
        image: (D,) the image of each.
        hit: (T, D) bool: whether it took a box, by threshold.
        ignored: (T, D) bool: neither right nor wrong, as it lies in a crowd.
        boxes: (images,) annotated boxes of the category that count.
    """

    image: Array
    hit: Array
    ignored: Array
    boxes: Array

    def average_precision(self, weights: Array, thresholds: slice) -> Array:
        """(T,) average precision where image i counts weights[i] times; NaN without a box."""
        hit, ignored = self.hit[thresholds], self.ignored[thresholds]
        boxes = float(weights @ self.boxes)
        if not boxes:
            return np.full(len(hit), np.nan)
        each = weights[self.image]
        right = np.cumsum(hit * each, axis=1)
        wrong = np.cumsum(~(hit | ignored) * each, axis=1)
        precision = right / np.maximum(right + wrong, np.finfo(np.float64).eps)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        found = np.zeros(len(hit))
        for row, recall in enumerate(right / boxes):
            places = np.searchsorted(recall, RECALLS, side="left")
            reached = places[places < len(recall)]
            found[row] = precision[row, reached].sum() / len(RECALLS)
        return found


@dataclass(frozen=True, slots=True)
class Matches:
    """What was matched, by category that has a box anywhere; and how many images there are."""

    categories: tuple[Matched, ...]
    images: int


@dataclass(frozen=True)
class MeanPrecision(Counts):
    """Mean of the average precision over categories and some of the thresholds."""

    matches: Matches
    thresholds: slice

    @property
    def images(self) -> int:
        """How many there are."""
        return self.matches.images

    @property
    def resamples(self) -> int:
        """As many draws of the images as are affordable."""
        affordable = WORK // max(1, len(self.matches.categories))
        return min(MOST_RESAMPLES, max(FEWEST_RESAMPLES, affordable))

    def weighted(self, weights: Array) -> float:
        """Percent where image i counts weights[i] times; NaN without a box."""
        found = [o.average_precision(weights, self.thresholds) for o in self.matches.categories]
        known = np.array(found).ravel()
        known = known[np.isfinite(known)]
        return 100 * float(known.mean()) if known.size else float("nan")


class MeanAveragePrecision(Resampled):
    """Boxes are matched image by image.

    Attributes:
        thresholds: of `THRESHOLDS`, over which it is the mean.
    """

    thresholds = slice(None)

    def statistics(self, predictions: Sequence[Detections], truth: BoxTruth) -> MeanPrecision:
        """Matches of each image by category and threshold."""
        return MeanPrecision(truth.matched(predictions), self.thresholds)

    def detail(self, statistics: MeanPrecision) -> Json:
        """How many categories have a box."""
        return {"categories": len(statistics.matches.categories)}


class BoxTruth:
    """Annotated boxes of every image; what was matched with them once is not matched again."""

    def __init__(self, images: Sequence[Annotated]) -> None:
        """Take the boxes; at least one of them counts."""
        self.images = tuple(images)
        self._known: list[tuple[Sequence[Detections], Matches]] = []

    def matched(self, found: Sequence[Detections]) -> Matches:
        """The matches of some detections, image by image."""
        for one, matches in self._known:
            if one is found:
                return matches
        self._known.append((found, match(found, self.images)))
        return self._known[-1][1]


def match(found: Sequence[Detections], truth: Sequence[Annotated]) -> Matches:
    """Hold detections against annotated boxes, image by image."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it reports as it goes
        given, detected = COCO(), COCO()
        given.dataset, detected.dataset = _truth_rows(truth), _found_rows(found, truth)
        given.createIndex()
        detected.createIndex()
        judge = COCOeval(given, detected, "bbox")
        judge.params.iouThrs = np.array(THRESHOLDS)
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.params.maxDets = [MOST]
        judge.evaluate()
    images = len(truth)
    results: list[Mapping[str, Any] | None] = judge.evalImgs  # category by category
    starts = range(0, len(results), images)
    return Matches(tuple(_matched(results[at : at + images]) for at in starts), images)


def _truth_rows(truth: Sequence[Annotated]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for image, one in enumerate(truth):
        for corners, number, crowd in zip(one.corners, one.classes, one.crowd, strict=True):
            rows.append(_row(len(rows), image, corners, number) | {"iscrowd": int(crowd)})
    numbers = sorted({row["category_id"] for row in rows if not row["iscrowd"]})
    return {
        "images": [{"id": image} for image in range(len(truth))],
        "annotations": rows,
        "categories": [{"id": number} for number in numbers],
    }


def _found_rows(found: Sequence[Detections], truth: Sequence[Annotated]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for image, one in enumerate(found[: len(truth)]):
        for corners, score, number in zip(one.corners, one.scores, one.classes, strict=True):
            rows.append(_row(len(rows), image, corners, number) | {"score": float(score)})
    return {"images": [], "annotations": rows, "categories": []}


def _row(number: int, image: int, corners: Array, category: int) -> dict[str, Any]:
    left, top, right, bottom = map(float, corners)
    width, height = max(0.0, right - left), max(0.0, bottom - top)
    return {
        "id": number + 1,  # 0 would read as no match
        "image_id": image,
        "category_id": int(category),
        "bbox": [left, top, width, height],
        "area": width * height,
        "iscrowd": 0,
    }


def _matched(results: Sequence[Mapping[str, Any] | None]) -> Matched:
    """Join the images of one category, where pycocotools found anything to match."""
    known = [(image, one) for image, one in enumerate(results) if one is not None]
    boxes = np.zeros(len(results))
    none = np.zeros((len(THRESHOLDS), 0), np.bool_)
    scores, images, hits, ignored = [np.zeros(0)], [np.zeros(0, np.int64)], [none], [none]
    for image, one in known:
        boxes[image] = int((np.asarray(one["gtIgnore"]) == 0).sum())
        scores.append(np.asarray(one["dtScores"], np.float64))
        images.append(np.full(len(one["dtScores"]), image))
        left_out = np.asarray(one["dtIgnore"], np.bool_).reshape(len(THRESHOLDS), -1)
        ignored.append(left_out)
        hits.append((np.asarray(one["dtMatches"]).reshape(len(THRESHOLDS), -1) > 0) & ~left_out)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return Matched(
        np.concatenate(images)[order],
        np.concatenate(hits, axis=1)[:, order],
        np.concatenate(ignored, axis=1)[:, order],
        boxes,
    )


def iou(first: Array, second: Array) -> Array:
    """(A, B) intersection over union of boxes (A, 4) and (B, 4)."""
    start = np.maximum(first[:, None, :2], second[None, :, :2])
    end = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.clip(end - start, 0, None).prod(2)
    areas = [np.clip(b[:, 2:] - b[:, :2], 0, None).prod(1) for b in (first, second)]
    union = areas[0][:, None] + areas[1][None] - both
    return np.asarray(both / np.maximum(union, np.finfo(np.float64).eps))


def kept_by_nms(found: Detections, threshold: float, most: int) -> Detections:
    """Greedy non-maximum suppression within each class, the surest first.

    Args:
        found: in any order.
        threshold: IoU above which the less sure box goes.
        most: boxes kept at most.
    """
    order = np.argsort(-found.scores, kind="stable")
    corners, classes = found.corners[order].astype(np.float64), found.classes[order]
    left, kept = np.arange(len(order)), list[int]()
    while len(left) and len(kept) < most:
        first, left = left[0], left[1:]
        kept.append(int(first))
        alike = classes[left] == classes[first]
        alike[alike] = iou(corners[first][None], corners[left[alike]])[0] > threshold
        left = left[~alike]
    chosen = order[np.array(kept, np.int64)]
    return Detections(found.corners[chosen], found.scores[chosen], found.classes[chosen])
