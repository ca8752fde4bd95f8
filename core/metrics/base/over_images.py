"""Scores over images: a share of images, or what the images drawn anew make of their counts.

A score of exactly 0 or 100 % stays what it is however the images are drawn. It then has Wilson's
bound, as if each image were wholly right or wholly wrong: an event that none of n images shows may
still have a rate of up to about 3 / n.
Source: Hanley and Lippman-Hand 1983, Journal of the American Medical Association 249 (the rule of
three); Wilson 1927.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.metrics.base.intervals import (
    RESAMPLES,
    Interval,
    Weights,
    drawn,
    paired_difference,
    percentile,
    ratio_of_sums,
    wilson,
)
from core.records import Json

Array = np.ndarray[Any, Any]
BOUNDS = (0.0, 100.0)  # percent


class ShareOfImages:
    """Each image counts or does not; statistics are (images,) bool."""

    def value(self, statistics: Array) -> float:
        """Percent of the images."""
        return self.score(statistics).value

    def score(self, statistics: Array) -> Interval:
        """Percent of the images, Wilson's interval."""
        return wilson(int(statistics.sum()), len(statistics))

    def difference(self, before: Array, after: Array) -> Interval:
        """Points, by the images that count in one of both alone."""
        won, lost = int((after & ~before).sum()), int((before & ~after).sum())
        return paired_difference(won, lost, len(after))

    def detail(self, statistics: Array) -> Json:
        """Nothing further."""
        del statistics
        return {}


class Counts:
    """What was counted of each image: a metric can be computed of it for images drawn anew."""

    @property
    def images(self) -> int:
        """How many there are."""
        raise NotImplementedError

    @property
    def resamples(self) -> int:
        """How often they are drawn."""
        return RESAMPLES

    def weighted(self, weights: Weights) -> float:
        """Percent where image i counts weights[i] times; NaN where it cannot be said."""
        raise NotImplementedError

    @functools.cached_property
    def value(self) -> float:
        """Percent over all images."""
        return self.weighted(np.ones(self.images, np.int64))

    @functools.cached_property
    def draws(self) -> Array:
        """Percent of each draw, made once: a baseline stands beside many candidates."""
        return np.array([self.weighted(one) for one in drawn(self.images, self.resamples)])


class Resampled:
    """No mean over images: its interval draws the images anew. Statistics are `Counts`."""

    def value(self, statistics: Counts) -> float:
        """Percent over all images."""
        return statistics.value

    def score(self, statistics: Counts) -> Interval:
        """Percent, bootstrap over images."""
        found, images = percentile(statistics.value, statistics.draws), statistics.images
        if found.low == found.high and found.value in BOUNDS:
            return wilson(images if found.value else 0, images)
        return found

    def difference(self, before: Counts, after: Counts) -> Interval:
        """Points, bootstrap over images: the same draws for both."""
        most = min(before.resamples, after.resamples)
        return percentile(after.value - before.value, after.draws[:most] - before.draws[:most])

    def detail(self, statistics: Any) -> Json:
        """Nothing further."""
        del statistics
        return {}


@dataclass(frozen=True)
class Parts(Counts):
    """Sum of the parts / sum of the wholes: what counts of each image, and what there is of it.

    Both are (images,).
    """

    part: Array
    whole: Array

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.whole)

    def weighted(self, weights: Weights) -> float:
        """Percent; NaN where there is no whole."""
        return ratio_of_sums(self.part, self.whole, weights)
