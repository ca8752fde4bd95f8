"""Models, data and preprocessing as a command line names them, admitted through the gate."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core.cli.telling import Teller
from core.errors import DataError, InvalidModel
from core.records import DataSummary, ModelSummary, Preprocess, parse_json
from core.workspace import Workspace
from core.workspace.inputs import read_preprocess

OWNER = "command-line"

MODEL = "an .onnx file, or a .zip of one with its external data"


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Options that say how the model is to be read."""
    command.add_argument(
        "--freeze",
        metavar="DIM=SIZE",
        action="append",
        default=[],
        help="give a dynamic dimension its size, for example N=1 (repeatable)",
    )
    command.add_argument(
        "--preprocess",
        metavar="P.json",
        type=Path,
        help="how pixels become the input; without it, what the model carries, or 0..1 RGB",
    )


def admit(workspace: Workspace, path: Path, options: argparse.Namespace) -> ModelSummary:
    """The model at `path`, through the gate, frozen and with its preprocessing.

    Raises:
        ModelError: the file is missing or refused, or has no dimension that shall be frozen.
        DataError: the preprocessing file is wrong.
    """
    return as_asked(workspace, through_gate(workspace, path), options, dims_of(options))


def through_gate(workspace: Workspace, path: Path) -> ModelSummary:
    """The model at `path` as it is.

    Raises:
        ModelError: the file is missing or refused.
    """
    if not path.is_file():
        raise InvalidModel(f"{path}: there is no such file.")
    return workspace.models.add(path.name, path, OWNER, Teller())


def as_asked(
    workspace: Workspace,
    summary: ModelSummary,
    options: argparse.Namespace,
    dims: Mapping[str, int],
) -> ModelSummary:
    """The model with `dims` frozen, and with its preprocessing.

    Raises:
        InvalidModel: it has no such dimension.
        DataError: the preprocessing file is wrong.
    """
    name, own_bytes = summary.name, summary.size_bytes
    if dims:
        summary = workspace.models.freeze(summary.digest, dims, OWNER)
    if options.preprocess:
        preprocess = preprocess_of(options)
        summary = workspace.models.set_preprocess(summary.digest, preprocess, OWNER)
    return replace(summary, name=name, size_bytes=own_bytes)


def admit_data(workspace: Workspace, path: Path | None) -> DataSummary | None:
    """The image set at `path`, or None without one.

    Raises:
        DataError: the set is missing or refused.
    """
    if path is None:
        return None
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder.")
    return workspace.data.add(path.name, path, OWNER, Teller())


def dims_of(options: argparse.Namespace) -> dict[str, int]:
    """The sizes of `--freeze`.

    Raises:
        InvalidModel: not of the form DIM=SIZE.
    """
    return sizes_of("--freeze", options.freeze)


def sizes_of(option: str, texts: Sequence[str]) -> dict[str, int]:
    """The sizes of a repeated option.

    Raises:
        InvalidModel: not of the form DIM=SIZE.
    """
    dims: dict[str, int] = {}
    for text in texts:
        name, _, size = text.rpartition("=")
        if not name or not size.isdecimal() or len(size) > 9 or int(size) < 1:
            raise InvalidModel(f"{option} {text}: write DIM=SIZE with a size of at least 1.")
        dims[name] = int(size)
    return dims


def preprocess_of(options: argparse.Namespace) -> Preprocess:
    """What the file of `--preprocess` says.

    Raises:
        DataError: it is not readable, or says what no preprocessing can be.
    """
    return read_preprocess(_json(options.preprocess))


def _json(path: Path) -> object:
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable JSON file ({error}).") from error
