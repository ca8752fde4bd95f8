"""What int4 weights and deep pruning cost the `mobile` sample, and what fine-tuning wins back.

    python -m benchmarks.fine_tune [--data-dir sample_models] [--minutes 10 | --steps 1500]
                                   [--only int4|pruned]

The unlabelled calibration images train, by distillation from the original; the labelled evaluation
images score. Weights of int4 are symmetric per output channel, the first and the last layer at 8
bits, activations float: `nearest` takes the scale of the largest magnitude, `least error` the one
of the least squared error of a channel. `pruned` is 60 % of the channels inside blocks, by L1,
with nothing refitted.
The last column says how much of what was lost came back; CPU seconds are those of the training,
all threads together, which is what a time means on a machine that does other work as well.
Needs requirements/torch.txt.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir

from core import data
from core import graph as graphs
from core.calibration import Calibration, Probe
from core.compress.distill.student import Precision, enrol, output_axis
from core.graph import Graph
from core.passes.base import lift_constants
from core.pipeline import runner
from core.records import Recipe, Step
from core.wording import sentences

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before PyTorch: its threads must not spin


SAMPLES = Path(__file__).parents[1] / "sample_models"
BATCH = 100
PRUNE = Step(
    "prune_channels",
    {"ratio": 0.6, "multiple": 1, "scope": "inner", "criterion": "l1", "repair": False},
)


def admitted(file: Path, home: Path) -> Path:
    """An image set, read and checked."""
    return data.admit(file, file.name, home).path


def scorer(images: Path, graph: Graph) -> Callable[[Graph], float]:
    """A function from a graph to its top-1 in percent."""
    found = data.open_set(images)
    specs, preprocess = graphs.input_specs(graph), graphs.preprocess(graph)
    feeds = list(found.feeds(specs, preprocess, BATCH))
    output = graph.graph.outputs[0].name or ""

    def score(candidate: Graph) -> float:
        run = Probe(candidate, [output]).run
        answers = np.concatenate([run(batch)[output].argmax(1) for batch in feeds])
        return float((answers == found.labels).mean() * 100)

    return score


def nearest(graph: Graph) -> Graph:
    """Weights rounded to int4, scales by the largest magnitude, edges to int8."""
    made = graph.clone()
    lift_constants(made)
    layers = [node for node in made.graph if output_axis(node) is not None]
    for place, node in enumerate(layers):
        value, axis = node.inputs[1], output_axis(node) or 0
        array = graphs.constant(value)
        levels = 127 if place in (0, len(layers) - 1) else 7
        others = tuple(i for i in range(array.ndim) if i != axis)
        scale = np.maximum(np.abs(array).max(others, keepdims=True), 1e-12) / levels
        rounded = (np.round(array / scale) * scale).astype(np.float32)
        value.const_value = ir.tensor(rounded, name=value.name)
    return made


def least_error(graph: Graph) -> Graph:
    """The same, scales by the least squared error: where the training starts."""
    made = graph.clone()
    lift_constants(made)
    enrol(made, Precision(4)).write(made)
    return made


def tune(graph: Graph, recipe: Recipe, images: Path) -> tuple[Graph, float, float, list[str]]:
    """(what the recipe makes, CPU seconds, wall seconds, notes of its last step)."""
    statistics = Calibration(images, graphs.input_specs(graph), graphs.preprocess(graph))
    cpu, wall = time.process_time(), time.monotonic()
    made, reports = runner.apply(
        graph, recipe, statistics, during=lambda step, said, share: print(f"  {share:4.0%} {said}")
    )
    if reports[-1].reverted:
        raise SystemExit(reports[-1].reverted)
    spent = time.process_time() - cpu, time.monotonic() - wall
    return made, *spent, list(sentences(reports[-1].notes))


def line(title: str, top1: float, original: float, lost: float | None = None) -> str:
    """A row of the table."""
    back = f"{1 - (original - top1) / lost:8.0%}" if lost else ""
    return f"{title:34s} {top1:7.2f} {top1 - original:+8.2f} {back}"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=SAMPLES)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--rate", default="auto")
    parser.add_argument("--only", choices=("int4", "pruned"))
    asked = parser.parse_args()
    how = {"minutes": asked.minutes, "steps": asked.steps, "rate": asked.rate}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        graph = graphs.load(asked.data_dir / "mobile.onnx")
        score = scorer(admitted(asked.data_dir / "evaluation.zip", home), graph)
        calibration = admitted(asked.data_dir / "calibration.zip", home)
        original = score(graph)
        rows = [line("original", original, original)]
        if asked.only != "pruned":
            lost = original - score(nearest(graph))
            rows.append(line("int4, nearest", original - lost, original))
            rows.append(line("int4, least error", score(least_error(graph)), original, lost))
            recipe = Recipe("int4", (Step("fine_tune", {**how, "weights": "int4"}),))
            made, cpu, wall, notes = tune(graph, recipe, calibration)
            rows.append(line("int4, fine-tuned", score(nearest(made)), original, lost))
            rows.append(f"    {cpu:.0f} CPU s in {wall:.0f} s; {notes[0]}")
        if asked.only != "int4":
            pruned, _ = runner.apply(graph, Recipe("pruned", (PRUNE,)))
            lost = original - score(pruned)
            rows.append(line("pruned 60 %", original - lost, original))
            recipe = Recipe("pruned", (PRUNE, Step("fine_tune", how)))
            made, cpu, wall, notes = tune(graph, recipe, calibration)
            rows.append(line("pruned 60 %, fine-tuned", score(made), original, lost))
            rows.append(f"    {cpu:.0f} CPU s in {wall:.0f} s; {notes[0]}")
    print(f"{'mobile':34s} {'top-1 %':>7s} {'points':>8s} {'won back':>8s}")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
