"""Scores over images: the value by hand, the interval, and its width where nothing varies."""

from __future__ import annotations

import numpy as np
import pytest

from core.metrics.base.intervals import paired_difference, wilson
from core.metrics.base.over_images import Counts, Parts, Resampled, ShareOfImages

HITS = np.array([True, True, False, True])
WHOLE = np.full(20, 10.0)


def parts(*shares: float) -> Parts:
    return Parts(np.resize(np.array(shares), 20) * WHOLE, WHOLE)


def test_a_share_of_images_by_hand():
    share = ShareOfImages()
    assert share.value(HITS) == 75
    assert share.score(HITS) == wilson(3, 4)
    assert share.difference(HITS, ~HITS) == paired_difference(1, 3, 4)


def test_a_ratio_of_sums_has_the_interval_of_its_draws():
    ratio = Resampled()
    found = ratio.score(parts(0.5, 0.7))
    assert ratio.value(parts(0.5, 0.7)) == pytest.approx(60)
    assert 55 < found.low < found.value < found.high < 65
    change = ratio.difference(parts(0.5, 0.7), parts(0.4, 0.7))
    assert change.value == pytest.approx(-5)
    assert change.low < change.value < change.high < 0


@pytest.mark.parametrize(("share", "low", "high"), [(1.0, 83, 100), (0.0, 0, 17)])
def test_a_score_at_a_bound_is_no_surer_than_its_images_make_it(share, low, high):
    """About 3 / n, as the rule of three says: images of another kind may be among the next."""
    found = Resampled().score(parts(share))
    assert found == wilson(20 if share else 0, 20)
    assert (found.low, found.high) == (pytest.approx(low, abs=1.1), pytest.approx(high, abs=1.1))


def test_a_score_between_the_bounds_that_does_not_vary_keeps_its_width():
    found = Resampled().score(parts(0.5))
    assert found.low == found.high == found.value == 50


def test_the_draws_are_as_many_as_are_affordable_and_made_once():
    class Counting(Counts):
        def __init__(self, resamples: int) -> None:
            self.calls, self.most = 0, resamples

        @property
        def images(self) -> int:
            return 5

        @property
        def resamples(self) -> int:
            return self.most

        def weighted(self, weights) -> float:
            self.calls += 1
            return float(weights @ np.arange(5))

    many, few, metric = Counting(30), Counting(20), Resampled()
    assert metric.score(many) == metric.score(many)
    assert metric.difference(many, few) == (0, 0, 0)
    assert (many.calls, few.calls) == (31, 21)
