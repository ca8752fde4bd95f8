"""Loss of accuracy: what a candidate loses against the original, and by which metric that is known.

On annotated images the loss is that of the primary metric (top-1, mIoU, mAP). Without annotations
it is the share of changed answers, pixels or boxes; top-1 cannot have lost more than of answers.
What was not measured is unknown, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.backends.base import reference
from core.metrics.base import DELTA, catalogue
from core.records import Measurement, Run
from core.records.standing import Standing, baseline, measured
from core.tasks.base import primary_metric

MOST_CHANGED = 1.0  # percent of answers that may change where no label says whether it matters


@dataclass(frozen=True, slots=True)
class Deciding:
    """The metric that decides what a recipe costs.

    Attributes:
        gain: of a candidate itself; the larger the better.
        loss: from which its loss against the original follows.
        whole: value of `loss` for the original itself; None where no points follow from it (SQNR).
        is_relative: whether it compares with the original, for want of annotations.
    """

    gain: str
    loss: str
    whole: float | None
    is_relative: bool


@dataclass(frozen=True, slots=True)
class Loss:
    """What a candidate loses against the original, with its 95 % interval.

    Attributes:
        points: of the primary metric, or percent of changed answers; negative where it gains.
        low, high: the interval.
        metric: what it was made from: "top1_delta", or "agreement".
    """

    points: float
    low: float
    high: float
    metric: str

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves no doubt of a loss."""
        return self.low > (MOST_CHANGED if self.is_relative else 0.0)

    @property
    def is_relative(self) -> bool:
        """Whether it is counted in changed answers, pixels or boxes, for want of annotations."""
        return not self.metric.endswith(DELTA)


def deciding(rows: Standing) -> Deciding:
    """What decides in a run: its primary metric, by the paired change where that is a row."""
    name = primary_metric(rows)
    about = catalogue()[name]
    if about.paired:
        return Deciding(name, name + DELTA, 0.0, about.relative)
    return Deciding(name, name, 100.0 if about.unit == "%" else None, about.relative)


def loss(
    run: Run, rows: Standing, candidate: str, backend: str, how: Deciding | None = None
) -> Loss | None:
    """What a candidate loses on one backend; None where nothing says it.

    Args:
        run: with or without numbers yet.
        rows: of the run.
        candidate: digest.
        backend: where it ran.
        how: `deciding(rows)`, which reads every row, for who asks for many candidates.
    """
    base, how = baseline(run), how or deciding(rows)
    if base is not None and base.digest == candidate:
        return Loss(0.0, 0.0, 0.0, how.loss)
    row = rows.row(candidate, how.loss, backend)
    value = measured(row)
    if row is None or value is None or how.whole is None:
        return None
    low = value if row.low is None else row.low
    high = value if row.high is None else row.high
    points, least, most = (0.0 + how.whole - bound for bound in (value, high, low))
    return Loss(points, least, most, how.loss)


def standing_for(
    rows: Standing, candidate: str, metric: str, backends: Sequence[str]
) -> Measurement | None:
    """The row that stands for all backends: the reference's, else the first that was measured."""
    ordered = sorted(backends, key=lambda name: name != reference())
    found = (rows.row(candidate, metric, backend) for backend in ordered)
    return next((row for row in found if row is not None and measured(row) is not None), None)
