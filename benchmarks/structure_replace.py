"""Replace the convolutions of a trained network and print what that costs and gains.

    python -m benchmarks.structure_replace --data-dir DIR [--model NAME] [--only macs,latency]
        [--images 512] [--backend onnxruntime --backend openvino --backend opencv]

DIR holds `models/NAME.onnx` with `models/NAME.preprocess.json`, `cifar10_calibration.npz` and
`cifar10_test.npz`. The first `--images` calibration images feed the passes, without their labels;
the others are held out, and the relative error of the logits on them chooses between recipes. Top-1
is that on the test set, which chooses nothing.

`macs`: each form at half the MACs. `latency`: for each backend, layer times are measured there and
recipes of a few speed-ups are built; the fastest that still agrees with the original on 98 % of the
held-out images is timed against the original by `core.measure.latency`. (An image on which the two
disagree is lost about as often as it is won, so that costs less than a point.)
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from core import graph as graphs
from core.data import open_set, read_preprocess
from core.errors import CoreError
from core.measure import LatencyJob, Setting, Source, Verifier, latency, staircase
from core.pipeline.client import Workshop
from core.records import ModelSummary, Outcome, Recipe, Step

HALF = (("spatial_svd", 90.3), ("depthwise_pointwise", 91.0), ("tucker2", None), ("best", None))
SPEEDUPS = (1.35, 1.4, 1.45, 1.55)
AGREEMENT = 98.0
MULTIPLE = 8


@dataclass(frozen=True)
class Score:
    """A candidate on held-out and test images."""

    logit_error: float
    agreement: float
    held_top1: float
    test_top1: float


class Bench:
    """The workshop with one model and its data admitted."""

    def __init__(self, workshop: Workshop, options: argparse.Namespace, home: Path) -> None:
        self.workshop, self.home = workshop, home
        self.models, self.times = home / "models", options.times or home / "times"
        folder = options.data_dir / "models"
        self.preprocess = read_preprocess(
            json.loads((folder / f"{options.model}.preprocess.json").read_text())
        )
        path = folder / f"{options.model}.onnx"
        admitted = workshop.admit(path, path.name, self.models)
        self.model = workshop.set_preprocess(admitted.path, self.preprocess, self.models)
        with np.load(options.data_dir / "cifar10_calibration.npz") as full:
            images, labels = full["images"], full["labels"]
        np.savez(home / "seen.npz", images=images[: options.images])
        held = {"images": images[options.images :], "labels": labels[options.images :]}
        np.savez(home / "held.npz", **held)
        self.seen = workshop.admit_data(home / "seen.npz", "seen.npz", home / "data")
        self.test = options.data_dir / "cifar10_test.npz"
        self.wanted = self._logits(self.model, home / "held.npz")[0]

    def build(self, params: dict[str, object], times: Path | None = None) -> Outcome:
        """One step of replacing."""
        recipe = Recipe("replace", (Step("replace_convolutions", params),))
        return self.workshop.build(
            self.model.path, recipe, self.seen.path, self.models, timings=times
        )

    def score(self, model: ModelSummary) -> Score:
        """Error of the logits and top-1 on held-out images, and top-1 on the test set."""
        got, labels = self._logits(model, self.home / "held.npz")
        spread = ((self.wanted - self.wanted.mean(0)) ** 2).sum()
        error = float(((got - self.wanted) ** 2).sum() / spread)
        seen, truth = self._logits(model, self.test)
        same = _top1(got, self.wanted.argmax(1))
        return Score(error, same, _top1(got, labels), _top1(seen, truth))

    def _logits(self, model: ModelSummary, images: Path) -> tuple[np.ndarray, np.ndarray]:
        session = ort.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
        opened = open_set(images)
        specs = graphs.input_specs(graphs.load(model.path))
        feeds = opened.feeds(specs, self.preprocess, 50)
        rows = np.concatenate([session.run(None, one)[0] for one in feeds])
        return rows[: opened.count], np.asarray(opened.labels)


def _top1(logits: np.ndarray, labels: np.ndarray) -> float:
    return 100 * float((logits.argmax(1) == labels).mean())


def halves(bench: Bench) -> Iterator[str]:
    """Each form at half the MACs."""
    for (form, target), multiple in itertools.product(HALF, (4, 8)):
        outcome = bench.build({"form": form, "speedup": 2.0, "multiple": multiple})
        if (reason := _failed(outcome)) or outcome.summary is None or outcome.candidate is None:
            yield f"{form}: {reason}"
            continue
        score, step = bench.score(outcome.summary), outcome.candidate.report[0]
        wish = f" (to reach {target})" if target else ""
        yield (
            f"{form}, multiples of {multiple}: MACs x"
            f"{outcome.summary.macs / bench.model.macs:.3f}, {outcome.summary.size_bytes / 1e3:.0f}"
            f" kB, held-out logit error {score.logit_error:.4f}, top-1 held out "
            f"{score.held_top1:.1f}, test {score.test_top1:.1f}{wish}; {step.seconds:.0f} s"
        )


def _failed(outcome: Outcome) -> str:
    """Why there is no candidate, or none that differs; empty if there is one."""
    if outcome.candidate is None:
        return outcome.reason
    return "; ".join(step.reverted for step in outcome.candidate.report if step.reverted)


def fastest(bench: Bench, backend: str) -> Iterator[str]:
    """The fastest recipe within the allowed loss on one backend, timed there."""
    setting = Setting.of(backend)
    path = staircase.cache_path(bench.times, setting)
    chains = bench.workshop.layer_chains(bench.model.path, MULTIPLE)
    staircase.measure(chains, setting, path, bench.workshop.micro_models)
    base, best = bench.score(bench.model), None
    for speedup in SPEEDUPS:
        params = {"form": "best", "budget": "latency", "speedup": speedup, "backend": backend}
        outcome = bench.build(params, path)
        if (reason := _failed(outcome)) or outcome.summary is None:
            yield f"{backend} x{speedup}: {reason}"
            continue
        score = bench.score(outcome.summary)
        yield (
            f"{backend} x{speedup}: MACs x{outcome.summary.macs / bench.model.macs:.2f}, held-out "
            f"logit error {score.logit_error:.4f}, agreement {score.agreement:.1f}, top-1 test "
            f"{score.test_top1:.1f} ({score.test_top1 - base.test_top1:+.1f})"
        )
        if score.agreement >= AGREEMENT:
            best = outcome.summary, score, speedup
    if best is None:
        yield f"{backend}: no recipe agrees on {AGREEMENT:g} % of the held-out images"
    else:
        summary, score, speedup = best
        yield (
            f"{backend} chosen: x{speedup}, test {score.test_top1:.1f}; "
            f"{timed(bench, summary, setting)}"
        )


def timed(bench: Bench, model: ModelSummary, setting: Setting) -> str:
    """The verdict of the measuring protocol."""
    source = Source(bench.seen.path, bench.seen.digest, bench.preprocess, 0)
    job = LatencyJob(bench.model, model, setting, source, budget_s=20.0)
    verifier = Verifier(source, lambda: False)
    rows = latency(job, verifier, lambda rows: None, lambda: False)
    ratio = next(row for row in rows if row.metric == "latency_ratio")
    if ratio.value is None:
        return ratio.reason
    return (
        f"latency x{ratio.value:.3f} ({ratio.low:.3f}..{ratio.high:.3f}), "
        f"{ratio.detail['verdict']}: {ratio.detail['text']}"
    )


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--model", default="cifar10_resnet20")
    parser.add_argument("--only", default="macs,latency")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--backend", action="append", default=[])
    parser.add_argument("--times", type=Path, help="folder in which layer times are kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Workshop() as workshop:
        bench = Bench(workshop, options, Path(folder))
        base = bench.score(bench.model)
        print(f"original: test {base.test_top1:.1f}, {bench.model.macs / 1e6:.1f} M MACs")
        if "macs" in options.only:
            for line in halves(bench):
                print(line, flush=True)
        if "latency" in options.only:
            for backend in options.backend or ["onnxruntime", "openvino", "opencv"]:
                try:
                    for line in fastest(bench, backend):
                        print(line, flush=True)
                except CoreError as error:
                    print(f"{backend}: {error.message}")


if __name__ == "__main__":
    main()
