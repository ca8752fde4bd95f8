"""Win back what a recipe lost: train the weights for some minutes to answer as the original did.

The teacher is the model before the first step of the recipe; no labels are needed. With integer
weights asked for, they are trained on the grid that they will be rounded to (fake quantization),
and written as float numbers on it: a later step that quantizes symmetrically per channel rounds
nothing more. What that grid is, and what a fold of batch norms does to it, is said in
`core.compress.distill.grids`; the loss, the images made out of images and the choice of the best
state in its neighbours. Structure, names, inputs and outputs of the graph stay.

Approximate: numbers change, and how far is told by the report, on images held out.

Source: Hinton et al. 2015, arXiv:1503.02531; Esser et al. 2020, arXiv:1902.08153.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import onnx_ir as ir

from core import graph as graphs
from core.calibration.services import Services
from core.compress.refit.needs import Needs, Workload
from core.errors import PassPrecondition, UnsupportedModel
from core.graph.values import float32_weight
from core.passes.base import Graph, Pass, Report, lift_constants, parameter
from core.passes.fine_tune import memory
from core.records import Note

if TYPE_CHECKING:
    from core.compress.distill.fine_tune import Result
    from core.compress.distill.student import Student

FEATURES = 6
BITS = {"float": 0, "int8": 8, "int4": 4, "int3": 3}
RATES = {"auto": 0.0, "0.0001": 1e-4, "0.0003": 3e-4, "0.001": 1e-3, "0.003": 3e-3}
MARGIN = 1.2  # CPU seconds granted for one of training
REMEDY = "pip install -r requirements/torch.txt"


@dataclass(frozen=True)
class FineTune(Pass):
    """Distillation from the original, with fake-quantized weights if wanted."""

    label: ClassVar[str] = "Fine-tune"
    help: ClassVar[str] = (
        "Trains the weights for some minutes to answer as the original did, without labels: wins "
        "back accuracy after pruning, or before int8 or int4. Needs PyTorch and many images."
    )
    gives: ClassVar[str] = (
        "trains the weights for minutes to answer as the original did, no labels; for int8 or "
        "int4 weights on their grid"
    )
    limits: ClassVar[str] = (
        "needs PyTorch (`requirements/torch.txt`; where a plain `pip install torch` would bring "
        "CUDA, install its CPU build first) and some hundred calibration images"
    )
    order: ClassVar[int] = 55
    needs_data: ClassVar[bool] = True
    mends: ClassVar[bool] = True
    for_integers: ClassVar[Mapping[str, Any]] = {"weights": "int8"}

    minutes: float = parameter(
        5.0,
        "Time",
        "How long to train; more helps, ever less.",
        unit="min",
        low=0.5,
        high=10.5,
        step=0.5,
    )
    weights: str = parameter(
        "float",
        "Weights",
        "What the weights will be stored as afterwards: they are trained as if they were.",
        choices=tuple(BITS),
    )
    activations: str = parameter(
        "float",
        "Activations",
        "What the layers will compute with afterwards.",
        choices=("float", "int8"),
    )
    edges: bool = parameter(
        True,
        "First and last layer at 8 bits",
        "Keeps them at 8 bits where the weights have fewer: they lose the most.",
        expert=True,
    )
    rate: str = parameter(
        "auto",
        "Learning rate",
        "The peak of Adam's rate; auto tries each for a moment.",
        choices=tuple(RATES),
        expert=True,
    )
    steps: int = parameter(
        0,
        "Steps",
        "A fixed number of optimizer steps instead of a time, so that another run does the same.",
        low=0,
        high=1_000_000,
        step=1,
        expert=True,
    )
    seed: int = parameter(
        0, "Seed", "Of everything random.", low=0, high=1_000_000, step=1, expert=True
    )

    @classmethod
    def lacks(cls) -> str:
        """How to get PyTorch where it is not installed."""
        return "" if importlib.util.find_spec("torch") else REMEDY

    def requires(self, graph: Graph) -> None:
        """Refuse without PyTorch, and where no weight can be trained."""
        if self.lacks():
            raise PassPrecondition(
                f"Fine-tuning needs PyTorch, which is not installed; install it with: {REMEDY}",
                REMEDY,
            )
        if not _layers(graph):
            raise PassPrecondition(
                "The model has no layer with float32 weights to train (convert the precision "
                "after fine-tuning, not before)."
            )

    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Train, and write what proved best on the images held out."""
        if not services.count:
            raise PassPrecondition("Fine-tuning needs calibration images, and there are none.")
        from core.compress.distill.student import Precision, enrol

        lift_constants(graph)
        precision = Precision(BITS[self.weights], BITS[self.activations], self.edges)
        try:
            student = enrol(graph, precision)
            result = self._train(graph, student, report, services)
        except UnsupportedModel as error:
            raise PassPrecondition(error.message) from None
        for name, reason in student.skipped.items():
            report.skip(name, reason)
        if result.after < result.before or precision.weight_bits:
            report.changed = student.write(graph)
        self._say(result, report)

    def preview(self, graph: Graph, report: Report) -> bool:
        """Numbers change, sizes and counts do not."""
        return True

    def cpu_s(self) -> float:
        """All cores for as long as it may train."""
        return self.minutes * 60 * (os.cpu_count() or 1) * MARGIN

    def needs(self, graph: Graph, work: Workload) -> Needs:
        """PyTorch itself, the images, and the activations of one step with their gradients."""
        return memory.needs(graph, work)

    def _train(self, graph: Graph, student: Student, report: Report, services: Services) -> Result:
        from core.compress.distill.fine_tune import Training, TrainingPlan
        from core.compress.distill.images import gather

        original = services.original or graph.clone()
        outputs = [
            value.name or ""
            for value in graph.graph.outputs
            if value.dtype == ir.DataType.FLOAT and value.producer() is not None
        ]
        features = _features(original, graph)
        if not outputs:
            raise PassPrecondition("The model has no float32 output to learn from.")
        training = Training(
            student,
            services.runner(original, [*outputs, *features]),
            gather(services.feeds(), _fixed_batch(graph)),
            outputs,
            features,
            TrainingPlan(self.minutes * 60, self.steps, RATES[self.rate], self.seed),
            report.tell,
        )
        try:
            return training.run()
        except RuntimeError as error:  # PyTorch knows no more special one
            if "allocate memory" not in str(error):
                raise
            raise PassPrecondition(
                "Fine-tuning ran out of memory: use fewer calibration images, or smaller ones."
            ) from None

    def _say(self, result: Result, report: Report) -> None:
        report.note(Note.of(
            "fine_tune.distance", before=result.before, after=result.after, steps=result.steps,
            seconds=result.seconds, images=result.images, rate=result.rate,
        ))  # fmt: skip
        if result.after >= result.before:
            report.note(Note.of("fine_tune.no_closer"))
        if self.weights != "float":
            report.note(Note.of("fine_tune.on_grid", weights=self.weights))


def _layers(graph: Graph) -> list[ir.Node]:
    return [node for node in graph.graph if float32_weight(node) is not None]


def _features(original: Graph, graph: Graph) -> list[str]:
    """Inputs of layers that both graphs compute under the same name, evenly over the depth."""
    known = {value.name for node in original.graph for value in node.outputs}
    found: dict[str, None] = {}
    for node in _layers(graph):
        value = node.inputs[0]
        if value is not None and value.producer() is not None and value.name in known:
            found[value.name or ""] = None
    names = list(found)
    return [names[int(i)] for i in np.linspace(0, len(names) - 1, min(FEATURES, len(names)))]


def _fixed_batch(graph: Graph) -> int:
    spec = graphs.input_specs(graph)[0]
    first = spec.shape[0] if spec.shape else 1
    return first if isinstance(first, int) else 0


PASS = FineTune
