"""Which recipe of several answers a run: what each loses of the accuracy, and how that is known.

On annotated images the loss is that of the primary metric (top-1, mIoU, mAP). Without annotations
it is the share of changed answers, pixels or boxes; top-1 cannot have lost more than of answers.
What was not measured is unknown, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.backends.base import reference
from core.charts.standing import Standing, baseline, first_threads, measured
from core.fidelity import in_words
from core.measure import METRICS
from core.metrics.base import DELTA, catalogue
from core.records import Measurement, Outcome, Run, Verdict
from core.tasks.base import primary_metric

MOST_CHANGED = 1.0  # percent of answers that may change where no label says whether it matters


@dataclass(frozen=True, slots=True)
class Loss:
    """What a candidate loses against the original, with its 95 % interval.

    Attributes:
        points: of top-1, or percent of changed answers; negative where it gains.
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
        return self.low > (0.0 if self.metric.endswith(DELTA) else MOST_CHANGED)


def loss(run: Run, rows: Standing, candidate: str, backend: str) -> Loss | None:
    """What a candidate loses on one backend; None where nothing says it."""
    base = baseline(run)
    metric = _deciding(rows)
    if base is not None and base.digest == candidate:
        return Loss(0.0, 0.0, 0.0, metric)
    row = rows.row(candidate, metric, backend)
    value = measured(row)
    if row is None or value is None or METRICS[metric].unit == "dB":
        return None
    whole = 0.0 if metric.endswith(DELTA) else 100.0
    low = value if row.low is None else row.low
    high = value if row.high is None else row.high
    return Loss(0.0 + whole - value, 0.0 + whole - high, 0.0 + whole - low, metric)


def standing_for(run: Run, rows: Standing, candidate: str, metric: str) -> Measurement | None:
    """The row that stands for all backends: the reference's, else the first that was measured."""
    ordered = sorted(run.spec.backends, key=lambda name: name != reference())
    found = (rows.row(candidate, metric, backend) for backend in ordered)
    return next((row for row in found if row is not None and measured(row) is not None), None)


def best(run: Run) -> Outcome | None:
    """The recipe that answers the run: the fastest of those that show no loss of accuracy, if any.

    Where every one loses, it is the one that loses least. A recipe counts with the smallest
    latency ratio over the backends whose verdict is "faster".
    """
    rows, base = Standing(run), baseline(run)
    made = [o for o in run.outcomes[1:] if o.candidate is not None and o.candidate != base]
    if not made:
        return run.outcomes[-1] if len(run.outcomes) > 1 else None
    return min(made, key=lambda outcome: (*_rank(run, rows, outcome), _ratio(run, rows, outcome)))


def introduction(run: Run, outcome: Outcome) -> str:
    """What `best` made of the recipes: "Best of 2 recipes: int8", or what keeps it from that."""
    rows, count = Standing(run), len(run.spec.recipes) - 1
    name = outcome.recipe.name
    if not run.spec.evaluation:
        return f"Fastest of {count} recipes, accuracy unknown: {name}"
    rank, _ = _rank(run, rows, outcome)
    if rank == UNKNOWN:
        return f"Fastest of {count} recipes, accuracy not measured: {name}"
    if rank == LOSES:
        why = "" if _is_labelled(rows) else ", without labels by the answers that stay the same"
        return f"Each of {count} recipes loses accuracy; {name} loses least{why}"
    why = "" if _is_labelled(rows) else " by speed and by the answers that stay the same"
    return f"Best of {count} recipes{why}: {name}"


KEEPS, LOSES, UNKNOWN = range(3)


def _rank(run: Run, rows: Standing, outcome: Outcome) -> tuple[int, float]:
    """How good a recipe is before speed counts, the smaller the better; then what it loses."""
    digest = outcome.candidate.digest if outcome.candidate else ""
    if not run.spec.evaluation:
        return KEEPS, 0.0
    metric = _deciding(rows)
    row = standing_for(run, rows, digest, metric)
    lost = loss(run, rows, digest, row.backend) if row is not None else None
    if lost is not None:
        return (LOSES, lost.points) if lost.is_shown else (KEEPS, 0.0)
    signal = standing_for(run, rows, digest, "sqnr_db")  # all that a net without classes has
    if signal is None or signal.value is None:
        return UNKNOWN, 0.0
    return (LOSES, -signal.value) if in_words(signal.value) else (KEEPS, 0.0)


def _ratio(run: Run, rows: Standing, outcome: Outcome) -> float:
    digest = outcome.candidate.digest if outcome.candidate else ""
    ratios = [
        row.value
        for backend in run.spec.backends
        if (row := rows.row(digest, "latency_ratio", backend, first_threads(run))) is not None
        and row.value is not None
        and row.detail.get("verdict") == Verdict.FASTER.value
    ]
    return min(ratios, default=1.0)


def _deciding(rows: Standing) -> str:
    """The row that tells the loss: of the primary metric the paired change, or itself."""
    metric = primary_metric(rows)
    return metric + DELTA if catalogue()[metric].paired else metric


def _is_labelled(rows: Standing) -> bool:
    """Whether annotations were scored on, so that nothing need stand in for them."""
    return not catalogue()[primary_metric(rows)].relative
