"""Lathe's medians beside those of OpenVINO's own benchmark_app, alternated.

    .venv/bin/python -m benchmarks.beside_benchmark_app [--data-dir MODELS] [--rounds 5]

The same file, one stream, one request, f32, the same threads. Every round asks each of the two
once, in turn; dynamic dimensions are frozen to 1, because benchmark_app takes no others. What the
machine does besides hits both: compare the columns, not a number with one of another day. On a
machine that is shared only the minima can be compared: a median counts who else had the core.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from core.measure import Setting, Source
from core.pipeline.client import Workshop
from core.records import ModelSummary
from core.worker.client import Worker
from core.worker.timing.plan import TimingPlan

SAMPLES = Path(__file__).resolve().parents[1] / "sample_models"
OF_DATA = ("cifar10_resnet20", "imagenet_mobilenet_v1_0.25", "imagenet_squeezenet1_1_caffe")
APP = Path(sys.executable).with_name("benchmark_app")
SAID = re.compile(r"\[ INFO \]\s+(Median|Min):\s+([\d.]+) (us|ms)")
PER_MS = {"us": 1000.0, "ms": 1.0}
TARGET = 0.03
Times = tuple[float, float]  # median and minimum, ms


def main() -> int:
    """Print a markdown table; the status is 1 if the typical difference is over the target."""
    asked = _options()
    print("| model | Lathe, ms | benchmark_app, ms | ratio of medians | ratio of minima |")
    print("|---|---|---|---|---|")
    ratios = []
    with tempfile.TemporaryDirectory(prefix="lathe-") as folder, Workshop() as workshop:
        for file in files(asked.data_dir):
            model = workshop.admit(file, file.name, Path(folder))
            if model.dynamic_dims:
                dims = dict.fromkeys(model.dynamic_dims, 1)
                model = workshop.freeze(model.path, dims, Path(folder), file.stem)
            ratios.append(line(file.stem, model, asked))
    load = os.getloadavg()[0]
    print(
        f"\n{asked.threads} thread(s), {asked.rounds} rounds of {asked.seconds} s; load {load:.1f}"
    )
    return int(max(abs(ratio - 1) for ratio in ratios) > TARGET)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data-dir", type=Path, help="a folder with further models")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each side, in each round")
    return parser.parse_args()


def files(data_dir: Path | None) -> Iterator[Path]:
    """The samples, and three of the folder."""
    yield from sorted(SAMPLES.glob("*.onnx"))
    if data_dir:
        yield from (data_dir / f"{name}.onnx" for name in OF_DATA)


def line(name: str, model: ModelSummary, asked: argparse.Namespace) -> float:
    """Measure one model and print its line; the ratio of the medians."""
    mine, theirs = [], []
    for number in range(asked.rounds):
        sides = [(mine, ours), (theirs, benchmark_app)]
        for kept, ask in sides if number % 2 == 0 else reversed(sides):
            kept.append(ask(model, asked))
    medians = [statistics.median(median for median, _ in side) for side in (mine, theirs)]
    minima = [min(minimum for _, minimum in side) for side in (mine, theirs)]
    ratio = medians[0] / medians[1]
    print(
        f"| {name} | {medians[0]:.3f} (min {minima[0]:.3f}) | {medians[1]:.3f} "
        f"(min {minima[1]:.3f}) | {ratio:.3f} | {minima[0] / minima[1]:.3f} |",
        flush=True,
    )
    return ratio


def ours(model: ModelSummary, asked: argparse.Namespace) -> Times:
    """As core.measure.latency takes the samples that its medians are of."""
    with Worker(model, lambda: False) as worker:
        worker.prepare(model, Source(), 1)
        for slot in "ab":
            worker.load(slot, model, Setting.of("openvino", asked.threads))
        first = worker.time("a", "b", TimingPlan(warmup=10, blocks=3), 600.0)
        blocks = max(1, round(asked.seconds * 1e9 / statistics.median(first.a) / 16))
        found = worker.time("a", "b", TimingPlan(warmup=10, blocks=blocks, sample_s=0.0), 600.0)
    samples = [ns / 1e6 for ns in (*found.a, *found.b)]
    return statistics.median(samples), min(samples)


def benchmark_app(model: ModelSummary, asked: argparse.Namespace) -> Times:
    """What OpenVINO's tool says.

    Raises:
        RuntimeError: it failed, or says it in other words than this release.
    """
    command = [
        str(APP), "-m", str(model.path), "-d", "CPU", "-api", "sync", "-hint", "none",
        "-nireq", "1", "-nstreams", "1", "-nthreads", str(asked.threads),
        "-infer_precision", "f32", "-t", str(max(1, round(asked.seconds))),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = {name: float(n) / PER_MS[unit] for name, n, unit in SAID.findall(done.stdout)}
    if done.returncode or not {"Median", "Min"} <= said.keys():
        raise RuntimeError(f"benchmark_app failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    return said["Median"], said["Min"]


if __name__ == "__main__":
    sys.exit(main())
