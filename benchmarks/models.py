"""Every model of a folder through the main passes: what ran, what was refused, and what it gave.

    .venv/bin/python -m benchmarks.models --data-dir DATA [--only NAME ...] [--images 500]

DATA holds models/NAME.onnx, each with models/NAME.preprocess.json where it takes images, and the
image sets that SETS names by the beginning of a model's name. Everything goes through
`Workspace.runs.measure`, as from the screen; dynamic batches are frozen to 1, dynamic heights and
widths to what the preprocessing makes, others to what --freeze says. Prints a markdown table, then
the reasons.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.data import read_preprocess
from core.errors import CoreError
from core.records import (
    ExperimentSpec,
    Measurement,
    ModelSummary,
    Outcome,
    Preprocess,
    Recipe,
    Run,
    Status,
    Step,
)
from core.wording import sentence
from core.workspace import Workspace

OWNER = "benchmark"
RAW = {"ratio": 0.25, "criterion": "l1", "repair": False}
RECIPES = (
    Recipe("fold", (Step("fold_batch_norm"),)),
    Recipe("prune 0.25, no repair", (Step("prune_channels", RAW),)),
    Recipe("prune 0.25", (Step("prune_channels", {"ratio": 0.25}),)),
    Recipe("fp16", (Step("convert_precision", {"precision": "fp16"}),)),
    Recipe("int8", (Step("quantize_static"),)),
)
# Beginning of a model's name -> calibration images, labelled images; none for no labels that fit.
SETS = {
    "cifar10": ("cifar10_calibration.npz", "cifar10_test.npz"),
    "fmnist": ("fashion_mnist_calibration.npz", "fashion_mnist_test.npz"),
    "imagenet": ("imagenet_calibration200.zip", "imagenet_dev200.zip"),
    "weird_imagenet": ("imagenet_calibration200.zip", "imagenet_dev200.zip"),
    "coco": ("imagenet_calibration200.zip", ""),
    "face": ("imagenet_calibration200.zip", ""),
}
SKIPS_SHOWN = 3


def main() -> int:
    """Print the table and the reasons."""
    asked = _options()
    backends = tuple(asked.backend or ("onnxruntime", "openvino", "opencv"))
    print("| model | recipe | outcome | top-1 | bytes | " + " | ".join(backends) + " |")
    print("|---|---|---|---|---|" + "---|" * len(backends))
    reasons: list[str] = []
    start = time.monotonic()
    for file in sorted((asked.data_dir / "models").glob("*.onnx")):
        if asked.only and file.stem not in asked.only:
            continue
        with tempfile.TemporaryDirectory(prefix="lathe-") as home:
            workspace = Workspace.open(Path(home))
            try:
                run = measured(workspace, file, asked, backends)
            except CoreError as error:
                print(f"| {file.stem} | - | refused: {error.message} |", flush=True)
                continue
            finally:
                workspace.close()
            for line in lines(file.stem, run, backends):
                print(line, flush=True)
            reasons += why(file.stem, run)
    print("\n" + "\n".join(reasons))
    print(f"\n{time.monotonic() - start:.0f} s; load at the end {os.getloadavg()[0]:.1f}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--backend", action="append", default=[])
    parser.add_argument("--recipes", nargs="*", default=[r.name for r in RECIPES], metavar="NAME")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--budget-s", type=float, default=2.5)
    parser.add_argument(
        "--freeze", action="append", default=[], metavar="NAME:DIM=SIZE", help="repeatable"
    )
    return parser.parse_args()


def measured(
    workspace: Workspace, file: Path, asked: argparse.Namespace, backends: tuple[str, ...]
) -> Run:
    """Admit the model and its images, run all recipes.

    Raises:
        CoreError: the model is refused.
    """
    model = prepared(workspace, file, asked)
    calibration, evaluation = sets(workspace, file.stem, asked.data_dir)
    spec = ExperimentSpec(
        title=file.stem,
        model=model.digest,
        recipes=tuple(recipe for recipe in RECIPES if recipe.name in asked.recipes),
        backends=backends,
        calibration=calibration,
        evaluation=evaluation,
        images=asked.images,
        latency_budget_s=asked.budget_s,
    )

    return workspace.runs.measure(spec, OWNER)


def prepared(workspace: Workspace, file: Path, asked: argparse.Namespace) -> ModelSummary:
    """The model, with sizes for its dynamic dimensions and its preprocessing inside.

    Raises:
        CoreError: it is refused.
    """
    model = workspace.models.add(file.name, file, OWNER)
    described = file.with_suffix(".preprocess.json")
    preprocess = None
    if described.exists():
        preprocess = read_preprocess(json.loads(described.read_text(encoding="utf-8")))
    dims = sizes(model, preprocess) | given(file.stem, asked.freeze)
    dims = {name: size for name, size in dims.items() if name in model.dynamic_dims}
    if dims:
        model = workspace.models.freeze(model.digest, dims, OWNER)
    if preprocess:
        model = workspace.models.set_preprocess(model.digest, preprocess, OWNER)
    return model


def sizes(model: ModelSummary, preprocess: Preprocess | None) -> dict[str, int]:
    """Dynamic dimensions: one image, as large as the preprocessing makes it."""
    found: dict[str, int] = {}
    for spec in model.inputs:
        if spec.shape and isinstance(spec.shape[0], str):
            found[spec.shape[0]] = 1
        if preprocess is None or len(spec.shape) != 4:
            continue
        made = preprocess.resize_after_crop or preprocess.crop or preprocess.resize
        places = (2, 3) if preprocess.layout == "NCHW" else (1, 2)
        for place, size in zip(places, made or (), strict=False):
            dim = spec.shape[place]
            if isinstance(dim, str):
                found[dim] = size
    return found


def given(name: str, texts: Sequence[str]) -> dict[str, int]:
    """What --freeze says of this model."""
    pairs = (text.removeprefix(f"{name}:") for text in texts if text.startswith(f"{name}:"))
    return {dim: int(size) for dim, _, size in (pair.rpartition("=") for pair in pairs)}


def sets(workspace: Workspace, name: str, data_dir: Path) -> tuple[str, str]:
    """Digests of the calibration and evaluation images; empty for none."""
    for beginning, files in SETS.items():
        if name.startswith(beginning):
            return tuple(  # type: ignore[return-value]
                workspace.data.add(file, data_dir / file, OWNER).digest if file else ""
                for file in files
            )
    return "", ""


def lines(name: str, run: Run, backends: Sequence[str]) -> Iterator[str]:
    """One line of the table for each recipe."""
    before = row(run, run.model.digest, "top1", backends[0])
    for outcome in run.outcomes[1:]:
        digest = outcome.candidate.digest if outcome.candidate else ""
        after = row(run, digest, "top1", backends[0])
        top1 = f"{number(before)} → {number(after)}" if digest else "-"
        size = outcome.summary.size_bytes if outcome.summary else 0
        cells = [verdict(run, digest, backend) for backend in backends]
        print_bytes = f"{run.outcomes[0].summary.size_bytes:,} → {size:,}"  # type: ignore[union-attr]
        told = state(run, outcome)
        if told != "ran":
            top1, print_bytes, cells = "-", "-", ["-"] * len(backends)
        yield f"| {name} | {outcome.recipe.name} | {told} | {top1} | {print_bytes} | " + (
            " | ".join(cells) + " |"
        )


def state(run: Run, outcome: Outcome) -> str:
    """Ran, changed nothing, was reverted, or made no candidate."""
    if outcome.candidate is None:
        return "**no candidate**"
    if any(step.reverted for step in outcome.candidate.report):
        return "reverted"
    same = outcome.candidate.digest == run.model.digest
    return "nothing to do" if same else "ran"


def row(run: Run, digest: str, metric: str, backend: str) -> Measurement | None:
    """The last row of a question."""
    found = None
    for one in run.measurements:
        if (one.candidate, one.metric, one.backend) == (digest, metric, backend):
            found = one
    return found


def number(one: Measurement | None) -> str:
    """A percentage, or why there is none."""
    if one is None:
        return "?"
    return f"{one.value:.1f} %" if one.value is not None else one.reason.split(":")[0]


def verdict(run: Run, digest: str, backend: str) -> str:
    """The ratio in words, or the name of the error."""
    ratio = row(run, digest, "latency_ratio", backend)
    if ratio is None:
        return "?"
    if ratio.value is None:
        return ratio.reason.split(":")[0] if ratio.status is Status.FAILED else ratio.status.value
    return str(ratio.detail["text"])


def why(name: str, run: Run) -> Iterator[str]:
    """Everything that was refused, reverted, skipped or failed, with its reason."""
    for outcome in run.outcomes[1:]:
        title = f"- {name}, {outcome.recipe.name}: "
        if outcome.candidate is None:
            yield f"{title}no candidate: {outcome.reason}"
            continue
        for step in outcome.candidate.report:
            if step.reverted:
                yield f"{title}reverted: {step.reverted}"
            counts: dict[str, int] = {}
            for skip in step.skipped:
                reason = sentence(skip.reason)
                counts[reason] = counts.get(reason, 0) + 1
            for reason, count in list(counts.items())[:SKIPS_SHOWN]:
                yield f"{title}left alone ({count}): {reason}"
    for one in run.measurements:
        if one.status is Status.FAILED and one.metric in ("top1", "latency_ratio"):
            recipe = next(
                (
                    o.recipe.name
                    for o in run.outcomes
                    if o.candidate and o.candidate.digest == one.candidate
                ),
                "?",
            )
            yield f"- {name}, {recipe} on {one.backend}, {one.metric}: {one.reason}"


if __name__ == "__main__":
    sys.exit(main())
