"""`doctor`: what becomes of a model on every target, what stands in the way, and what helps."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.charts import palette
from core.cli.inputs import MODEL, OWNER, add_model_options, admit, admit_data
from core.cli.result import Result, table
from core.cli.telling import Teller, guessed_pixels
from core.errors import CoreError, PassPrecondition
from core.records import Diagnosis, Fate, Finding, ModelSummary, Obstacle, Recipe, to_json
from core.workspace import Workspace
from core.workspace.passes import FREEZE, labels, steps

ALL = "all"
SHOWN = 8  # nodes of one target
FATES = {
    Fate.RUNS: "runs",
    Fate.WRONG: "wrong answers",
    Fate.REFUSED: "does not run",
    Fate.UNCHECKED: "runs, unchecked",
    Fate.ABSENT: "not installed",
}


def add(commands: Any) -> None:
    """Register the command."""
    command = commands.add_parser(
        "doctor", help="which targets run a model as it is, which after exact rewrites"
    )
    command.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    command.add_argument(
        "--data", type=Path, metavar="DATA", help="images to compare answers on; else made up"
    )
    command.add_argument(
        "--apply",
        metavar="TARGET",
        help=f"write the model with the rewrites that TARGET needs, or '{ALL}' targets",
    )
    command.add_argument("-o", "--output", type=Path, metavar="OUT", help="the file to write")
    add_model_options(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Try every target; write the rewritten model where that is asked for.

    Raises:
        CoreError: bad model or data, or nothing that could be applied.
    """
    if bool(options.apply) != bool(options.output):
        raise PassPrecondition("--apply TARGET and -o OUT go together.")
    with Workspace.passing(options.child) as workspace:
        model = admit(workspace, options.model, options)
        data = admit_data(workspace, options.data)
        guessed_pixels(model, data)
        found = workspace.insights.diagnose(model, data.digest if data else "", _tell)
        written: Sequence[Path] = ()
        if options.apply:
            names = rewrites_for(found, options.apply)
            written = _apply(workspace, model, found, names, options.output)
    answer = to_json(found) | {"for_all": list(found.for_all), "files": [str(p) for p in written]}
    return Result(answer, "\n".join([_text(model, found), *(f"\nwritten: {p}" for p in written)]))


def rewrites_for(found: Diagnosis, target: str) -> tuple[str, ...]:
    """The rewrites that a target needs, or all of them together.

    Raises:
        PassPrecondition: there is no such target, or no rewrite helps it.
    """
    known = {finding.target: finding.rewrites for finding in found.findings}
    if target != ALL and target not in known:
        raise PassPrecondition(f"There is no target {target!r}; known: {ALL}, {', '.join(known)}.")
    names = found.for_all if target == ALL else known[target]
    if not names:
        raise PassPrecondition(f"Nothing to apply for {target}: no rewrite is needed, or helps.")
    return names


def _apply(
    workspace: Workspace, model: ModelSummary, found: Diagnosis, names: Sequence[str], out: Path
) -> Sequence[Path]:
    digest = model.digest
    if FREEZE in names:
        digest = workspace.models.freeze(digest, found.dims, OWNER).digest
    recipe = Recipe("adapted", steps(names))
    if not recipe.steps:
        return workspace.models.take(digest, out)
    made = workspace.models.build(digest, recipe, "", Teller())
    if made.candidate is None:
        raise CoreError(made.reason)
    return workspace.models.take(made.candidate.digest, out)


def _tell(words: str) -> None:
    print(f"lathe: {words}", file=sys.stderr, flush=True)


def _text(model: ModelSummary, found: Diagnosis) -> str:
    sizes = ", ".join(f"{name}={size}" for name, size in found.dims.items())
    inputs = "the first images" if found.images else "made-up inputs"
    lines = [
        f"{model.name}  opset {model.opset}  tried on {inputs}" + (f" at {sizes}" if sizes else ""),
        table(("target", "as it is", "with"), map(_row, found.findings)),
        *(line for finding in found.findings for line in _details(finding)),
        *(f"\nalarm: output {name!r} is the same for every input" for name in found.constant),
        *(f"\nnot possible: {labels()[n]}: {why}" for n, why in found.failed.items()),
    ]
    if found.for_all:
        lines.append(f"\nfor all: {_named(found.for_all)}")
    return "\n".join(lines)


def _row(finding: Finding) -> tuple[str, str, str]:
    after = ""
    if finding.rewritten is not None:
        fate = FATES[finding.rewritten.fate]
        after = f"{fate}: {_named(finding.rewrites)}" if finding.unlocked else f"{fate} either"
    return palette.label(finding.target), FATES[finding.as_it_is.fate], after


def _details(finding: Finding) -> list[str]:
    """Why a target does not run the model, and which nodes stand in the way."""
    if finding.as_it_is.fate is Fate.RUNS:
        return []
    lines = [f"\n{palette.label(finding.target)}: {' '.join(finding.as_it_is.reason.split())}"]
    left = finding.remaining or finding.obstacles
    lines += [f"  - {_obstacle(one)}" for one in left[:SHOWN]]
    if len(left) > SHOWN:
        lines.append(f"  and {len(left) - SHOWN} more nodes")
    return lines


def _obstacle(one: Obstacle) -> str:
    how = f"fails alone: {one.reason}" if one.alone else "named"
    return f"{one.operator} {one.node!r}: {how}"


def _named(names: Sequence[str]) -> str:
    return ", ".join(labels()[name] for name in names)
