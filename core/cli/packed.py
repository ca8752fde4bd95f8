"""`--package`: the model that a command made, with a program that runs it on one backend."""

from __future__ import annotations

import argparse
import datetime
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.cli.inputs import OWNER
from core.errors import CoreError, PassPrecondition, StoreError
from core.package.base.texts import check_offered, texts
from core.recipes import original
from core.records import (
    Candidate,
    ExperimentSpec,
    Json,
    ModelSummary,
    Outcome,
    Run,
    RunProgress,
    State,
)
from core.workspace import Workspace
from core.workspace.facts import label, reference
from core.workspace.inputs import model_at

ZIP = ".zip"


@dataclass(frozen=True, slots=True)
class Packed:
    """What a command says of a package, for scripts and for people."""

    data: Json
    text: str


def add_package_options(command: Any) -> None:
    """Where the package is written, and for which backend."""
    group = command.add_argument_group("package")
    group.add_argument(
        "--package",
        type=Path,
        metavar="DIR_OR_ZIP",
        help="write the model with a program that runs it: a folder, or a file that ends in .zip",
    )
    group.add_argument(
        "--target",
        metavar="NAME",
        help="backend, backend:precision, either with @FORMAT, that the package is for "
        f"(default: that of --goal, else {reference()})",
    )


def check_package(options: argparse.Namespace, default: str) -> str:
    """The target of the package that is asked for; empty for none.

    Raises:
        PassPrecondition: a target without a package, or a place that cannot be written to.
        BackendUnavailable: there is no program for the target.
    """
    place: Path | None = options.package
    if place is None:
        if options.target:
            raise PassPrecondition("--target names what --package is for: give both.")
        return ""
    if not place.absolute().parent.is_dir():
        raise CoreError(f"{place.parent}: there is no such folder to write to.")
    if place.suffix != ZIP and place.exists() and (place.is_file() or any(place.iterdir())):
        raise CoreError(f"{place}: give a new or an empty folder, or a file that ends in .zip.")
    target: str = options.target or default
    check_offered(target)
    return target


def unmeasured(workspace: Workspace, before: ModelSummary, outcome: Outcome, target: str) -> Run:
    """A run that made a model and measured nothing."""
    first = Candidate(before.digest, before.path, original())
    spec = ExperimentSpec(before.name, before.digest, (original(), outcome.recipe), (target,))
    return Run(
        id="",
        owner=OWNER,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        spec=spec,
        progress=RunProgress(State.DONE),
        model=before,
        outcomes=(Outcome(original(), first, before), outcome),
        host=workspace.runs.host(),
    )


def pack(workspace: Workspace, run: Run, outcome: Outcome, target: str, place: Path) -> Packed:
    """Write a package.

    Args:
        workspace: converts and packs the model.
        run: that made it.
        outcome: with a model.
        target: the backend, as `check_package` gives it.
        place: a folder, or a .zip.

    Raises:
        CoreError: see `Runs.pack`.
    """
    if outcome.summary is None or outcome.candidate is None:
        raise CoreError(outcome.reason)
    inside = texts(run, outcome.candidate.digest, target)
    model = model_at(outcome.summary, run.spec.dims)
    packed, check = workspace.runs.pack(model, target, inside)
    try:
        if place.suffix == ZIP:
            shutil.copyfile(packed, place)
        else:
            with zipfile.ZipFile(packed) as archive:
                archive.extractall(place)
    except OSError as error:
        raise StoreError(f"{place} cannot be written: {error.strerror}.") from error
    with zipfile.ZipFile(packed) as archive:
        files = archive.namelist()
    text = f"package     {place} for {label(target)}: {check}"
    found = {"path": str(place), "target": target, "files": files, "check": check}
    return Packed({"package": found}, text)
