"""`explore`: many recipes on many backends, and which of them are worth choosing.

The run is kept below LATHE_HOME like those of the screens: asked again, it goes on where it was
stopped, and what is measured is not measured again.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.charts.sweep import sweep_rows
from core.cli.inputs import MODEL, OWNER, add_model_options, dims_of, preprocess_of, sizes_of
from core.cli.measure import METRIC_KEYS, add_measure_options, backends_of, row_json, threads_of
from core.cli.recipe import load_recipe
from core.cli.result import PARTLY, Result, table
from core.cli.sizes import add_at_option, ignored, missing
from core.cli.telling import Teller, unscored
from core.errors import CoreError, OpenShape, PassPrecondition
from core.recipes import canonical, distinct, original
from core.records import (
    DataSummary,
    ExperimentSpec,
    Json,
    ModelSummary,
    NextStep,
    Recipe,
    Run,
    RunProgress,
    State,
    to_json,
)
from core.records.standing import Standing, first_threads, measured
from core.search.choose import Choice, Grounds, Selection, select
from core.search.constraints import Limits
from core.search.loss import deciding
from core.search.pareto import latency
from core.search.space import default_grid
from core.wording import suggested
from core.workspace import Workspace
from core.workspace.facts import DELTA, METRICS, catalogue
from core.workspace.forecasts import next_steps
from core.workspace.inputs import at, open_dims, told
from core.workspace.passes import not_applied

GOES_ON = (State.CANCELLED, State.INTERRUPTED, State.FAILED)


def add(commands: Any) -> None:
    """Register the command."""
    command = commands.add_parser("explore", help="a sweep of recipes, and the best trade-offs")
    command.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    command.add_argument(
        "--data",
        type=Path,
        metavar="DATA",
        required=True,
        help="images that accuracy is measured on",
    )
    command.add_argument(
        "--calibration", type=Path, metavar="DATA", help="images that passes learn from"
    )
    command.add_argument(
        "--recipe", type=Path, action="append", default=[], metavar="R.json",
        help="try this recipe (repeatable; default: a grid)",
    )  # fmt: skip
    command.add_argument(
        "--prune-ratios",
        default="0.2,0.4",
        metavar="R,R",
        help="shares of the channels that the grid removes (default 0.2,0.4)",
    )
    command.add_argument(
        "--max-drop",
        type=float,
        metavar="PP",
        help="percentage points of top-1, mIoU or mAP that may be lost",
    )
    command.add_argument(
        "--max-latency-ms", type=float, metavar="MS", help="longest time of a call, in milliseconds"
    )
    add_measure_options(command)
    add_model_options(command)
    add_at_option(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Measure the sweep, or what is missing of it, and name the best recipe of each backend.

    Raises:
        CoreError: bad models, data, recipes or names.
    """
    backends = backends_of(options)
    workspace = Workspace.open(limited=False)
    try:
        spec = _spec(workspace, options, backends)
        found = resumable(workspace, spec)
        runs = workspace.runs
        run = runs.work_on(found.id, watch) if found else runs.measure(spec, OWNER, watch)
    finally:
        workspace.close()
    limits = Limits(options.max_drop, options.max_latency_ms)
    chosen = [select(run, backend, limits) for backend in backends]
    if run.progress.state is State.FAILED:
        raise CoreError(run.progress.message)
    made, warnings = _missing(run)
    if not made:
        raise CoreError("No recipe made a model. " + " ".join(warnings))
    status = PARTLY if warnings else 0
    return Result(data_of(run, chosen), text_of(run, chosen), warnings, status)


def _missing(run: Run) -> tuple[bool, tuple[str, ...]]:
    """Whether a recipe made a model, and what of the recipes failed."""
    asked = run.outcomes[1:]
    lines = [f"{o.recipe.name} made no model: {o.reason}" for o in asked if o.candidate is None]
    partly = [o for o in asked if o.candidate is not None]
    lines += [f"{o.recipe.name}: {not_applied(step)}" for o in partly for step in o.failed]
    return not asked or bool(partly), tuple(lines)


