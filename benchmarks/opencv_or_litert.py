"""Is OpenCV or TensorFlow Lite faster on a PC? Models on every runtime, as a table.

    python -m benchmarks.opencv_or_litert MODEL ... [--threads 1] [--budget-s 10]

Each model is measured by itself as `measure` does: admitted, converted where a runtime asks for it,
its outputs held to ONNX Runtime's, then timed. A cell is the median of a call in ms with its 95 %
interval.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path

from core.backends.base import catalogue
from core.records import ExperimentSpec, Measurement, Status
from core.workspace import Workspace

OWNER = "benchmark"


def main() -> int:
    """Print a row for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget-s", type=float, default=10.0)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="lathe-") as home,
        contextlib.closing(Workspace.open(Path(home), limited=False)) as workspace,
    ):
        backends = [one.name for one in workspace.runs.backends() if one.version]
        labels = [catalogue()[name].label for name in backends]
        print(f"| model | {' | '.join(labels)} |\n|---|{'---|' * len(labels)}")
        for file in asked.models:
            model = workspace.models.add(file.name, file, OWNER)
            spec = ExperimentSpec(
                title=file.stem, model=model.digest, recipes=(),
                backends=tuple(backends), threads=(asked.threads,),
                latency_budget_s=asked.budget_s,
            )  # fmt: skip
            rows = workspace.runs.compare([(file.stem, model)], spec, lambda label: None)
            found = {row.backend: cell(row) for row in rows if row.metric == "latency_ms"}
            cells = [found.get(name, "-") for name in backends]
            print(f"| {file.stem} | {' | '.join(cells)} |", flush=True)
    return 0


def cell(row: Measurement) -> str:
    """A time, marked where the machine was too noisy; or that there is none."""
    if row.value is None:
        return "refused"
    noisy = " (noisy)" if row.status is Status.UNSTABLE else ""
    return f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]{noisy}"


if __name__ == "__main__":
    raise SystemExit(main())
