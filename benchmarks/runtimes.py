"""Every model in every format that is written: ran, refused with each reason, or wrong.

    python -m benchmarks.runtimes MODEL_OR_FOLDER ... [--format NAME ...] [--freeze DIM=SIZE ...]

Each model goes through the gate as an upload does, is written in each format within the limits of a
conversion, and read by each backend that takes the format. Its outputs on a few made-up inputs are
held to those of ONNX Runtime on the ONNX file, as before every measurement. The error is the worst
relative RMS of any output and group of channels. Open dimensions that no --freeze names are left to
the format. Prints a markdown table line by line, then the reasons and the sums.
"""

from __future__ import annotations

import argparse
import collections
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.backends.base import catalogue, reference
from core.errors import ConversionFailed, CoreError, InferenceFailed
from core.formats.base import exported
from core.formats.base.artifacts import Artifacts
from core.measure import Setting, Source
from core.measure.verify import FEEDS, Outputs, bound, compare, relative_rms
from core.records import ModelSummary
from core.worker.client import Worker
from core.workspace import Workspace

OWNER = "benchmark"
RAN, REFUSED, WRONG = "ran", "refused", "WRONG"


@dataclass(frozen=True)
class Found:
    """What became of one model in one format.

    Attributes:
        how: ran, refused or wrong.
        error: of what ran.
        reason: of what did not.
    """

    how: str
    error: float = 0.0
    reason: str = ""

    def __str__(self) -> str:
        """As a cell."""
        return f"{self.how}, {self.error:.0e}" if self.how == RAN else self.how


def main() -> int:
    """Print the table, the reasons and the sums; 1 where an output is wrong."""
    asked = _options()
    columns = list(readers(asked.format or exported()))
    print(f"| model | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    reasons: list[str] = []
    sums: dict[str, collections.Counter[str]] = {one: collections.Counter() for one in columns}
    for file in asked.models:
        found = rows(file, columns, dict(asked.freeze))
        if isinstance(found, CoreError):
            print(f"| {file.stem} | not run: {found.message} |", flush=True)
            continue
        print(f"| {file.stem} | {' | '.join(map(str, found.values()))} |", flush=True)
        for column, one in found.items():
            sums[column][one.how] += 1
            reasons += [f"- {file.stem}, {column}: {one.reason}"] if one.reason else []
    print("\n".join(["", *reasons, ""]))
    for column, count in sums.items():
        print(f"{column}: {', '.join(f'{count[how]} {how}' for how in (RAN, REFUSED, WRONG))}")
    return int(any(count[WRONG] for count in sums.values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL_OR_FOLDER")
    parser.add_argument("--format", action="append", choices=exported(), metavar="NAME")
    parser.add_argument("--freeze", action="append", default=[], type=_size, metavar="DIM=SIZE")
    asked = parser.parse_args()
    given = [(sorted(one.glob("*.onnx")) if one.is_dir() else [one]) for one in asked.models]
    asked.models = [file for files in given for file in files]
    return asked


def _size(text: str) -> tuple[str, int]:
    dim, _, size = text.rpartition("=")
    return dim, int(size)


def readers(formats: tuple[str, ...] | list[str]) -> Iterator[str]:
    """`backend@format` for each backend that reads one of these."""
    for form in formats:
        for name, backend in catalogue().items():
            if form.partition(".")[0] in backend.accepts:
                yield f"{name}@{form}"


def rows(file: Path, columns: list[str], sizes: dict[str, int]) -> dict[str, Found] | CoreError:
    """What became of a model in each column; why it is none, where the gate refuses it."""
    with tempfile.TemporaryDirectory(prefix="lathe-") as home:
        workspace = Workspace.open(Path(home), limited=False)
        try:
            model = workspace.models.add(file.name, file, OWNER)
            dims = {dim: size for dim, size in sizes.items() if dim in model.dynamic_dims}
            model = workspace.models.freeze(model.digest, dims, OWNER) if dims else model
            wanted = outputs(model, reference(), Path(home), Artifacts(Path(home) / "made"))
            return {spec: judged(model, spec, wanted, Path(home)) for spec in columns}
        except CoreError as error:
            return error
        finally:
            workspace.close()


def judged(model: ModelSummary, spec: str, wanted: Outputs, folder: Path) -> Found:
    """One model in one column."""
    try:
        given = outputs(model, spec, folder, Artifacts(folder / "made"))
    except ConversionFailed as error:
        return Found(REFUSED, reason=error.message)
    except CoreError as error:  # it was written, and cannot be read
        return Found(WRONG, reason=error.message)
    try:
        compare(wanted, given, bound(model, Setting.of(spec)))
    except InferenceFailed as error:
        return Found(WRONG, reason=error.message)
    return Found(RAN, max(relative_rms(array, given[name]) for name, array in wanted.items()))


def outputs(model: ModelSummary, spec: str, folder: Path, artifacts: Artifacts) -> Outputs:
    """What a backend answers on a few made-up inputs.

    Raises:
        CoreError: it does not.
    """
    with Worker(model, lambda: False, artifacts) as worker:
        worker.prepare(model, Source(), FEEDS)
        worker.load("model", model, Setting.of(spec))
        worker.run("model", folder / "out.npz")
    with np.load(folder / "out.npz") as arrays:
        return dict(arrays)


if __name__ == "__main__":
    raise SystemExit(main())