def _spec(
    workspace: Workspace, options: argparse.Namespace, backends: tuple[str, ...]
) -> ExperimentSpec:
    model = kept_model(workspace, options)
    data = workspace.data.add(options.data.name, options.data, OWNER, Teller())
    unscored(model, data)
    calibration = (
        workspace.data.add(options.calibration.name, options.calibration, OWNER, Teller())
        if options.calibration
        else None
    )
    recipes = distinct(load_recipe(path) for path in options.recipe)
    recipes = recipes or default_grid(calibration is not None, _ratios(options.prune_ratios))
    return ExperimentSpec(
        title=f"{model.name}: {len(recipes)} recipes",
        model=model.digest,
        recipes=(original(), *recipes),
        backends=backends,
        threads=threads_of(options),
        calibration=calibration.digest if calibration else "",
        evaluation=data.digest,
        images=options.images,
        latency_budget_s=options.budget_s,
        device=options.device,
        dims=dims_told(model, data, options),
    )


def dims_told(
    model: ModelSummary, data: DataSummary, options: argparse.Namespace
) -> dict[str, int]:
    """The sizes at which a model is measured.

    Raises:
        OpenShape: nothing says one of them.
        InvalidModel: one that was given belongs to no dimension, or is none.
    """
    given = sizes_of("--at", options.at)
    ignored(given, [model], "--at")
    dims = told(model.inputs, model.preprocess, data, given)
    if open_dims(at(model.inputs, dims)):
        raise OpenShape(missing(model, data, given))
    return dims


def kept_model(workspace: Workspace, options: argparse.Namespace) -> ModelSummary:
    """The model of the command, admitted to stay."""
    model = workspace.models.add(options.model.name, options.model, OWNER)
    if options.freeze:
        model = workspace.models.freeze(model.digest, dims_of(options), OWNER)
    if options.preprocess:
        model = workspace.models.set_preprocess(model.digest, preprocess_of(options), OWNER)
    return model


def _ratios(text: str) -> tuple[float, ...]:
    try:
        ratios = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        ratios = (-1.0,)
    if any(not 0 < ratio < 1 for ratio in ratios):
        raise PassPrecondition(f"--prune-ratios {text}: give shares between 0 and 1, by commas.")
    return ratios


def resumable(workspace: Workspace, spec: ExperimentSpec) -> Run | None:
    """An earlier run of this question, done or stopped, whatever its recipes were called."""
    asked = _unnamed(spec)
    for run in workspace.runs.of(OWNER):
        if _unnamed(run.spec) == asked and run.progress.state in (*GOES_ON, State.DONE):
            if run.progress.state in GOES_ON:
                workspace.runs.allow(run.id)
            return run
    return None


def _unnamed(spec: ExperimentSpec) -> ExperimentSpec:
    asked = () if spec.goal is not None else spec.recipes  # those of a goal are found by the way
    recipes = tuple(Recipe("", canonical(recipe.steps)) for recipe in asked)
    return replace(spec, recipes=recipes)


def watch(progress: RunProgress) -> None:
    """Say where a run is, on standard error."""
    if progress.current:
        left = f", about {progress.eta_s:.0f} s left" if progress.eta_s is not None else ""
        print(
            f"lathe: {progress.done}/{progress.total} {progress.current}{left}",
            file=sys.stderr,
            flush=True,
        )


def _selection(run: Run, selection: Selection) -> Json:
    """The best recipe of a backend; without one the reason, and what comes nearest."""
    made: Json = {"backend": selection.backend, "best": None}
    ahead = [
        {"recipe": to_json(step.recipe)} | to_json(suggested(step))
        for step in _ahead(run, selection)
    ]
    made |= {"next": ahead}
    if selection.best is not None:
        return made | {"best": _choice(run, selection.backend, selection.best)}
    closest = selection.closest
    made["reason"] = selection.lack.value if selection.lack else ""
    made["closest"] = closest and _choice(run, selection.backend, closest)
    return made


