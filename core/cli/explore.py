"""`explore`: many recipes on many backends, and which of them are worth choosing.

The run is kept below LATHE_HOME like those of the screens: asked again, it goes on where it was
stopped, and what is measured is not measured again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from core.charts.choosing import Loss, loss
from core.charts.standing import Standing
from core.charts.sweep import sweep_rows
from core.charts.tradeoff import points
from core.cli.inputs import OWNER, add_model_options, dims_of, preprocess_of, sizes_of
from core.cli.measure import METRIC_KEYS, add_measure_options, backends_of, row_json, threads_of
from core.cli.recipe import load_recipe
from core.cli.result import PARTLY, Result, table
from core.cli.sizes import add_at_option, ignored, missing
from core.cli.telling import Teller
from core.errors import CoreError, OpenShape, PassPrecondition
from core.records import (
    ExperimentSpec,
    Json,
    ModelSummary,
    Recipe,
    Run,
    RunProgress,
    State,
    to_json,
)
from core.runs import grid
from core.workspace import Workspace
from core.workspace.facts import METRICS, catalogue, primary_metric
from core.workspace.inputs import at, open_dims, told
from core.workspace.passes import not_applied

GOES_ON = (State.CANCELLED, State.INTERRUPTED, State.FAILED)


def add(commands: Any) -> None:
    """Register the command."""
    command = commands.add_parser("explore", help="a sweep of recipes, and the best trade-offs")
    command.add_argument("model", type=Path, metavar="MODEL")
    command.add_argument("--data", type=Path, metavar="DATA", required=True, help="scored on")
    command.add_argument("--calibration", type=Path, metavar="DATA", help="images for the passes")
    command.add_argument(
        "--recipe", type=Path, action="append", default=[], metavar="R.json",
        help="try this recipe (repeatable; default: a grid)",
    )  # fmt: skip
    command.add_argument(
        "--prune-ratios", default="0.2,0.4", metavar="R,R", help="of the grid (default 0.2,0.4)"
    )
    command.add_argument(
        "--max-drop",
        type=float,
        metavar="PP",
        help="points of top-1, mIoU or mAP that may be lost",
    )
    command.add_argument("--max-latency-ms", type=float, metavar="MS", help="latency at most")
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
        found = _resumable(workspace, spec)
        runs = workspace.runs
        run = runs.work_on(found.id, _watch) if found else runs.measure(spec, OWNER, _watch)
    finally:
        workspace.close()
    choices = [_choice(run, backend, options) for backend in backends]
    if run.progress.state is State.FAILED:
        raise CoreError(run.progress.message)
    made, warnings = _missing(run)
    if not made:
        raise CoreError("No recipe made a model. " + " ".join(warnings))
    status = PARTLY if warnings else 0
    return Result(_data(run, choices), _text(run, choices), warnings, status)


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
    model = _model(workspace, options)
    data = workspace.data.add(options.data.name, options.data, OWNER, Teller())
    calibration = (
        workspace.data.add(options.calibration.name, options.calibration, OWNER, Teller())
        if options.calibration
        else None
    )
    recipes = tuple(load_recipe(path) for path in options.recipe)
    recipes = recipes or grid.default(calibration is not None, _ratios(options.prune_ratios))
    given = sizes_of("--at", options.at)
    ignored(given, [model], "--at")
    dims = told(model.inputs, model.preprocess, data, given)
    if open_dims(at(model.inputs, dims)):
        raise OpenShape(missing(model, data, given))
    return ExperimentSpec(
        title=f"{model.name}: {len(recipes)} recipes",
        model=model.digest,
        recipes=(Recipe("original"), *recipes),
        backends=backends,
        threads=threads_of(options),
        calibration=calibration.digest if calibration else "",
        evaluation=data.digest,
        images=options.images,
        latency_budget_s=options.budget_s,
        dims=dims,
    )


def _model(workspace: Workspace, options: argparse.Namespace) -> ModelSummary:
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


def _resumable(workspace: Workspace, spec: ExperimentSpec) -> Run | None:
    """An earlier run of exactly this question, done or stopped."""
    for run in workspace.runs.of(OWNER):
        if run.spec == spec and run.progress.state in (*GOES_ON, State.DONE):
            if run.progress.state in GOES_ON:
                workspace.runs.allow(run.id)
            return run
    return None


def _watch(progress: RunProgress) -> None:
    if progress.current:
        left = f", about {progress.eta_s:.0f} s left" if progress.eta_s is not None else ""
        print(
            f"lathe: {progress.done}/{progress.total} {progress.current}{left}",
            file=sys.stderr,
            flush=True,
        )


def _choice(run: Run, backend: str, options: argparse.Namespace) -> Json:
    """The fastest point of a backend within the limits; without one, of those that lose nothing.

    What a recipe loses has to be known: of the primary metric, or of what it stands in for.
    """
    rows = Standing(run)
    metric = primary_metric(rows)
    within = [
        (point.cost, point, lost)
        for point in points(run, "latency", run.spec.threads[0])
        if point.backend == backend
        and (lost := loss(run, rows, point.digest, backend)) is not None
        and _is_bearable(lost, options.max_drop)
    ]
    if options.max_latency_ms is not None:
        within = [one for one in within if one[0] <= options.max_latency_ms]
    if not within:
        return {"backend": backend, "best": None}
    cost, point, lost = min(within, key=lambda one: one[0])
    best = {
        "recipe": to_json(point.recipe),
        "digest": point.digest,
        "latency_ms": cost,
        f"{metric}{METRIC_KEYS[METRICS[metric].unit]}": point.gain,
        "lost_points": lost.points,
        "decided_by": metric,
    }
    return {"backend": backend, "best": best}


def _is_bearable(lost: Loss, max_drop: float | None) -> bool:
    return not lost.is_shown if max_drop is None else lost.points <= max_drop


def _data(run: Run, choices: list[Json]) -> Json:
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
        "choices": choices,
        "rows": [row_json(row, names.get(row.candidate, "")) for row in Standing(run)],
    }


def _text(run: Run, choices: list[Json]) -> str:
    records = sweep_rows(run)
    head = tuple(name for name in records[0] if name != "candidate") if records else ()
    body = table(head, [tuple(_cell(record[name]) for name in head) for record in records])
    lines = [body, ""]
    for choice in choices:
        best = choice["best"]
        if best is None:
            lines.append(f"{choice['backend']}: no recipe is within the limits")
            continue
        lost = f"{best['lost_points']:.2f} points lost"
        about = catalogue()[best["decided_by"]]
        if about.relative:
            lost = (
                f"{best['lost_points']:.2f} % changed: {about.short} decides, without annotations"
            )
        lines.append(
            f"{choice['backend']}: {best['recipe']['name']}, {best['latency_ms']:.3g} ms, {lost}"
        )
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
