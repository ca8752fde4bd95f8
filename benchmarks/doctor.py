"""Which targets run the models of some folders: as they are, after exact rewrites, not at all?

    python -m benchmarks.doctor FOLDER [FOLDER ...] [--match TEXT] [--minutes M]

Prints two tables in Markdown: models x targets, and for each target how many run before and after.
What was tried is kept in LATHE_HOME, so that a run which was ended goes on with the next model.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.errors import CoreError
from core.records import Diagnosis, Fate, Finding
from core.runs.doctor.diagnoses import Diagnoses, Question, Told
from core.runs.doctor.examination import targets
from core.runs.home import Home
from core.runs.images import ImageSource
from core.runs.on_demand import Turns
from core.workspace import Workspace

OWNER = "benchmark"
WORDS = {Fate.RUNS: "runs", Fate.UNCHECKED: "runs*", Fate.ABSENT: "-"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Diagnose every model and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--match", default="", help="only files whose name holds this")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no model after these")
    options = parser.parse_args(arguments)
    files = [f for folder in options.folders for f in sorted(folder.glob("*.onnx"))]
    until = time.monotonic() + 60 * options.minutes
    found: dict[str, Diagnosis] = {}
    workspace, doctor = Workspace.open(limited=False), Diagnoses(Home.default(), Turns())
    for file in files:
        if options.match in file.name:
            known = _diagnosed(workspace, doctor, file, time.monotonic() < until)
            found |= {file.stem: known} if known else {}
    workspace.close()
    print(table(found))
    print(summary(found))
    print(f"{len(found)} models of {len(files)}", file=sys.stderr)


def _diagnosed(
    workspace: Workspace, doctor: Diagnoses, file: Path, begins: bool
) -> Diagnosis | None:
    """What is known of a file; what is not is tried, if there is time to begin."""
    try:
        model = workspace.models.add(file.name, file, OWNER)
        question = Question(model, ImageSource(None, ""))
        if (known := doctor.known(question)) is not None or not begins:
            return known
        print(f"{time.strftime('%X')} {file.name}", file=sys.stderr, flush=True)
        return doctor.now(question, Told(lambda words: None))
    except CoreError as error:
        print(f"{file.name}: {error.reason}", file=sys.stderr)
        return None


def table(found: dict[str, Diagnosis]) -> str:
    """A row for each model, a column for each target."""
    rows = [["model", *targets()], ["---"] * (1 + len(targets()))]
    rows += [[name, *map(cell, known.findings)] for name, known in found.items()]
    return "\n".join(map(_line, rows)) + "\n"


def cell(finding: Finding) -> str:
    """What becomes of a model on a target."""
    now = WORDS.get(finding.as_it_is.fate, f"**{finding.as_it_is.fate.value}**")
    if finding.unlocked:
        return f"{finding.as_it_is.fate.value} -> runs: {', '.join(finding.rewrites)}"
    return now


def summary(found: dict[str, Diagnosis]) -> str:
    """How many models run on each target, before and after."""
    rows = [["target", "as it is", "after rewrites", "wrong answers", "does not run"], ["---"] * 5]
    for place, target in enumerate(targets()):
        told = [known.findings[place] for known in found.values()]
        left = [one for one in told if not one.as_it_is.runs and not one.unlocked]
        rows.append([target, *map(str, (
            _count(one.as_it_is.runs for one in told),
            _count(one.as_it_is.runs or one.unlocked for one in told),
            _count(one.as_it_is.fate is Fate.WRONG for one in left),
            _count(one.as_it_is.fate is Fate.REFUSED for one in left),
        ))])  # fmt: skip
    return "\n".join(map(_line, rows)) + "\n"


def _count(answers: Iterable[bool]) -> int:
    return sum(answers)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
