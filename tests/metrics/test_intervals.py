"""The bootstrap over images holds the truth about as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from core.metrics.base.intervals import Interval, drawn, percentile, ratio_of_sums


def bootstrap(measure, count: int, resamples: int = 1000) -> Interval:
    draws = np.array([measure(weights) for weights in drawn(count, resamples)])
    return percentile(measure(np.ones(count, np.int64)), draws)


def test_a_ratio_of_sums_by_hand():
    part, whole = np.array([1.0, 3.0]), np.array([2.0, 4.0])
    assert ratio_of_sums(part, whole, np.array([1, 1])) == pytest.approx(100 * 4 / 6)
    assert ratio_of_sums(part, whole, np.array([2, 0])) == pytest.approx(50)
    assert np.isnan(ratio_of_sums(part, np.zeros(2), np.array([1, 1])))


def test_it_covers_the_mean_of_many_images():
    random, covered, rounds = np.random.default_rng(0), 0, 200
    for _ in range(rounds):
        shares = random.beta(8, 2, 60)
        interval = bootstrap(lambda w, d=shares: ratio_of_sums(d, np.ones(60), w), 60, 300)
        covered += interval.low <= 80 <= interval.high
    assert covered / rounds > 0.88


def test_it_is_the_same_each_time_and_contains_the_value():
    values = np.random.default_rng(0).random(20)
    first, second = (
        bootstrap(lambda w: ratio_of_sums(values, np.ones(20), w), 20) for _ in range(2)
    )
    assert first == second
    assert first.low < first.value < first.high


def test_what_cannot_be_drawn_has_no_width():
    assert bootstrap(lambda w: 50.0 if w.all() else float("nan"), 2) == (50, 50, 50)
