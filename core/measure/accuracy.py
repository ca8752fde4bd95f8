"""What a candidate gets right on the same images as its baseline, on one backend.

Outputs of a whole set are computed once per (file, backend, set) and cached. The task of the model
(`core.tasks`) makes predictions of them, and its metrics (`core.metrics`) make the numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.backends.base import catalogue
from core.data import Annotations, kind_of
from core.devices.local import Progress, lock
from core.errors import CoreError, DataError
from core.measure import rows
from core.measure.verify import FEEDS, Verifier
from core.metrics.base import DELTA
from core.metrics.base import catalogue as metrics
from core.metrics.base.outputs import Outputs
from core.records import Artifact, Json, Measurement, ModelSummary, Preprocess, to_json
from core.records.artifacts import ONNX
from core.tasks.base import Signature, Task, Truth, expected_metric, task_of
from core.worker.client import Cancelled, Worker
from core.worker.setting import Setting, Source

Rows = list[Measurement]
FORM = "one row per image, or said to be shared"  # of kept outputs
SQNR = "sqnr_db"
ALONE = (
    "This is the original, read as {}: without annotations that fit it is what others are compared "
    "with, and has no score of its own."
)


def evaluate(
    model: ModelSummary,
    setting: Setting,
    source: Source,
    verifier: Verifier,
    caches: Path,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> Outputs:
    """Outputs of `model` on every image of `source`, from the cache if they were computed before.

    Raises:
        CoreError: the backend failed, or its output is wrong.
        Cancelled: the user asked to stop.
    """
    if source.data is None:
        raise DataError("There are no images to evaluate on.")
    made = verifier.artifacts.of(model.digest, model.path, setting.reads)
    folder = caches / "outputs" / _key(model, setting, source, made)
    if not (folder / "done.json").exists():
        _compute(model, setting, source, verifier, folder, progress, cancelled)
    done = json.loads((folder / "done.json").read_text(encoding="utf-8"))
    ragged, shared = (frozenset(map(int, done[key])) for key in ("ragged", "shared"))
    return Outputs(model, setting.spec, folder, int(done["images"]), ragged, shared)


def _compute(
    model: ModelSummary,
    setting: Setting,
    source: Source,
    verifier: Verifier,
    folder: Path,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> None:
    def check() -> None:
        if cancelled():
            raise Cancelled

    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        with lock.shared(check), Worker(model, cancelled, verifier.artifacts) as worker:
            worker.prepare(model, source, FEEDS)
            worker.load("model", model, setting)
            verifier.check(worker, "model", model, setting)
            done = worker.evaluate("model", model, source, scratch, progress)
        (scratch / "done.json").write_text(json.dumps(to_json(done)), encoding="utf-8")
        os.replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _key(model: ModelSummary, setting: Setting, source: Source, read: Artifact) -> str:
    facts = [
        model.digest,
        setting.spec,
        setting.options.precision,
        catalogue()[setting.name].version(),
        source.digest or str(source.data),
        to_json(source.preprocess),
        source.images,
        to_json([spec.shape for spec in model.inputs]),  # the size that it is run at
        FORM,
    ]
    if read.format != ONNX:
        facts.append(read.digest)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def accuracy(
    baseline: Outputs,
    candidate: Outputs,
    annotations: Annotations | None,
    data: str,
    preprocess: Preprocess | None = None,
) -> Rows:
    """Every metric of the model's task, the paired difference of the primary one, and SQNR.

    Args:
        baseline: of the original on the same backend.
        candidate: of the candidate; may be the baseline itself.
        annotations: of the whole set, or None.
        data: digest of the image set.
        preprocess: how its pixels became the input.
    """
    return _Scoring(baseline, candidate, data, preprocess).rows(annotations)


@dataclass(frozen=True)
class _Scoring:
    """One candidate beside the original on the images that both have."""

    baseline: Outputs
    candidate: Outputs
    data: str
    preprocess: Preprocess | None
    _known: dict[tuple[str, int], Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return min(self.baseline.images, self.candidate.images)

    @property
    def alone(self) -> bool:
        return self.baseline.model.digest == self.candidate.model.digest

    @property
    def condition(self) -> dict[str, str]:
        return {
            "data": self.data,
            "images": str(self.count),
            "baseline": self.baseline.model.digest,
        }

    def rows(self, annotations: Annotations | None) -> Rows:
        """All of them; at least one, be it a reason."""
        signature = Signature.of_outputs(self.candidate)
        task = task_of(signature)
        if task is not task_of(Signature.of_outputs(self.baseline)):
            task = task_of(Signature((), ()))
        after = task.decode(self.candidate, self.count, self.preprocess)
        before = after if self.alone else task.decode(self.baseline, self.count, self.preprocess)
        same: Rows = []
        if not self.alone and task.stand_in != SQNR:
            same = self._scored(task, task.stand_in, after, Truth(before))
        found = self._against(task, signature, annotations, before, after, same)
        if not self.alone:
            found += self._scored(task, SQNR, self.candidate, Truth(self.baseline))
        return found or [self._nothing(task)]

    def _against(
        self,
        task: Task,
        signature: Signature,
        annotations: Annotations | None,
        before: Any,
        after: Any,
        same: Rows,
    ) -> Rows:
        """The rows against annotations, around that against the original."""
        kind = kind_of(annotations)
        if annotations is None or (not task.annotations and kind == "labels"):
            return same
        if kind != task.annotations:
            error = DataError(_unmet(task, kind, _shapes(signature)))
            return [*same, self._failed(expected_metric(self.candidate.model, annotations), error)]
        try:
            truth = task.truth(after, annotations)
            found = [row for n in task.metrics for row in self._scored(task, n, after, truth)]
            change = [] if self.alone else [self._changed(task, before, after, truth, same)]
        except DataError as error:
            row = self._failed(task.primary, error)
            return [*same, replace(row, detail={**row.detail, kind: "beyond the outputs"})]
        return [*found, *same, *change]

    def _scored(self, task: Task, name: str, predictions: Any, truth: Truth) -> Rows:
        metric = metrics()[name]
        statistics = self._statistics(name, predictions, truth)
        if statistics is None:
            return []
        detail = {**truth.detail, **metric.detail(statistics)}
        return [self._row(task, name, metric.score(statistics), detail)]

    def _statistics(self, name: str, predictions: Any, truth: Truth) -> Any:
        """What is counted of each image, once; predictions and truth live as long as this does."""
        key = name, id(predictions)
        if key not in self._known:
            self._known[key] = metrics()[name].statistics(predictions, truth.value)
        return self._known[key]

    def _changed(
        self, task: Task, before: Any, after: Any, truth: Truth, same: Rows
    ) -> Measurement:
        """The paired difference of the primary metric, and what changed beside it."""
        metric = metrics()[task.primary]
        first, second = (self._statistics(task.primary, one, truth) for one in (before, after))
        detail = {k: v for row in same for k, v in row.detail.items() if k != "scored"}
        return self._row(task, task.primary + DELTA, metric.difference(first, second), detail)

    def _row(self, task: Task, name: str, interval: Any, detail: Json) -> Measurement:
        several = len(self.candidate.model.outputs) > 1 and task.first_output_only
        if several and name != SQNR:
            output = self.candidate.model.outputs[0].name
            detail = detail | {"scored": f"of the first output, {output!r}"}
        model, backend = self.candidate.model.digest, self.candidate.backend
        few = ""
        if self.count < metrics()[name.removesuffix(DELTA)].fewest:
            few = f"told from {self.count} images: too few for an interval that says much"
        return rows.measured(model, backend, name, interval, "exact", self.condition, detail, few)

    def _failed(self, name: str, error: CoreError) -> Measurement:
        model, backend = self.candidate.model.digest, self.candidate.backend
        return rows.failed(model, backend, name, error, self.condition)

    def _nothing(self, task: Task) -> Measurement:
        """Of the original, where nothing is known but what others are compared with."""
        model, backend = self.candidate.model.digest, self.candidate.backend
        row = rows.no_data(model, backend, task.stand_in)
        return replace(row, reason=ALONE.format(task.label), condition=self.condition)


def _shapes(signature: Signature) -> str:
    return ", ".join(f"{spec.name} {list(spec.shape)}" for spec in signature.outputs)


def _unmet(task: Task, kind: str, outputs: str) -> str:
    return (
        f"There are {kind} to score on, but the outputs ({outputs}) are read as {task.label}: "
        "they were only compared with the original's."
    )


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
