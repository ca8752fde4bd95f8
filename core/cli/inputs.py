"""Models, data and preprocessing as a command line names them, admitted through the gate."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.cli.telling import Teller
from core.data import read_preprocess
from core.errors import DataError, InvalidModel
from core.pipeline.client import Workshop
from core.process import Child, Scratch
from core.records import DataSummary, ModelSummary, Preprocess, parse_json


@dataclass(frozen=True, slots=True)
class Bench:
    """A workshop and a scratch directory that live as long as one command."""

    workshop: Workshop
    home: Path

    @property
    def models(self) -> Path:
        """Where admitted models and candidates lie."""
        return self.home / "models"

    @property
    def data(self) -> Path:
        """Where admitted image sets lie."""
        return self.home / "data"


@contextlib.contextmanager
def bench(child: Child | None = None) -> Iterator[Bench]:
    """A bench whose files vanish with it: a command leaves nothing behind but its output.

    `child` is that of a workshop, if one was started in advance.
    """
    with Scratch() as home:
        (home / "models").mkdir()
        (home / "data").mkdir()
        workshop = Workshop(child=child)
        try:
            yield Bench(workshop, home)
        finally:
            workshop.close()


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


def admit(bench: Bench, path: Path, options: argparse.Namespace) -> ModelSummary:
    """The model at `path`, through the gate, frozen and with its preprocessing.

    Raises:
        ModelError: the file is missing or refused, or has no dimension that shall be frozen.
        DataError: the preprocessing file is wrong.
    """
    return as_asked(bench, through_gate(bench, path), options, dims_of(options))


def through_gate(bench: Bench, path: Path) -> ModelSummary:
    """The model at `path` as it is.

    Raises:
        ModelError: the file is missing or refused.
    """
    if not path.is_file():
        raise InvalidModel(f"{path}: there is no such file.")
    return bench.workshop.admit(path, path.name, bench.models, path.parent, Teller())


def as_asked(
    bench: Bench, summary: ModelSummary, options: argparse.Namespace, dims: Mapping[str, int]
) -> ModelSummary:
    """The model with `dims` frozen, and with its preprocessing.

    Raises:
        InvalidModel: it has no such dimension.
        DataError: the preprocessing file is wrong.
    """
    name, own_bytes = summary.name, summary.size_bytes
    if dims:
        summary = bench.workshop.freeze(summary.path, dims, bench.models)
    if options.preprocess:
        preprocess = preprocess_of(options)
        summary = bench.workshop.set_preprocess(summary.path, preprocess, bench.models)
    return replace(summary, name=name, size_bytes=own_bytes)


def admit_data(bench: Bench, path: Path | None) -> DataSummary | None:
    """The image set at `path`, or None without one.

    Raises:
        DataError: the set is missing or refused.
    """
    if path is None:
        return None
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder.")
    return bench.workshop.admit_data(path, path.name, bench.data, Teller())


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
