"""Apply a recipe to a copy of a graph, verify it after every step, undo the step that fails."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Sequence

from core.calibration.services import NoServices, Services
from core.errors import NotEnoughMemory, PassPrecondition
from core.passes.base import Graph, Report, build
from core.pipeline import failures, plan
from core.pipeline.growth import refuse_growth
from core.pipeline.verification import Verifier
from core.records import Recipe, Skip, Step, StepReport

log = logging.getLogger(__name__)

Work = Callable[[Graph, Report], None]
During = Callable[[Step, str, float], None]
Refused = Callable[[Step, NotEnoughMemory], None]


def apply(
    graph: Graph,
    recipe: Recipe,
    services: Services | None = None,
    progress: Callable[[Step], None] | None = None,
    during: During | None = None,
    refused: Refused | None = None,
) -> tuple[Graph, tuple[StepReport, ...]]:
    """What `recipe` makes of `graph`, and what each step did; the caller's graph stays untouched.

    A step that cannot work, fails, or leaves a broken graph is undone with its reason in its
    report, and the next one goes on from where it stood.

    Args:
        graph: the model.
        recipe: the steps, in the order in which they run.
        services: calibration data, if there is any.
        progress: called with each step before it runs.
        during: called by a step that works for long: what it does, and what share is done.
        refused: called, before the others start, with each step that needs more memory than
            there is.
    """
    data = services or NoServices()
    data.original = graph
    known = plan.refusals(graph, recipe, plan.workload(data), functools.partial(_at, graph, recipe))
    for step, reason in zip(recipe.steps, known, strict=True):
        if refused and reason and not all(known):
            refused(step, reason)
    current, reports = graph.clone(), []
    verifier = Verifier(current, data) if not all(known) else None
    for index, (step, reason) in enumerate(zip(recipe.steps, known, strict=True)):
        later = zip(recipe.steps[index + 1 :], known[index + 1 :], strict=True)
        data.integers_on = _integers_on([step for step, refusal in later if not refusal])
        if reason:
            reports.append(_undone(step, reason))
            continue
        if progress:
            progress(step)
        current, report = _step(current, step, data, verifier, during)
        reports.append(report)
    return current, tuple(reports)


def _at(graph: Graph, recipe: Recipe, index: int) -> Graph:
    """What the step of this index is given, as far as it is known without data."""
    return preview(graph, Recipe(recipe.name, recipe.steps[:index]))[0]


def _integers_on(later: Sequence[Step]) -> str:
    """The backend for whose integer kernels one of these steps writes, if any does."""
    for step in later:
        with contextlib.suppress(PassPrecondition):  # what cannot be built fails in its turn
            if name := build(step).integers_on():
                return name
    return ""


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
    services: Services,
    verifier: Verifier | None,
    during: During | None,
) -> tuple[Graph, StepReport]:
    def work(trial: Graph, report: Report) -> None:
        if during:
            report.progress = functools.partial(during, step)
        chosen = build(step)
        chosen.requires(trial)
        chosen.apply(trial, report, services)
        if verifier:
            report.notes.extend(verifier.accept(trial, exact=chosen.exact))
        refuse_growth(graph, trial, chosen)

    return _attempt(graph, step, work)


def _attempt(graph: Graph, step: Step, work: Work) -> tuple[Graph, StepReport]:
    """The graph that `work` leaves of a copy of `graph`, or `graph` itself if it fails."""
    trial, report = graph.clone(), Report()
    started = time.perf_counter()
    try:
        work(trial, report)
    except Exception as error:  # a bug of one pass must not cost the user the other steps
        seconds = time.perf_counter() - started
        return graph, _undone(step, error, tuple(report.skipped), seconds)
    seconds = time.perf_counter() - started
    return trial, StepReport(
        step, report.changed, tuple(report.skipped), tuple(report.notes), "", seconds,
        tuple(report.effects), tuple(report.cuts), warnings=tuple(report.warnings),
    )  # fmt: skip


def _undone(
    step: Step, error: Exception, skipped: tuple[Skip, ...] = (), seconds: float = 0.0
) -> StepReport:
    """The report of a step that failed."""
    known = failures.typed(error)
    if known is None:
        log.error("%s failed", step.pass_name, exc_info=error)
        reverted = (
            f"{step.pass_name} failed in a way that it should not; this is a defect of Lathe, "
            "not of the model. The step was left out."
        )
        return StepReport(step, 0, skipped, (), reverted, seconds, failure=failures.DEFECT)
    reverted = known.message if known.remedy in known.message else known.reason
    return StepReport(step, 0, skipped, (), reverted, seconds, failure=known.code)
