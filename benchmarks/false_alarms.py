"""The A/A test of the latency protocol: how often does it see a difference where there is none?

    .venv/bin/python -m benchmarks.false_alarms [--backend onnxruntime] [--comparisons 100]

A model is compared with itself, each time in a fresh worker: every "faster" or "slower" is a false
verdict (at most 5 % may be). Alternating with that, the same comparison with one side made slower
by 3 %: every "slower" is a find (at least 90 % must be). A model that always said "not enough data"
would pass the first half only.
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from core.measure import LatencyJob, Setting, Source, Verifier, latency
from core.pipeline.client import Workshop
from core.records import Measurement, ModelSummary, Status, Verdict

SAMPLES = Path(__file__).resolve().parents[1] / "sample_models"
MOST_FALSE, LEAST_FOUND = 0.05, 0.90


def main() -> int:
    """Print the table; the status is 1 if a target is missed."""
    asked = _options()
    with tempfile.TemporaryDirectory(prefix="lathe-") as folder:
        with Workshop() as workshop:
            file = SAMPLES / f"{asked.model}.onnx"
            model = workshop.admit(file, file.name, Path(folder))
        rows: dict[float, list[Measurement]] = {0.0: [], asked.slow_down: []}
        start, load = time.monotonic(), []
        for number in range(asked.comparisons):
            for slow_down in rows:
                rows[slow_down].append(compare(model, asked, slow_down))
            load.append(os.getloadavg()[0])
            if sys.stderr.isatty() or number % 10 == 9:
                print(f"{number + 1} of {asked.comparisons}", file=sys.stderr, flush=True)
    print(f"{asked.model} on {asked.backend}, {asked.threads} thread(s), budget {asked.budget_s} s")
    spent = time.monotonic() - start
    print(f"{spent:.0f} s; load {min(load):.1f} to {max(load):.1f} on {os.cpu_count()} cores\n")
    false, found = report(rows[0.0], 0.0), report(rows[asked.slow_down], asked.slow_down)
    return int(false > MOST_FALSE or found < LEAST_FOUND)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="resnet", help="name of a sample model")
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--comparisons", type=int, default=100)
    parser.add_argument("--budget-s", type=float, default=6.0)
    parser.add_argument("--slow-down", type=float, default=0.03)
    return parser.parse_args()


def compare(model: ModelSummary, asked: argparse.Namespace, slow_down: float) -> Measurement:
    """One comparison of the model with itself, through all that a user's comparison goes through.

    Raises:
        RuntimeError: there is no ratio, so there is nothing to count.
    """
    setting = Setting.of(asked.backend, asked.threads)
    job = LatencyJob(model, model, setting, Source(), asked.budget_s, slow_down)
    found = latency(job, Verifier(Source(), lambda: False), lambda rows: None, lambda: False)
    ratio = next(row for row in found if row.metric == "latency_ratio")
    if ratio.status is Status.FAILED or ratio.value is None:
        raise RuntimeError(ratio.reason)
    return ratio


def report(rows: Sequence[Measurement], slow_down: float) -> float:
    """Print one line of the table; the share of the verdicts that it is about."""
    said = collections.Counter(Verdict(row.detail["verdict"]) for row in rows)
    called = said[Verdict.SLOWER] + (0 if slow_down else said[Verdict.FASTER])
    widths = sorted((row.high or 0.0) - (row.low or 0.0) for row in rows)
    errors = sorted(abs((row.value or 0.0) - 1 - slow_down) for row in rows)
    covered = sum((row.low or 0.0) <= 1 + slow_down <= (row.high or 0.0) for row in rows)
    pairs = sum(row.detail["pairs"] for row in rows) / len(rows)
    share, middle = called / len(rows), len(rows) // 2
    title = f"B slower by {slow_down:.0%}: found" if slow_down else "A against A: false verdicts"
    words = ", ".join(f"{verdict.value} {count}" for verdict, count in said.items())
    print(f"{title} {called} of {len(rows)} = {share:.1%}  ({words})")
    print(
        f"    |error| median {errors[middle]:.2%}, largest {errors[-1]:.2%}; interval median "
        f"{widths[middle]:.2%} wide, holds the truth {covered / len(rows):.0%}; {pairs:.1f} pairs"
    )
    return share


if __name__ == "__main__":
    sys.exit(main())
