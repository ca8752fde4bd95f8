"""Measure a sample before and after, and write what came of it to `measured.json`.

    python sample_models/measure.py     # about a minute, on a quiet machine

The record is what a newcomer is shown until this machine has measured the same by itself. It names
its machine, its versions and its date; nothing in it is made by hand.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # run as a script: the project is not on the path

from core.charts.summary import headline  # noqa: E402
from core.records import RunProgress, State  # noqa: E402
from core.runs import sample_run  # noqa: E402
from core.workspace import Workspace  # noqa: E402


def tell(progress: RunProgress) -> None:
    """What is done now, on one line each."""
    print(f"{progress.done:3} of {progress.total:3}  {progress.current}", file=sys.stderr)


def main() -> int:
    """Measure, write, and say what is written."""
    with tempfile.TemporaryDirectory() as home:
        workspace = Workspace.open(Path(home), limited=False)
        try:
            model = workspace.models.sample(sample_run.MODEL)
            calibration, evaluation = workspace.data.samples()
            asked = sample_run.question(model.digest, calibration.digest, evaluation.digest)
            run = workspace.runs.measure(asked, "", tell)
        finally:
            workspace.close()
    if run.progress.state is not State.DONE:
        print(f"not written: {run.progress.message}", file=sys.stderr)
        return 1
    sample_run.RECORD.write_text(sample_run.record(run), encoding="utf-8")
    print(headline(run))
    return 0


if __name__ == "__main__":
    sys.exit(main())
