"""Scores over images: a share of images, or what the images drawn anew make of their counts.

A score of exactly 0 or 100 % stays what it is however the images are drawn. It then has Wilson's
bound, as if each image were wholly right or wholly wrong: an event that none of n images shows may
still have a rate of up to about 3 / n.
Source: Hanley and Lippman-Hand 1983, Journal of the American Medical Association 249 (the rule of
three); Wilson 1927.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from core.metrics.base.intervals import (
    RESAMPLES,
    Interval,
    Weights,
    bootstrap,
    paired_difference,
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


class Resampled:
    """No mean over images: its interval draws the images anew."""

    def weighted(self, statistics: Any, weights: Weights) -> float:
        """Percent where image i counts weights[i] times; NaN where it cannot be said."""
        raise NotImplementedError

    def images(self, statistics: Any) -> int:
        """How many there are."""
        raise NotImplementedError

    def resamples(self, statistics: Any) -> int:
        """How often the images are drawn."""
        del statistics
        return RESAMPLES

    def value(self, statistics: Any) -> float:
        """Percent over all images."""
        return self.weighted(statistics, np.ones(self.images(statistics), np.int64))

    def score(self, statistics: Any) -> Interval:
        """Percent, bootstrap over images."""
        images = self.images(statistics)
        found = bootstrap(
            lambda weights: self.weighted(statistics, weights), images, self.resamples(statistics)
        )
        if found.low == found.high and found.value in BOUNDS:
            return wilson(images if found.value else 0, images)
        return found

    def difference(self, before: Any, after: Any) -> Interval:
        """Points, bootstrap over images: the same draws for both."""

        def change(weights: Weights) -> float:
            return self.weighted(after, weights) - self.weighted(before, weights)

        draws = min(self.resamples(before), self.resamples(after))
        return bootstrap(change, self.images(after), draws)


class Parts(NamedTuple):
    """What counts of each image, and what there is of it, (images,) each."""

    part: Array
    whole: Array


class RatioOfSums(Resampled):
    """Sum of the parts / sum of the wholes, over images: statistics are `Parts`."""

    def weighted(self, statistics: Parts, weights: Weights) -> float:
        """Percent; NaN where there is no whole."""
        return ratio_of_sums(statistics.part, statistics.whole, weights)

    def images(self, statistics: Parts) -> int:
        """How many there are."""
        return len(statistics.whole)

    def detail(self, statistics: Parts) -> Json:
        """Nothing further."""
        del statistics
        return {}
