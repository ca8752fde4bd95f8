"""A metric of outputs: what is counted of each image, its score, its interval, its difference.

`statistics` keeps of each image what the metric can be computed from again (hits, intersections,
matched boxes), so that an interval may draw the images anew; `score` makes the number of them;
`difference` pairs two files on the same images.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from core.catalogue import discover
from core.metrics.base.intervals import Interval
from core.records import Better, Json, Metric

DELTA = "_delta"


@runtime_checkable
class OutputMetric(Protocol):
    """One file of this package, which ends in an object `METRIC` of this form.

    Attributes:
        unit: as printed: "%", "dB".
        better: which way it improves.
        label: what a person calls it in a table.
        short: the same in a word or two, for tiles and axes: "top-1", "mIoU".
        gives: what it is, in a few words for the manual (Markdown).
        comparatives: what a change is called, downwards and upwards: "lower mIoU", "higher mIoU".
        relative: whether it compares with the original's outputs instead of with annotations.
        phrase: of a relative one, what it says with its value: "same answer as the original on {}
            of images".
        paired: whether its change against the original is a row of its own, `NAME_delta` in points.
        fewest: images below which its interval says little.
    """

    unit: str
    better: Better
    label: str
    short: str
    gives: str
    comparatives: tuple[str, str]
    relative: bool
    phrase: str
    paired: bool
    fewest: int

    def statistics(self, predictions: Any, truth: Any) -> Any:
        """What is counted of each image; None where the metric does not apply.

        Args:
            predictions: as the task decodes them.
            truth: annotations in the task's form, or the original's predictions.
        """
        ...

    def value(self, statistics: Any) -> float:
        """The metric over all images, in its unit."""
        ...

    def score(self, statistics: Any) -> Interval:
        """The metric over all images with its 95 % interval, in its unit."""
        ...

    def difference(self, before: Any, after: Any) -> Interval:
        """Its change on the same images, paired, with its 95 % interval, in points."""
        ...

    def detail(self, statistics: Any) -> Json:
        """Further facts of the row: which images changed."""
        ...


@functools.cache
def catalogue() -> Mapping[str, OutputMetric]:
    """Every metric of outputs by its name."""
    return discover("core.metrics", "METRIC")


def ordered() -> tuple[str, ...]:
    """Their names: those against annotations first, SQNR last."""
    known = catalogue()
    return tuple(sorted(known, key=lambda name: (known[name].relative, known[name].unit, name)))


@functools.cache
def definitions() -> Mapping[str, Metric]:
    """Name, unit and direction of every metric here, and of the differences that are rows."""
    found = {}
    for name, metric in catalogue().items():
        found[name] = Metric(name, metric.unit, metric.better)
        if metric.paired:
            found[name + DELTA] = Metric(name + DELTA, "points", metric.better)
    return found
