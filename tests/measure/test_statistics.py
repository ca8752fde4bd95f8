"""Intervals cover what they promise and verdicts hold, by simulation with a fixed seed."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from core.measure.latency import PAIRS_MOST, PAIRS_NEEDED
from core.measure.statistics import median, ratio
from core.metrics.base.intervals import Interval, paired_difference, wilson
from core.records import Verdict
from core.verdict import is_narrow, verdict

Pairs = list[tuple[np.ndarray, np.ndarray]]


def sessions(random: np.random.Generator, effect: float, pairs: int, layout: float) -> Pairs:
    """Block minima as a busy machine gives them; B takes 1 + `effect` times as long as A.

    Each fresh pair of sessions draws its memory layout (which shifts all its blocks); the machine
    drifts from block to block; noise only ever adds time, now and then a lot.
    """
    found = []
    for _ in range(pairs):
        typical = 1 + layout * random.normal(size=2)
        drift = 1 + 0.05 * np.abs(random.normal(size=(15, 1)))
        sides = []
        for middle in typical * [1, 1 + effect]:
            jitter = 0.02 * random.exponential(size=(15, 8))
            spikes = (random.random((15, 8)) < 0.1) * random.exponential(0.5, size=(15, 8))
            sides.append((middle * drift * (1 + jitter + spikes)).min(axis=1))
        found.append((sides[0], sides[1]))
    return found


def answers(effect: float, layout: float, count: int = 100) -> Counter[Verdict]:
    """Verdicts of whole comparisons: pairs are added until the interval is narrow enough."""
    random, found = np.random.default_rng(11), Counter()
    for _ in range(count):
        pairs: Pairs = []
        while len(pairs) < PAIRS_MOST:
            pairs += sessions(random, effect, 1, layout)
            enough = len(pairs) >= PAIRS_NEEDED
            if enough and is_narrow(ratio(pairs)):
                break
        found[verdict(ratio(pairs))] += 1
    return found


@pytest.mark.parametrize("layout", [0.002, 0.006])
def test_a_model_against_itself_is_called_the_same(layout: float):
    found = answers(0.0, layout)
    assert found[Verdict.FASTER] + found[Verdict.SLOWER] <= 5


@pytest.mark.parametrize("layout", [0.002, 0.006])
@pytest.mark.parametrize(("effect", "word"), [(0.03, Verdict.SLOWER), (-0.03, Verdict.FASTER)])
def test_three_percent_are_found(effect: float, word: Verdict, layout: float):
    assert answers(effect, layout)[word] >= 90


def test_noise_that_drowns_the_answer_is_not_called_the_same():
    random = np.random.default_rng(0)
    pairs = [tuple(np.exp(random.normal(0, 0.3, (2, 5)))) for _ in range(3)]
    assert verdict(ratio(pairs)) is Verdict.NOT_ENOUGH_DATA


def test_the_interval_of_a_ratio_covers_the_truth():
    random, hits = np.random.default_rng(5), 0
    for _ in range(120):
        interval = ratio(sessions(random, 0.1, PAIRS_MOST, 0.004))
        hits += interval.low <= 1.1 <= interval.high
    assert hits >= 108  # a bootstrap over a dozen sessions covers a little less than it says


def test_the_interval_of_a_median_covers_the_truth():
    random, hits = np.random.default_rng(5), 0
    for _ in range(120):
        interval = median([random.exponential(size=40) for _ in range(5)])
        hits += interval.low <= math.log(2) <= interval.high
    assert hits >= 112


def test_a_ratio_is_exact_where_there_is_no_noise():
    interval = ratio([([2.0] * 5, [3.0] * 5)] * 3)
    assert interval == pytest.approx((1.5, 1.5, 1.5))
    assert interval.width == pytest.approx(0)


def test_a_ratio_and_its_inverse_agree():
    pairs = sessions(np.random.default_rng(1), 0.2, 4, 0.004)
    one, other = ratio(pairs), ratio([(b, a) for a, b in pairs])
    assert other.value == pytest.approx(1 / one.value)
    assert other.low == pytest.approx(1 / one.high, rel=1e-3)


def test_the_same_samples_give_the_same_interval():
    pairs = sessions(np.random.default_rng(1), 0.0, 3, 0.004)
    assert ratio(pairs) == ratio(pairs)


def test_sessions_of_unequal_length_count_with_all_of_their_blocks():
    assert median([[1.0] * 3, [1.0] * 7, [1.0] * 5]) == (1.0, 1.0, 1.0)
    late = median([[1.0] * 3, [1.0] * 3 + [2.0] * 60, [1.0] * 3 + [2.0] * 60])
    assert (late.value, late.high) == (2.0, 2.0)  # what came after the third block is drawn too


@pytest.mark.parametrize("seed", range(20))
def test_the_value_lies_in_its_interval(seed: int):
    random = np.random.default_rng(seed)
    groups = [random.exponential(size=random.integers(1, 30)) + random.random() for _ in range(3)]
    for interval in (median(groups), ratio([(group, group[::-1]) for group in groups])):
        assert interval.low <= interval.value <= interval.high


@pytest.mark.parametrize(
    ("value", "low", "high", "word"),
    [
        (0.50, 0.49, 0.51, Verdict.FASTER),
        (0.99, 0.985, 0.995, Verdict.FASTER),
        (0.992, 0.991, 0.993, Verdict.SAME),  # real, but less than one percent
        (1.0, 0.99, 1.01, Verdict.SAME),
        (1.0, 0.98, 1.02, Verdict.NOT_ENOUGH_DATA),
        (0.97, 0.90, 1.01, Verdict.NOT_ENOUGH_DATA),
        (1.02, 1.001, 1.04, Verdict.SLOWER),
        (1.008, 1.001, 1.015, Verdict.SAME),
    ],
)
def test_verdicts(value: float, low: float, high: float, word: Verdict):
    assert verdict(Interval(value, low, high)) is word
    assert verdict(Interval(value, low, high), False) is Verdict.NOT_ENOUGH_DATA


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 10, 0.0, 27.75), (5, 10, 23.66, 76.34), (10, 10, 72.25, 100.0), (81, 263, 25.53, 36.62)],
)
def test_wilson_against_published_values(hits: int, count: int, low: float, high: float):
    """The last is Newcombe's example (1998, Statistics in Medicine 17, table I)."""
    interval = wilson(hits, count)
    assert interval.value == pytest.approx(100 * hits / count)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.01)


