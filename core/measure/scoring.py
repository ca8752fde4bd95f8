"""What a candidate gets right on the same images as its baseline, on one backend.

The task of the model (`core.tasks`) makes predictions of the outputs, and its metrics
(`core.metrics`) make the numbers. All candidates of a backend stand beside one baseline, whose
predictions and counts are kept from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from core.data import Annotations, kind_of
from core.devices.local import memory
from core.errors import CoreError, DataError
from core.measure import rows
from core.metrics.base import DELTA
from core.metrics.base import catalogue as metrics
from core.metrics.base.outputs import Outputs
from core.records import Json, Measurement, ModelSummary, Preprocess
from core.tasks.base import Signature, Task, Truth, expected_metric, task_of, unmet
from core.worker.setting import Setting

Rows = list[Measurement]
SQNR = "sqnr_db"
SHARE = 8  # of the memory that is free, one part for the predictions of a baseline at most
ALONE = (
    "This is the original, read as {}: without annotations that fit it is what others are compared "
    "with, and has no score of its own."
)


@dataclass
class Predicted:
    """One model's outputs as predictions of its task, decoded when they are asked for.

    Attributes:
        outputs: of the model.
        task: that reads them.
        count: images, the first of the set.
        preprocess: how pixels became inputs.
        annotations: of the whole set, or None.
        kept: whether predictions stay in memory once they are made.
    """

    outputs: Outputs
    task: Task
    count: int
    preprocess: Preprocess | None
    annotations: Annotations | None
    kept: bool = True
    _predictions: Any = None
    _truth: Truth | None = None
    _counted: dict[str, Any] = field(default_factory=dict)

    @property
    def predictions(self) -> Any:
        """As the task decodes them."""
        if self._predictions is not None:
            return self._predictions
        found = self.task.decode(self.outputs, self.count, self.preprocess)
        if self.kept:
            self._predictions = found
        return found

    @property
    def truth(self) -> Truth:
        """The annotations in the form of these predictions.

        Raises:
            DataError: there are none, or they cannot be this model's.
        """
        if self._truth is None:
            if self.annotations is None:
                raise DataError("There are no annotations.")
            self._truth = self.task.truth(self.predictions, self.annotations)
        return self._truth

    def counted(self, name: str) -> Any:
        """What a metric counts of each image against the annotations.

        Raises:
            DataError: as `truth`.
        """
        if name not in self._counted:
            truth = self.truth
            self._counted[name] = metrics()[name].statistics(self.predictions, truth.value)
        return self._counted[name]


class Scorer:
    """Scores candidates beside their baselines on one set; remembers the last baseline."""

    def __init__(
        self, annotations: Annotations | None, data: str, preprocess: Preprocess | None = None
    ) -> None:
        """Nothing is read yet.

        Args:
            annotations: of the whole set, or None.
            data: digest of the set.
            preprocess: how its pixels became the input.
        """
        self._annotations, self._data, self._preprocess = annotations, data, preprocess
        self._baseline: Predicted | None = None

    def rows(self, baseline: Outputs, candidate: Outputs) -> Rows:
        """Every metric of the task, the paired difference of the primary one, and SQNR.

        Args:
            baseline: of the original on the same backend.
            candidate: of the candidate; may be the baseline itself.
        """
        signature = Signature.of_outputs(candidate)
        task = task_of(signature)
        if task is not task_of(Signature.of_outputs(baseline)):
            task = task_of(Signature((), ()))
        count = min(baseline.images, candidate.images)
        before = self._known(baseline, task, count)
        if baseline.model.digest == candidate.model.digest:
            return _Scoring(before, before, self._data).rows(signature)
        after = Predicted(candidate, task, count, self._preprocess, self._annotations)
        return _Scoring(before, after, self._data).rows(signature)

    def _known(self, baseline: Outputs, task: Task, count: int) -> Predicted:
        """The baseline, decoded and counted once; its predictions are made anew if too large."""
        last = self._baseline
        if last is None or (last.outputs, last.task, last.count) != (baseline, task, count):
            kept = baseline.size_bytes <= memory.budget_bytes() // SHARE
            last = Predicted(baseline, task, count, self._preprocess, self._annotations, kept)
            self._baseline = last
        return last


@dataclass(frozen=True)
class _Scoring:
    """One candidate beside the original on the images that both have."""

    before: Predicted
    after: Predicted
    data: str

    @property
    def alone(self) -> bool:
        return self.before is self.after

    @property
    def condition(self) -> dict[str, str]:
        return {
            "data": self.data,
            "images": str(self.after.count),
            "baseline": self.before.outputs.model.digest,
        }

    def rows(self, signature: Signature) -> Rows:
        """All of them; at least one, be it a reason."""
        task, same = self.after.task, Rows()
        if not self.alone and task.stand_in != SQNR:
            same = self._beside(task.stand_in, self.after.predictions, self.before.predictions)
        found = self._against(task, signature, same)
        if not self.alone:
            found += self._beside(SQNR, self.after.outputs, self.before.outputs)
        return found or [self._nothing(task)]

    def _against(self, task: Task, signature: Signature, same: Rows) -> Rows:
        """The rows against annotations, around that against the original."""
        annotations = self.after.annotations
        kind = kind_of(annotations)
        if annotations is None or (not task.annotations and kind == "labels"):
            return same
        if kind != task.annotations:
            error = DataError(unmet(task, kind, signature.outputs))
            model = self.after.outputs.model
            return [*same, self._failed(expected_metric(model, annotations), error)]
        try:
            found = [row for name in task.metrics for row in self._scored(name)]
            change = [] if self.alone else [self._changed(task.primary, same)]
        except DataError as error:
            row = self._failed(task.primary, error)
            return [*same, replace(row, detail={**row.detail, kind: "beyond the outputs"})]
        return [*found, *same, *change]

    def _scored(self, name: str) -> Rows:
        """Against the annotations."""
        statistics = self.after.counted(name)
        return self._measured(name, statistics, self.after.truth.detail)

    def _beside(self, name: str, after: Any, before: Any) -> Rows:
        """Against the original."""
        return self._measured(name, metrics()[name].statistics(after, before), {})

    def _measured(self, name: str, statistics: Any, detail: Json) -> Rows:
        if statistics is None:
            return []
        metric = metrics()[name]
        return [self._row(name, metric.score(statistics), {**detail, **metric.detail(statistics)})]

    def _changed(self, name: str, same: Rows) -> Measurement:
        """The paired difference of the primary metric, and what changed beside it."""
        first, second = self.before.counted(name), self.after.counted(name)
        detail = {k: v for row in same for k, v in row.detail.items() if k != "scored"}
        return self._row(name + DELTA, metrics()[name].difference(first, second), detail)

    def _row(self, name: str, interval: Any, detail: Json) -> Measurement:
        outputs, task = self.after.outputs, self.after.task
        if len(outputs.model.outputs) > 1 and task.first_output_only and name != SQNR:
            output = outputs.model.outputs[0].name
            detail = detail | {"scored": f"of the first output, {output!r}"}
        few, count = "", self.after.count
        if count < metrics()[name.removesuffix(DELTA)].fewest:
            few = f"told from {count} images: too few for an interval that says much"
        return rows.measured(
            outputs.model.digest, outputs.backend, name, interval, "exact", self.condition, detail,
            few,
        )  # fmt: skip

    def _failed(self, name: str, error: CoreError) -> Measurement:
        outputs = self.after.outputs
        return rows.failed(outputs.model.digest, outputs.backend, name, error, self.condition)

    def _nothing(self, task: Task) -> Measurement:
        """Of the original, where nothing is known but what others are compared with."""
        outputs = self.after.outputs
        row = rows.no_data(outputs.model.digest, outputs.backend, task.stand_in)
        return replace(row, reason=ALONE.format(task.label), condition=self.condition)


def failed(
    model: ModelSummary,
    setting: Setting,
    error: CoreError,
    data: str,
    baseline: str,
    annotations: Annotations | None = None,
) -> Rows:
    """The row that stands where accuracy should."""
    condition = {"data": data, "baseline": baseline}
    metric = expected_metric(model, annotations)
    return [rows.failed(model.digest, setting.spec, metric, error, condition)]
