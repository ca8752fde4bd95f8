"""`optimize --goal`: the recipe is searched for, each try measured; the best model is written.

The run is kept like those of the screens: asked again, it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli.explore import data_of, dims_told, kept_model, resumable, text_of, watch
from core.cli.inputs import OWNER
from core.cli.measure import DEFAULT_BACKEND
from core.cli.packed import Packed, check_package, pack
from core.cli.result import Result
from core.cli.sizes import add_at_option
from core.cli.telling import Teller, guessed_pixels, unscored
from core.errors import CoreError, PassPrecondition
from core.records import ExperimentSpec, Goal, Objective, Recipe, Run, State, to_json
from core.search import goal as search
from core.search.choose import answer
from core.wording import sentences
from core.workspace import Workspace
from core.workspace.facts import check_backend
from core.workspace.formats import ONNX

OBJECTIVES = {objective.value.replace(" ", "-"): objective for objective in Objective}


def add_goal_options(command: argparse.ArgumentParser) -> None:
    """What is wanted, instead of a recipe."""
    group = command.add_argument_group("a goal, for which the recipe is searched")
    group.add_argument(
        "--goal", choices=tuple(OBJECTIVES), help="find the recipe, by measuring (needs --data)"
    )
    group.add_argument(
        "--max-drop",
        type=float,
        default=1.0,
        metavar="PP",
        help="points of top-1, mIoU or mAP that may be lost (default 1)",
    )
    group.add_argument(
        "--minutes", type=float, default=5.0, metavar="M", help="of the search, about (default 5)"
    )
    group.add_argument(
        "--backend",
        default=DEFAULT_BACKEND,
        metavar="NAME",
        help=f"backend, or backend:precision, that it is for (default {DEFAULT_BACKEND})",
    )
    group.add_argument("--data", type=Path, metavar="DATA", help="images to score on")
    add_at_option(command)


def run(options: argparse.Namespace, recipe: Recipe) -> Result:
    """Search, and write the best model; nothing is written where none keeps to the goal.

    Raises:
        CoreError: bad model, data or names, or no recipe that reaches the goal.
    """
    goal = _goal(options, recipe)
    target = check_package(options, goal.backend)
    packed: Packed | None = None
    workspace = Workspace.open(limited=False)
    try:
        spec = _spec(workspace, options, goal)
        found = resumable(workspace, spec)
        runs = workspace.runs
        done = runs.work_on(found.id, watch) if found else runs.measure(spec, OWNER, watch)
        chosen = answer(done)
        if done.progress.state is State.FAILED or chosen is None:
            raise CoreError(done.progress.message)
        text = text_of(done, [chosen])
        if chosen.best is None:
            raise CoreError(f"{text.splitlines()[-1]}. {done.progress.message}")
        written = workspace.models.take(chosen.best.candidate.digest, options.output)
        if target:
            packed = pack(workspace, done, chosen.best.outcome, target, options.package)
    finally:
        workspace.close()
    data = data_of(done, [chosen]) | {
        "goal": to_json(goal),
        "output": str(written[0]),
        "files": [str(path) for path in written],
    }
    lines = [text, done.progress.message, f"written to {written[0]}"]
    if packed is not None:
        data |= packed.data
        lines.append(packed.text)
    return Result(data, "\n".join(filter(None, lines)), _warnings(done, goal))


def _goal(options: argparse.Namespace, recipe: Recipe) -> Goal:
    """What is wanted.

    Raises:
        CoreError: a number that cannot be meant, no such backend, or what does not go together.
    """
    if recipe.steps:
        raise PassPrecondition("--goal finds the recipe by itself: leave the passes out.")
    if options.data is None:
        raise PassPrecondition("--goal needs --data: images on which losses are measured.")
    if options.format != ONNX:
        raise PassPrecondition("--goal writes ONNX; convert the result with a second command.")
    least, most = search.LEAST_MINUTES, search.MOST_MINUTES
    if not least <= options.minutes <= most:
        raise PassPrecondition(f"--minutes: give minutes between {least:g} and {most:g}.")
    if not 0 <= options.max_drop <= search.MOST_DROP:
        raise PassPrecondition(f"--max-drop: give points between 0 and {search.MOST_DROP:g}.")
    check_backend(options.backend)
    return Goal(OBJECTIVES[options.goal], options.max_drop, options.backend, options.minutes)


def _spec(workspace: Workspace, options: argparse.Namespace, goal: Goal) -> ExperimentSpec:
    model = kept_model(workspace, options)
    data = workspace.data.add(options.data.name, options.data, OWNER, Teller())
    guessed_pixels(model, data)
    unscored(model, data)
    calibration = ""
    if options.calibration:
        images = workspace.data.add(options.calibration.name, options.calibration, OWNER, Teller())
        calibration = images.digest
    dims = dims_told(model, data, options)
    return search.question(goal, model, calibration, data.digest, dims=dims)


def _warnings(run: Run, goal: Goal) -> tuple[str, ...]:
    """What was not tried, or made no model, and why."""
    lines = sentences(search.left_out(run.model, goal, bool(run.spec.calibration)))
    failed = [o for o in run.outcomes[1:] if o.candidate is None]
    return (*lines, *(f"{o.recipe.name} made no model: {o.reason}" for o in failed))
