"""Does Lathe notice that others use the machine while it measures, and only then?

    .venv/bin/python -m benchmarks.busy [--comparisons 15] [--burners 0 1 2] [--threads 1 2]

A model is compared with itself while 0, 1 or 2 processes burn a core each. What else runs on the
machine is counted: a comparison is called quiet only if all others together had less than 1 % of
the cores meanwhile. A flag on a quiet one is false; one that is missing under load is a miss.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from core.measure import LatencyJob, Setting, Source, Verifier, latency
from core.pipeline.client import Workshop
from core.records import Measurement, ModelSummary

SAMPLES = Path(__file__).resolve().parents[1] / "sample_models"
BURN = "while True: pass"
CLASSES = (0.0, 0.01, 0.1, 0.3, 0.6, 1.01)  # of the cores' time that others had
OLD_SHARE = 0.9  # of the flag that this one replaced: CPU time below this share of the wall time


@dataclass(frozen=True)
class Seen:
    """One comparison: the row of its candidate, the one of its ratio, and what others used.

    Attributes:
        others: CPU time of all other processes, the burners among them, as a share of all cores.
    """

    side: Measurement
    ratio: Measurement
    others: float

    @property
    def old_flag(self) -> bool:
        """What was said before: on one thread only."""
        mean_ms = float(self.side.value or 0.0)
        one = self.side.condition["threads"] == "1"
        return one and float(self.side.detail["cpu_ms"]) < OLD_SHARE * mean_ms


def main() -> int:
    """Print the table."""
    asked = _options()
    print(
        "backend, threads, others' share of the cores | flagged | flagged before | "
        "in line: min, p50, max | stolen: max | median"
    )
    with tempfile.TemporaryDirectory(prefix="lathe-") as folder:
        with Workshop() as workshop:
            file = SAMPLES / f"{asked.model}.onnx"
            model = workshop.admit(file, file.name, Path(folder))
        for backend in asked.backends:
            for threads in asked.threads:
                seen = []
                for burners in asked.burners:
                    with burning(burners):
                        for _ in range(asked.comparisons):
                            seen.append(compare(model, backend, threads, asked))
                _report(seen, f"{backend}, {threads}")
    return 0


def _report(seen: list[Seen], title: str) -> None:
    for low, high in pairwise(CLASSES):
        found = [one for one in seen if low <= one.others < high]
        if not found:
            continue
        count = len(found)
        middle_ms = statistics.median(float(one.side.value or 0.0) for one in found)
        waited = sorted(float(one.ratio.detail["waited_share"]) for one in found)
        stolen = max(float(one.ratio.detail["stolen_share"]) for one in found)
        print(
            f"{title}, {low:.0%} to {high:.0%} | "
            f"{sum(bool(one.ratio.detail['busy']) for one in found)} of {count} | "
            f"{sum(one.old_flag for one in found)} of {count} | "
            f"{waited[0]:.2%}, {waited[count // 2]:.2%}, {waited[-1]:.2%} | {stolen:.2%} | "
            f"{middle_ms:.3f} ms",
            flush=True,
        )


def compare(model: ModelSummary, backend: str, threads: int, asked: argparse.Namespace) -> Seen:
    """One comparison of the model with itself, as a user's goes."""
    job = LatencyJob(model, model, Setting.of(backend, threads), Source(), asked.budget_s)
    start_s, used_s, own_s = time.monotonic(), _used_s(), _own_s()
    found = latency(job, Verifier(Source(), lambda: False), lambda rows: None, lambda: False)
    took_s = (time.monotonic() - start_s) * (os.cpu_count() or 1)
    others_s = _used_s() - used_s - (_own_s() - own_s)
    by_metric = {row.metric: row for row in found}
    return Seen(by_metric["latency_ms"], by_metric["latency_ratio"], max(0.0, others_s / took_s))


def _used_s() -> float:
    """CPU seconds of everything that ran on this machine: user, nice, system, interrupts."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    return sum(int(fields[i]) for i in (1, 2, 3, 6, 7)) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    """CPU seconds of this process and of its workers that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@contextmanager
def burning(count: int) -> Iterator[None]:
    """So many processes that burn a core each."""
    processes = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="resnet", help="name of a sample model")
    parser.add_argument("--backends", nargs="+", default=["onnxruntime"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--burners", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--comparisons", type=int, default=15)
    parser.add_argument("--budget-s", type=float, default=1.5)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
