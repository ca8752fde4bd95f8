"""Confidence intervals of metrics over images: one proportion, two on the same images, bootstrap.

Wilson's interval for one proportion (Wilson 1927); for the difference of two on the same images the
adjusted Wald interval (Agresti and Min 2005, Statistics in Medicine 24, section 3).
A metric that is no mean over images (mIoU, mAP) has a bootstrap over images: the images are drawn
anew, the metric is computed again from what was counted of each. Of two files on the same images
the same draws serve for both, so that what an image is worth to both of them cancels out. The
percentiles are corrected for bias, as images that are drawn twice make mAP larger than it is.
Of n images n - 1 are drawn, which makes up for the variance that drawing all n understates (Rao and
Wu 1988, Journal of the American Statistical Association 83, section 2).
Approximate: it says nothing of images unlike these, and a change that no image shows has no width
(a score of exactly 0 or 100 % has one: `over_images`).
Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 14.3 (with a = 0).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Weights = NDArray[np.int64]
Z95 = 1.959963984540054
RESAMPLES = 1000


class Interval(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Of the interval, relative to the value."""
        return (self.high - self.low) / abs(self.value) if self.value else math.inf


def wilson(hits: int, count: int) -> Interval:
    """A proportion with Wilson's 95 % interval, all in percent."""
    p, z2 = hits / count, Z95**2
    centre = (p + z2 / (2 * count)) / (1 + z2 / count)
    spread = Z95 * math.sqrt(p * (1 - p) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    low, high = max(0.0, centre - spread), min(1.0, centre + spread)
    return Interval(100 * p, 100 * min(low, p), 100 * max(high, p))


def paired_difference(won: int, lost: int, count: int) -> Interval:
    """Change of a proportion on the same images, in points.

    Args:
        won: images that only the candidate has right.
        lost: images that only the baseline has right.
        count: images.
    """
    more_won, more_lost, more = won + 0.5, lost + 0.5, count + 2
    centre = (more_won - more_lost) / more
    spread = more_won + more_lost - (more_won - more_lost) ** 2 / more
    half = Z95 * math.sqrt(spread) / more
    value = (won - lost) / count
    low, high = min(centre - half, value), max(centre + half, value)
    return Interval(100 * value, 100 * max(-1.0, low), 100 * min(1.0, high))


def drawn(count: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Weights]:
    """How often each image counts, in one draw of the images after the other.

    Args:
        count: images.
        resamples: draws.
        seed: the same for both sides of a difference, and so the draws.
    """
    rng = np.random.default_rng(seed)
    most = max(1, count - 1)
    for _ in range(resamples):
        yield np.bincount(rng.integers(count, size=most), minlength=count)


def percentile(value: float, draws: Floats) -> Interval:
    """A value with the bias-corrected percentile interval of its draws.

    Args:
        value: over all images.
        draws: the same over the images of each draw; NaN where it cannot be said.
    """
    found = draws[np.isfinite(draws)]
    if not len(found):
        return Interval(value, value, value)
    low, high = np.quantile(found, _levels(found, value))
    return Interval(value, min(float(low), value), max(float(high), value))


def _levels(found: Floats, value: float) -> tuple[float, float]:
    """Which percentiles bound the interval: 2.5 and 97.5 % where the draws lie about the value."""
    normal = NormalDist()
    below = float(np.mean(found < value) + np.mean(found == value) / 2)
    edge = 1 / (len(found) + 1)
    bias = 2 * normal.inv_cdf(min(max(below, edge), 1 - edge))
    return normal.cdf(bias - Z95), normal.cdf(bias + Z95)


def ratio_of_sums(part: Floats, whole: Floats, weights: Weights) -> float:
    """100 · Σ part / Σ whole over weighted images; NaN where there is no whole."""
    total = float(whole @ weights)
    return 100 * float(part @ weights) / total if total else math.nan
