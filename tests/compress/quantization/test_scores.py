"""Points counted on labels: as many as answers change, by whoever answers."""

from __future__ import annotations

import numpy as np
import pytest

from core.compress.quantization import scores
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.scores import Scores
from tests.compress.quantization.nets import Random, parsed

CLASSES = 10


def scaled(first: float = 1.0):
    """Its outputs are its inputs, the first class's times `first`."""
    factors = np.ones(CLASSES, np.float32)
    factors[0] = first
    return parsed("g (float[N, 10] x) => (float[N, 10] y) { y = Mul(x, s) }", {"s": factors})


def truth(data):
    return np.concatenate([feeds["x"] for feeds in data.feeds()]).argmax(1)


class Backwards:
    """A backend whose every answer is wrong."""

    label = "Backwards"

    def __call__(self, graph, feeds):
        return [{"y": -feed["x"]} for feed in feeds]

    def close(self):
        """Nothing to close."""


def test_what_is_lost_is_the_share_of_answers_that_turn_wrong():
    data = Random((CLASSES,), count=256)
    labels = truth(data)
    counted = Scores(scaled(), CalibrationSplit(data), labels, None)
    assert counted.images == 256
    assert counted.count
    assert counted.lost(scaled()) == 0
    x = np.concatenate([feeds["x"] for feeds in data.feeds()])
    x[:, 0] *= 4
    assert counted.lost(scaled(4.0)) == pytest.approx(100 * np.mean(x.argmax(1) != labels))


def test_the_answers_are_the_backends():
    data = Random((CLASSES,), count=128)
    assert Scores(scaled(), CalibrationSplit(data), truth(data), Backwards()).lost(scaled()) == 100


def test_labels_of_other_classes_do_not_count():
    data = Random((CLASSES,), count=256)
    assert not Scores(scaled(), CalibrationSplit(data), (truth(data) + 1) % CLASSES, None).count


def test_many_images_are_thinned_over_the_whole_set(monkeypatch):
    monkeypatch.setattr(scores, "LARGEST_IMAGES", 64)
    data = Random((CLASSES,), count=256)
    counted = Scores(scaled(), CalibrationSplit(data), truth(data), None)
    assert counted.images == 64
    assert counted.lost(scaled()) == 0
    assert not counted.count
