"""`optimize`: apply a recipe to a model and write the result."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.cli import goal
from core.cli.converted import Converted, convert
from core.cli.inputs import MODEL, add_model_options, admit, admit_data
from core.cli.packed import Packed, add_package_options, check_package, pack, unmeasured
from core.cli.recipe import add_recipe_options, read_recipe
from core.cli.result import PARTLY, Result, count
from core.cli.telling import Counter, Teller, guessed_pixels
from core.errors import CoreError, PassPrecondition
from core.records import Candidate, ModelSummary, Outcome, StepReport, to_json
from core.wording import in_words, sentence
from core.workspace import Workspace
from core.workspace.facts import reference
from core.workspace.formats import ONNX, exported, parse
from core.workspace.passes import not_applied


def add(commands: Any) -> None:
    """Register the command."""
    command = commands.add_parser("optimize", help="apply a recipe to a model, write the result")
    command.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    command.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="the file to write"
    )
    command.add_argument(
        "--calibration", type=Path, metavar="DATA", help="images that passes learn from"
    )
    command.add_argument(
        "--format",
        default=ONNX,
        metavar="FORMAT",
        help=f"of the file that is written: {', '.join((ONNX, *exported()))}",
    )
    add_model_options(command)
    add_recipe_options(command)
    goal.add_goal_options(command)
    add_package_options(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Build the candidate and write it; nothing is written if no step of the recipe held.

    Where some steps failed, what the others made is written, and the exit status says so.

    Raises:
        CoreError: bad model, data or recipe, or a recipe of which every step failed.
    """
    recipe = read_recipe(options)
    if not (recipe.steps or options.goal):
        raise PassPrecondition("Nothing to do: name at least one pass, a recipe, or a --goal.")
    if not options.output.absolute().parent.is_dir():
        raise CoreError(f"{options.output.parent}: there is no such folder to write to.")
    if options.goal:
        return goal.run(options, recipe)
    if options.format != ONNX:
        parse(options.format)
    target = check_package(options, reference())
    with Workspace.passing(options.child) as workspace:
        before = admit(workspace, options.model, options)
        data = admit_data(workspace, options.calibration)
        guessed_pixels(before, data)
        digest, told = data.digest if data else "", Counter("timing layers")
        outcome = workspace.models.build(before.digest, recipe, digest, Teller(), told)
        candidate, after = _built(outcome)
        beside: list[Converted | Packed] = []
        written: Sequence[Path]
        if options.format == ONNX:
            written = workspace.models.take(candidate.digest, options.output)
        else:
            converted, written = convert(workspace, after, options.format, options.output)
            beside.append(converted)
        if target:
            made = unmeasured(workspace, before, outcome, target)
            beside.append(pack(workspace, made, outcome, target, options.package))
    warnings = _warnings(outcome, before, after, options.output)
    answer = _data(written, before, after, candidate)
    text = _text(written, before, after, candidate)
    for more in reversed(beside):
        answer |= more.data
        text = f"{more.text}\n{text}"
    return Result(answer, text, warnings, PARTLY if outcome.failed else 0)


def _warnings(
    outcome: Outcome, before: ModelSummary, after: ModelSummary, output: Path
) -> tuple[str, ...]:
    """What the file that was written does not hold of what was asked for."""
    lines = tuple(not_applied(step) for step in outcome.failed)
    if lines:
        return *lines, f"{output} holds the other steps only."
    if after.digest == before.digest:
        return (f"No step found anything to change: {output} is the original.",)
    return ()


def _built(outcome: Outcome) -> tuple[Candidate, ModelSummary]:
    if outcome.candidate is None or outcome.summary is None:
        raise CoreError(outcome.reason)
    return outcome.candidate, outcome.summary


def _data(
    written: Sequence[Path], before: ModelSummary, after: ModelSummary, candidate: Candidate
) -> dict[str, Any]:
    numbers = ("size_bytes", "parameters", "macs", "nodes", "batch_norms")
    return {
        "output": str(written[0]),
        "files": [str(path) for path in written],
        "digest": candidate.digest,
        "recipe": to_json(candidate.recipe),
        "before": {"digest": before.digest} | {n: getattr(before, n) for n in numbers},
        "after": {n: getattr(after, n) for n in numbers},
        "steps": [in_words(step) for step in candidate.report],
        "failed": [step.step.pass_name for step in candidate.report if step.reverted],
    }


def _text(
    written: Sequence[Path], before: ModelSummary, after: ModelSummary, candidate: Candidate
) -> str:
    lines = [
        f"file        {count(before.size_bytes)}B -> {count(after.size_bytes)}B",
        f"parameters  {count(before.parameters)} -> {count(after.parameters)}",
        f"MACs        {count(before.macs)} -> {count(after.macs)}",
        *(f"weights     {path}: keep it beside" for path in written[1:]),
        *(line for step in candidate.report for line in _step(step)),
    ]
    return "\n".join(lines)


def _step(step: StepReport) -> list[str]:
    state = f"not applied: {step.reverted}" if step.reverted else f"{step.changed} changed"
    lines = [f"\n{step.step.pass_name}: {state}, {len(step.skipped)} left alone"]
    lines += [f"  warning: {sentence(warning)}" for warning in step.warnings]
    lines += [f"  {sentence(note)}" for note in step.notes]
    return lines + [f"  - {skip.node}: {sentence(skip.reason)}" for skip in step.skipped]