def _ahead(run: Run, selection: Selection) -> tuple[NextStep, ...]:
    """What to try next after the best of a backend, or after what comes closest."""
    choice = selection.best or selection.closest
    found = next_steps(run, choice.outcome, selection.backend) if choice is not None else None
    return found.steps if found is not None else ()


def _choice(run: Run, backend: str, choice: Choice) -> Json:
    """A recipe with what it takes and loses; what is unknown is null."""
    rows, digest = Standing(run), choice.candidate.digest
    gain, lost = deciding(rows).gain, choice.accuracy.lost
    metric = choice.accuracy.metric
    return {
        "recipe": to_json(choice.outcome.recipe),
        "digest": digest,
        "latency_ms": _latency_ms(run, digest, backend),
        "latency_ratio": choice.speed.ratio,
        "verdict": choice.speed.verdict,
        f"{gain}{METRIC_KEYS[METRICS[gain].unit]}": rows.value(digest, gain, backend),
        "lost_points": lost and lost.points,
        "lost_points_low": lost and lost.low,
        "lost_points_high": lost and lost.high,
        "decided_by": metric.removesuffix(DELTA),
    }


def _latency_ms(run: Run, digest: str, backend: str) -> float | None:
    return measured(latency(run, Standing(run), digest, backend, first_threads(run)))


def data_of(run: Run, chosen: list[Selection]) -> Json:
    """The run for scripts: what it tried, what is best, every row."""
    names = {o.candidate.digest: o.recipe.name for o in run.outcomes if o.candidate}
    return {
        "run": run.id,
        "state": run.progress.state.value,
        "message": run.progress.message,
        "host": to_json(run.host),
        "outcomes": [
            {
                "recipe": to_json(outcome.recipe),
                "digest": outcome.candidate.digest if outcome.candidate else "",
                "reason": outcome.reason,
                "failed": [to_json(step) for step in outcome.failed],
            }
            for outcome in run.outcomes
        ],
        "choices": [_selection(run, selection) for selection in chosen],
        "rows": [row_json(row, names.get(row.candidate, "")) for row in Standing(run)],
    }


def text_of(run: Run, chosen: list[Selection]) -> str:
    """The run for people: a table, and the best of each backend."""
    records = sweep_rows(run)
    head = tuple(name for name in records[0] if name != "candidate") if records else ()
    body = table(head, [tuple(_cell(record[name]) for name in head) for record in records])
    return "\n".join([body, "", *(_sentence(run, selection) for selection in chosen)])


def _sentence(run: Run, selection: Selection) -> str:
    backend = selection.backend
    if selection.best is not None:
        said = f"{backend}: {_words(run, backend, selection.best)}"
    else:
        said = f"{backend}: {selection.lack.value if selection.lack else ''}"
        if selection.closest is not None:
            said += f"; closest: {_words(run, backend, selection.closest)}"
    ahead = ", ".join(suggested(step).change for step in _ahead(run, selection))
    return f"{said}; to try next: {ahead}" if ahead else said


def _words(run: Run, backend: str, choice: Choice) -> str:
    """A recipe, its latency, and what it loses: "int8, 0.7 ms, 0.40 points lost"."""
    taken, lost = _latency_ms(run, choice.candidate.digest, backend), choice.accuracy.lost
    if lost is None:
        known = choice.accuracy.grounds is not Grounds.UNKNOWN
        costs = "by the error of its outputs" if known else "accuracy unknown"
    elif lost.is_relative:
        short = catalogue()[lost.metric].short
        costs = f"{lost.points:.2f} % changed: {short} decides, without annotations"
    else:
        costs = f"{lost.points:.2f} points lost"
    took = "latency unknown" if taken is None else f"{taken:.3g} ms"
    return f"{choice.outcome.recipe.name}, {took}, {costs}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
