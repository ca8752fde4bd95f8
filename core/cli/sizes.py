"""At which sizes the models of a command are run: `--at`, and what to add where none is stated."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from core.cli.inputs import sizes_of
from core.errors import InvalidModel, OpenShape
from core.records import DataSummary, ModelSummary
from core.workspace.inputs import model_at, open_dims, proposed, shape_text, told


def add_at_option(command: argparse.ArgumentParser) -> None:
    """The option that gives a size to measure at."""
    command.add_argument(
        "--at",
        metavar="DIM=SIZE",
        action="append",
        default=[],
        help="measure at this size of an open dimension, which stays open in the file, for example "
        "height=640 (repeatable)",
    )


def at_sizes(
    models: Sequence[ModelSummary], data: DataSummary | None, options: argparse.Namespace
) -> list[ModelSummary]:
    """The models as they are measured: at the sizes of `--at`, and those that the images tell.

    Raises:
        OpenShape: a size is missing.
        InvalidModel: one belongs to no dimension, or is none.
    """
    given = sizes_of("--at", options.at)
    ignored(given, models, "--at")
    sized = [_sized(model, models, data, given) for model in models]
    for model, before in zip(sized, models, strict=True):
        if open_dims(before.inputs):
            print(f"lathe: {model.name} is run at {shape_text(model.inputs)}", file=sys.stderr)
    return sized


def _sized(
    model: ModelSummary,
    models: Sequence[ModelSummary],
    data: DataSummary | None,
    given: dict[str, int],
) -> ModelSummary:
    found = model_at(model, told(model.inputs, models[0].preprocess, data, given))
    if not open_dims(found.inputs):
        return found
    raise OpenShape(missing(model, data, given, models))


def missing(
    model: ModelSummary,
    data: DataSummary | None,
    given: Mapping[str, int],
    others: Sequence[ModelSummary] = (),
) -> str:
    """The line that says which size is missing, and what to add."""
    known = told(model.inputs, model.preprocess, data, given)
    left = open_dims(model_at(model, known).inputs)
    proposal = proposed(model, data, dict(given), [m for m in others if m is not model])
    line = " ".join(f"--at {name}={proposal.dims[name]}" for name in left)
    shapes = ", ".join(f"{s.name} [{', '.join(map(str, s.shape))}]" for s in model.inputs)
    return (
        f"{model.name} takes inputs of any size ({shapes}), and its time depends on it. "
        f"Say at which to measure, for example {line} ({proposal.why})."
    )


def ignored(given: Mapping[str, int], models: Sequence[ModelSummary], option: str) -> None:
    """Say which sizes a file has no dimension for: it may have been frozen before.

    Raises:
        InvalidModel: no file has it.
    """
    for name in given:
        without = [model.name for model in models if name not in model.dynamic_dims]
        if len(without) == len(models):
            listed = ", ".join(dict.fromkeys(d for m in models for d in m.dynamic_dims)) or "none"
            raise InvalidModel(
                f"{option} {name}={given[name]}: no input has an open dimension {name!r}; "
                f"open are: {listed}."
            )
        if without:
            print(
                f"lathe: {option} {name}={given[name]} does not concern {', '.join(without)}, "
                "which has no such open dimension",
                file=sys.stderr,
            )
