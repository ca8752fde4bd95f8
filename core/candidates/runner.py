"""Apply a recipe to a copy of a graph, verify it after every step, undo the step that fails."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable

from core.candidates.growth import refuse_growth
from core.candidates.verification import Verifier
from core.errors import CoreError, PassError
from core.passes.base import Graph, NoStatistics, Report, Statistics, build
from core.records import Recipe, Step, StepReport

log = logging.getLogger(__name__)

Work = Callable[[Graph, Report], None]
During = Callable[[Step, str, float], None]


def apply(
    graph: Graph,
    recipe: Recipe,
    statistics: Statistics | None = None,
    progress: Callable[[Step], None] | None = None,
    during: During | None = None,
) -> tuple[Graph, tuple[StepReport, ...]]:
    """What `recipe` makes of `graph`, and what each step did; the caller's graph stays untouched.

    A step that cannot work, fails, or leaves a broken graph is undone with its reason in its
    report, and the next one goes on from where it stood.

    Args:
        graph: the model.
        recipe: the steps, in the order in which they run.
        statistics: calibration data, if there is any.
        progress: called with each step before it runs.
        during: called by a step that works for long: what it does, and what share is done.
    """
    data = statistics or NoStatistics()
    data.original = graph
    current, reports = graph.clone(), []
    verifier = Verifier(current, data) if recipe.steps else None
    for step in recipe.steps:
        if progress:
            progress(step)
        current, report = _step(current, step, data, verifier, during)
        reports.append(report)
    return current, tuple(reports)


def preview(graph: Graph, recipe: Recipe) -> tuple[Graph, tuple[StepReport, ...], bool]:
    """What `recipe` makes of the sizes and costs of `graph`, at once: nothing is run or verified.

    Returns:
        A graph to count on, never to run; what each step did; whether the counts are exact (a step
        that needs data to know them is left out otherwise).
    """
    current, reports, exact = graph.clone(), [], True
    for step in recipe.steps:
        known = [True]

        def work(
            trial: Graph, report: Report, step: Step = step, known: list[bool] = known
        ) -> None:
            chosen = build(step)
            chosen.requires(trial)
            known[0] = chosen.preview(trial, report)

        current, report = _attempt(current, step, work)
        exact = exact and known[0]
        reports.append(report)
    return current, tuple(reports), exact


def _step(
    graph: Graph,
    step: Step,
    statistics: Statistics,
    verifier: Verifier | None,
    during: During | None,
) -> tuple[Graph, StepReport]:
    def work(trial: Graph, report: Report) -> None:
        if during:
            report.progress = functools.partial(during, step)
        chosen = build(step)
        chosen.requires(trial)
        chosen.apply(trial, report, statistics)
        if verifier:
            report.notes.extend(verifier.accept(trial, exact=chosen.exact))
        refuse_growth(graph, trial, chosen)

    return _attempt(graph, step, work)


def _attempt(graph: Graph, step: Step, work: Work) -> tuple[Graph, StepReport]:
    """The graph that `work` leaves of a copy of `graph`, or `graph` itself if it fails."""
    trial, report, reverted = graph.clone(), Report(), ""
    started = time.perf_counter()
    try:
        work(trial, report)
    except PassError as error:
        reverted = error.message
    except CoreError as error:
        reverted = f"{error.code}: {error.message}"
    except MemoryError:
        raise
    except Exception as error:  # a bug of one pass must not cost the user the other steps
        log.exception("%s failed", step.pass_name)
        reverted = (
            f"{step.pass_name} failed with {type(error).__name__}; this is a defect of Lathe, "
            "not of the model. The step was left out."
        )
    seconds = time.perf_counter() - started
    if reverted:
        return graph, StepReport(step, 0, tuple(report.skipped), (), reverted, seconds)
    return trial, StepReport(
        step, report.changed, tuple(report.skipped), tuple(report.notes), "", seconds,
        tuple(report.effects), tuple(report.cuts),
    )  # fmt: skip
