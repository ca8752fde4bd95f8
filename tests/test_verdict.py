"""One verdict of "faster": samples that were recorded get the words that they got before."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from core.compress.quantization.mixed_precision.timing_ratio import Lap
from core.compress.quantization.mixed_precision.timing_ratio import ratio as raced
from core.measure.statistics import ratio as paired
from core.verdict import is_drop, is_surely_faster, may_be_faster, verdict

RECORDED = json.loads((Path(__file__).parent / "measure" / "recorded_verdicts.json").read_text())


class Ratio(NamedTuple):
    value: float
    low: float
    high: float


@pytest.mark.parametrize("row", RECORDED)
def test_the_same_samples_get_the_same_verdict(row):
    assert verdict(paired(row["pairs"])).value == row["verdict"]
    base = Lap(tuple(ns for first, _ in row["pairs"] for ns in first))
    other = Lap(tuple(ns for _, second in row["pairs"] for ns in second))
    found = raced(other, base)
    assert found.faster == is_surely_faster(found) == row["surely_faster"]
    assert may_be_faster(found) == row["open"]


def test_every_word_is_among_what_was_recorded():
    assert {row["verdict"] for row in RECORDED} == {"faster", "slower", "same", "not enough data"}
    assert {row["surely_faster"] for row in RECORDED} == {row["open"] for row in RECORDED}


def test_what_is_surely_faster_is_faster():
    places = [0.5, 0.98, 0.989, 0.99, 0.9901, 0.999, 1.0, 1.01, 1.2]
    for low, value, high in itertools.combinations_with_replacement(places, 3):
        if is_surely_faster(found := Ratio(value, low, high)):
            assert verdict(found).value == "faster"
            assert not may_be_faster(found)


@pytest.mark.parametrize(
    ("drop", "noise", "word"), [(0.02, 0.0, True), (0.02, 0.02, False), (0.01, 0.0, False)]
)
def test_a_sum_falls_by_more_than_its_noise_and_by_more_than_a_percent(drop, noise, word):
    assert is_drop(drop, noise, 1.0) is word
