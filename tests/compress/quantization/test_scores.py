"""Points counted as runs count them: on labels, masks and boxes, by whoever answers."""

from __future__ import annotations

import numpy as np
import pytest

from core.compress.quantization import scores
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.scores import Scores
from core.data import Boxes, ImageBoxes, Masks
from core.metrics.base import outputs
from tests.calibration.fake_services import FakeServices
from tests.compress.quantization.nets import Random, parsed
from tests.tasks.nets import SIDE, detector, regions, segmentation, squares

CLASSES = 10


def scaled(first: float = 1.0):
    """Its outputs are its inputs, the first class's times `first`."""
    factors = np.ones(CLASSES, np.float32)
    factors[0] = first
    return parsed("g (float[N, 10] x) => (float[N, 10] y) { y = Mul(x, s) }", {"s": factors})


def labelled(count, shift=0):
    """Images that the float net is right about, or wrong by so many classes."""
    data = Random((CLASSES,), count=count)
    rows = np.concatenate([feeds["x"] for feeds in data.feeds()])
    data.annotations = (rows.argmax(1) + shift) % CLASSES
    return data, rows


def pictured(images, annotations):
    """`Services` over pixels of 0 to 255, four at a time."""
    pixels = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
    data = FakeServices([{"x": pixels[at : at + 4]} for at in range(0, len(pixels), 4)])
    data.annotations = annotations
    return data


def masked(count=24):
    images, masks = regions(count)
    return pictured(images, Masks(lambda index: masks[index], count))


def boxed(count=24):
    images, found = squares(count)
    boxes = tuple(
        ImageBoxes(
            (SIDE, SIDE),
            np.array([(left, top, left + side, top + side) for _, left, top, side in one], float),
            np.array([kind for kind, *_ in one]),
            np.zeros(len(one), bool),
        )
        for one in found
    )
    return pictured(images, Boxes(boxes, (0, 1)))


def scores_of(graph, data, backend=None):
    return Scores(graph, CalibrationSplit(data), backend)


class Backwards:
    """A backend whose every answer is wrong."""

    label = "Backwards"

    def __call__(self, graph, feeds):
        return [{"y": -feed["x"]} for feed in feeds]

    def close(self):
        """Nothing to close."""


def test_what_is_lost_is_the_share_of_answers_that_turn_wrong():
    data, x = labelled(256)
    counted = scores_of(scaled(), data)
    assert (counted.images, counted.uncounted, counted.short) == (256, "", "top-1")
    assert counted.lost(scaled()) == 0
    x[:, 0] *= 4
    assert counted.lost(scaled(4.0)) == pytest.approx(
        100 * np.mean(x.argmax(1) != data.annotations)
    )


def test_the_answers_are_the_backends():
    data, _ = labelled(128)
    assert scores_of(scaled(), data, Backwards()).lost(scaled()) == 100


@pytest.mark.parametrize("shift", [1, 5, CLASSES * 10])
def test_labels_of_other_classes_do_not_count(shift: int):
    data, _ = labelled(256, shift % CLASSES)
    data.annotations = data.annotations + (CLASSES if shift > CLASSES else 0)  # beyond the outputs
    assert scores_of(scaled(), data).uncounted == "by chance"


def test_many_images_are_thinned_over_the_whole_set(monkeypatch):
    monkeypatch.setattr(scores, "LARGEST_IMAGES", 64)
    data, _ = labelled(256)
    counted = scores_of(scaled(), data)
    assert counted.images == 64
    assert counted.lost(scaled()) == 0
    assert counted.uncounted == "few"


def test_maps_of_classes_are_scored_by_their_pixels():
    """The ground wins where it should not: the first class of the image says nothing of that."""
    counted = scores_of(segmentation(), masked())
    assert (counted.images, counted.uncounted, counted.short) == (24, "", "mIoU")
    assert counted.lost(segmentation()) == 0
    assert counted.lost(segmentation(spoiled=0.4)) == 0  # of a margin of 0.5
    ground = np.mean(regions(24)[1] == 0)  # which is all that is left: one class of four
    assert counted.lost(segmentation(spoiled=0.6)) == pytest.approx(100 - 25 * ground)


def test_boxes_are_scored_by_where_they_are():
    counted = scores_of(detector(), boxed())
    assert (counted.images, counted.uncounted, counted.short) == (24, "", "mAP")
    assert counted.lost(detector()) == 0
    moved = [counted.lost(detector(shift)) for shift in (1.0, 3.0)]
    assert 5 < moved[0] < moved[1]


@pytest.mark.parametrize(("net", "data", "other", "short"), [
    (segmentation, masked, segmentation(spoiled=0.6), "pixel agreement"),
    (detector, boxed, detector(9.0), "box agreement"),
])  # fmt: skip
def test_without_annotations_what_changes_is_lost(net, data, other, short):
    bare = data()
    bare.annotations = None
    counted = scores_of(net(), bare)
    assert (counted.uncounted, counted.short, counted.counts_points) == ("no labels", short, True)
    assert counted.lost(net()) == 0
    assert counted.lost(other) > 10


def test_memory_is_bounded_by_keeping_fewer_images(monkeypatch):
    monkeypatch.setattr(outputs, "MAX_BYTES", 12 * 4 * 4 * SIDE * SIDE)
    counted = scores_of(segmentation(), masked())
    assert counted.images == 12
    assert counted.lost(segmentation()) == 0
    assert sum(len(feed["x"]) for feed in counted._feeds) == 12


def test_numbers_that_are_no_scores_have_no_points():
    net = parsed("g (float[N, 3, 8, 8] x) => (float[N, 3, 8, 8] y) { y = Neg(x) }", {})
    assert not scores_of(net, Random((3, 8, 8), count=32)).counts_points