@pytest.mark.parametrize("truth", [0.5, 0.9, 0.97])
def test_wilson_covers_the_truth(truth: float):
    random = np.random.default_rng(2)
    found = [wilson(int(hits), 300) for hits in random.binomial(300, truth, 2000)]
    covered = np.mean([i.low <= 100 * truth <= i.high for i in found])
    assert 0.93 <= covered <= 0.98


@pytest.mark.parametrize(("won", "lost"), [(0.02, 0.02), (0.01, 0.05), (0.2, 0.1), (0.002, 0.004)])
def test_the_paired_difference_covers_the_truth(won: float, lost: float):
    random = np.random.default_rng(3)
    drawn = random.multinomial(1000, [won, lost, 1 - won - lost], 2000)
    found = [paired_difference(int(a), int(b), 1000) for a, b, _ in drawn]
    covered = np.mean([i.low <= 100 * (won - lost) <= i.high for i in found])
    assert 0.93 <= covered <= 0.99


@pytest.mark.parametrize(("won", "lost", "count"), [(3, 10, 500), (0, 0, 100), (5, 5, 10)])
def test_the_paired_difference_is_signed(won: int, lost: int, count: int):
    one, other = paired_difference(won, lost, count), paired_difference(lost, won, count)
    assert one.value == pytest.approx(100 * (won - lost) / count)
    assert one == pytest.approx((-other.value, -other.high, -other.low))
    assert one.low < one.high
    assert one.low <= one.value <= one.high


def test_more_images_narrow_the_interval():
    widths = [paired_difference(n // 50, n // 25, n) for n in (100, 1000, 10000)]
    assert sorted((w.high - w.low for w in widths), reverse=True) == [
        w.high - w.low for w in widths
    ]
