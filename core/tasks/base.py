"""A task: which models it fits, how their outputs become predictions, and what they are scored by.

The task is told by the outputs, never by the annotations: these say only whether it can be scored
against a truth (by its primary metric) or against the original (by its stand-in). A model that fits
none is `raw`: its outputs are compared as numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from core.catalogue import discover
from core.data import Annotations, kind_of
from core.metrics.base.outputs import Declared, Outputs
from core.records import MEASURED, Json, Measurement, Preprocess, TensorSpec

FALLBACK = "raw"
NO_SCORES = ("bool", "int16", "int32", "int64", "uint16", "uint32", "uint64", "string")


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs of a model: as declared, or with the sizes that a run has shown.

    Attributes:
        ragged: outputs whose shape depends on the image.
        shared: outputs of which nothing shows that each row belongs to one image.
        labels: class names that the file carries.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ragged: frozenset[int] = frozenset()
    shared: frozenset[int] = frozenset()
    labels: tuple[str, ...] = ()

    @classmethod
    def of_model(cls, model: Declared) -> Signature:
        """What the file declares."""
        return cls(model.inputs, model.outputs, labels=model.labels)

    @classmethod
    def of_outputs(cls, outputs: Outputs) -> Signature:
        """What a run has shown."""
        model = outputs.model
        specs = tuple(
            replace(spec, shape=tuple(map(int, outputs.array(index).shape)))
            for index, spec in enumerate(model.outputs)
        )
        return cls(model.inputs, specs, outputs.ragged, outputs.shared, model.labels)

    def is_regular(self, index: int) -> bool:
        """Whether each image has one row of one shape in this output."""
        return index < len(self.outputs) and index not in self.ragged | self.shared


@dataclass(frozen=True, slots=True)
class Truth:
    """Annotations in the form of a task's predictions.

    Attributes:
        value: what the metrics compare with.
        chance: what answers at random would score, 0 to 1.
        detail: what rows say of how they were read.
    """

    value: Any
    chance: float = 0.0
    detail: Json = field(default_factory=dict)


@runtime_checkable
class Task(Protocol):
    """One file, or folder, of this package, which ends in an object `TASK` of this form.

    Attributes:
        label: what a person calls it.
        outputs: the form that it takes, in a few words for the manual (Markdown).
        annotations: the kind that it is scored on: "labels", "masks", "boxes"; empty for none.
        primary: the metric that stands for a run with annotations.
        stand_in: the metric that stands for a run without.
        metrics: those against annotations, in the order of their rows, the primary one first.
        first_output_only: whether further outputs are left out of the score.
    """

    label: str
    outputs: str
    annotations: str
    primary: str
    stand_in: str
    metrics: tuple[str, ...]
    first_output_only: bool

    def matches(self, signature: Signature) -> bool:
        """Whether outputs of this form are this task's. No two tasks match the same."""
        ...

    def decode(self, outputs: Outputs, count: int, preprocess: Preprocess | None) -> Any:
        """Predictions for the first `count` images.

        Args:
            outputs: of a model that matches.
            count: images.
            preprocess: how pixels became the input; None was guessed from the input.
        """
        ...

    def truth(self, predictions: Any, annotations: Annotations) -> Truth:
        """Annotations of the same images in the form of the predictions.

        Raises:
            DataError: they cannot be this model's.
        """
        ...


@functools.cache
def catalogue() -> Mapping[str, Task]:
    """Every task by its name."""
    return discover("core.tasks", "TASK")


def task_of(signature: Signature) -> Task:
    """The task whose outputs these are."""
    found = (task for name, task in catalogue().items() if name != FALLBACK)
    return next((t for t in found if t.matches(signature)), catalogue()[FALLBACK])


def unmet(task: Task, kind: str, outputs: Iterable[TensorSpec]) -> str:
    """What is said where annotations of another kind stand beside a model of this task."""
    shapes = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in outputs)
    return (
        f"There are {kind} to score on, but the outputs ({shapes}) are read as {task.label}: they "
        "are only compared with the original's."
    )


def unmet_by(model: Declared, kind: str) -> str:
    """The same told from the file alone; empty where they meet, or only a run can tell.

    Args:
        model: as its file declares it.
        kind: of the annotations; empty for none.
    """
    task = task_of(Signature.of_model(model))
    if not kind or task is catalogue()[FALLBACK] or kind == task.annotations:
        return ""
    return unmet(task, kind, model.outputs)


def expected_metric(model: Declared, annotations: Annotations | None) -> str:
    """The metric that a row of this model stands for before anything was run."""
    kind = kind_of(annotations)
    if kind:
        scored = (task for task in catalogue().values() if task.annotations == kind)
        return next(task.primary for task in scored)
    return task_of(Signature.of_model(model)).stand_in


def primary_metric(rows: Iterable[Measurement]) -> str:
    """The one metric that stands for the accuracy of a run, told by its rows.

    A task's primary metric where anything was measured by it, else its stand-in, else SQNR. While
    nothing is measured it is what the rows failed by; without any row top-1.
    """
    known = list(rows)
    measured = {row.metric for row in known if row.status in MEASURED}
    asked = {row.metric for row in known}
    for names in (measured, asked):
        for name in order():
            if name in names:
                return name
    return order()[0]


@functools.cache
def order() -> tuple[str, ...]:
    """Metrics that may stand for a run, the more telling before the less."""
    tasks = [task for name, task in catalogue().items() if name != FALLBACK]
    names = [task.primary for task in tasks] + [task.stand_in for task in tasks]
    return (*names, catalogue()[FALLBACK].primary)
