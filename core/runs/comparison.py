"""Comparison of model files in this process: every unit of the plan, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.data import open_set
from core.measure import Source
from core.records import ExperimentSpec, Json, Measurement, ModelSummary
from core.runs.home import Home
from core.runs.plan import Comparison


def compare(
    home: Home,
    models: Sequence[tuple[str, ModelSummary]],
    asked: ExperimentSpec,
    tell: Callable[[str], None],
) -> tuple[Measurement, ...]:
    """Size, accuracy and latency of models side by side; nothing is kept.

    Args:
        home: where the images and the caches lie.
        models: under their names; the first is the baseline, its preprocessing feeds all.
        asked: backends, threads, evaluation images and budget; what it says of recipes is unused.
        tell: hears what is measured next.

    Returns:
        The last row of every question: those of one that is measured on tighten.
    """
    path = home.data_path(asked.evaluation)
    comparison = Comparison(
        models=tuple(models),
        backends=asked.backends,
        threads=asked.threads,
        source=Source(path, asked.evaluation, models[0][1].preprocess, asked.images),
        annotations=open_set(path).annotations if path else None,
        caches=home.caches,
        budget_s=asked.latency_budget_s,
        cancelled=lambda: False,
        device=asked.device,
    )
    found: dict[tuple[object, ...], Measurement] = {}

    def keep(rows: Sequence[Measurement]) -> None:
        for row in rows:
            condition = tuple(sorted(row.condition.items()))
            found[row.candidate, row.backend, row.metric, condition] = row

    for unit in comparison.units():
        tell(unit.label)
        unit.run(keep, _unheard)
    return tuple(found.values())


def _unheard(_: Json) -> None:
    """Nobody listens to the progress within a unit."""
