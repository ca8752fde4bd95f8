"""What a candidate gets right on the same images as its baseline, on one backend.

Outputs of a whole set are computed once per (file, backend, set) and cached; scores come from them.
SQNR is that of the worst output and group of channels: see `core.fidelity`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.backends.base import catalogue
from core.data import check_labels, has_background_class
from core.errors import CoreError, DataError, InferenceFailed
from core.fidelity import CAP_DB, Powers, in_words
from core.measure import rows, statistics
from core.measure.statistics import Interval
from core.measure.target import Setting, Source
from core.measure.verify import FEEDS, Verifier
from core.measure.worker_client import Cancelled, Worker
from core.process import Progress, lock
from core.records import Measurement, ModelSummary, to_json

Labels = np.ndarray[Any, Any]
Rows = list[Measurement]
FLIPS_KEPT = 200
CHUNK = 64
SQNR_CAP_DB = CAP_DB
FORM = "one row per image"  # of kept outputs
NO_SCORES = ("bool", "int16", "int32", "int64", "uint16", "uint32", "uint64", "string")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs of one file on one backend over a set: `folder`/I.npy, one row per image.

    `ragged` are those whose shape depends on the image; what they do not fill is NaN.
    """

    model: ModelSummary
    backend: str
    folder: Path
    images: int
    ragged: frozenset[int] = frozenset()

    def array(self, index: int) -> np.ndarray[Any, Any]:
        """Output `index`, (images, ...) float32, memory-mapped."""
        mapped: np.ndarray[Any, Any] = np.load(self.folder / f"{index}.npy", mmap_mode="r")
        return mapped

    def scores(self) -> np.ndarray[Any, Any] | None:
        """(images, classes) if the net is a classifier: its first output has one axis of scores.

        Whatever else it gives (features, a second head) comes behind that. Counts and indices, or
        as many numbers as the image has boxes, are no scores.
        """
        if 0 in self.ragged or self.model.outputs[0].dtype in NO_SCORES:
            return None
        array = self.array(0)
        flat = array.reshape(array.shape[0], -1) if array.ndim > 1 else array[:, None]
        wide = [size for size in array.shape[1:] if size != 1]
        return flat if len(wide) == 1 and wide[0] else None


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
    folder = caches / "outputs" / _key(model, setting, source)
    if not (folder / "done.json").exists():
        _compute(model, setting, source, verifier, folder, progress, cancelled)
    done = json.loads((folder / "done.json").read_text(encoding="utf-8"))
    ragged = frozenset(int(index) for index in done.get("ragged", ()))
    return Outputs(model, setting.spec, folder, int(done["images"]), ragged)


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
        with lock.shared(check), Worker(model, cancelled) as worker:
            worker.prepare(model, source, FEEDS)
            worker.load("model", model, setting)
            verifier.check(worker, "model", model, setting)
            done = worker.evaluate("model", model, source, scratch, progress)
        (scratch / "done.json").write_text(json.dumps(done), encoding="utf-8")
        os.replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _key(model: ModelSummary, setting: Setting, source: Source) -> str:
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
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def accuracy(baseline: Outputs, candidate: Outputs, labels: Labels | None, data: str) -> Rows:
    """Top-1, top-5, agreement, SQNR and the paired difference of `candidate`.

    Args:
        baseline: of the original on the same backend.
        candidate: of the candidate; may be the baseline itself.
        labels: (images,) or None.
        data: digest of the image set.
    """
    count = min(baseline.images, candidate.images)
    condition = {"data": data, "images": str(count), "baseline": baseline.model.digest}
    several = len(candidate.model.outputs) > 1
    which = {"scored": f"of the first output, {candidate.model.outputs[0].name!r}"}

    def made(metric: str, interval: Interval, **detail: Any) -> Measurement:
        said = detail | (which if several and metric != "sqnr_db" else {})
        return rows.measured(
            candidate.model.digest, candidate.backend, metric, interval, "exact", condition, said
        )

    before, after = baseline.scores(), candidate.scores()
    found: Rows = []
    if before is not None and after is not None:
        unfit = _unfit(after.shape[1], labels)
        kept = None if unfit else labels
        found += _classified(np.array(before[:count]), np.array(after[:count]), kept, made)
        if unfit:
            row = rows.failed(candidate.model.digest, candidate.backend, "top1", unfit, condition)
            found.append(replace(row, detail={**row.detail, "labels": "beyond the outputs"}))
    if baseline.model.digest == candidate.model.digest:  # agrees with itself: nothing was compared
        found = [row for row in found if row.metric in ("top1", "top5")]
    else:
        value, where = sqnr_db(baseline, candidate, count)
        said = "; ".join(part for part in (in_words(value), f"worst: {where}") if part)
        found.append(made("sqnr_db", Interval(value, value, value), text=said))
    return found


def _unfit(classes: int, labels: Labels | None) -> DataError | None:
    """Why these labels cannot be those of a net with so many outputs."""
    try:
        check_labels(classes, labels)
    except DataError as error:
        return error
    return None


def _classified(
    before: np.ndarray[Any, Any],
    after: np.ndarray[Any, Any],
    labels: Labels | None,
    made: Callable[..., Measurement],
) -> Rows:
    count = len(after)
    first, second = _choices(before), _choices(after)
    flipped = np.flatnonzero(first != second)
    flips = {"flips": len(flipped), "flipped": flipped[:FLIPS_KEPT].tolist()}
    found = [made("agreement", statistics.wilson(count - len(flipped), count), **flips)]
    if labels is None:
        return found
    truth = labels[:count].astype(np.int64)
    shift: dict[str, Any] = {"classes": after.shape[1]}
    if has_background_class(after.shape[1], labels):
        truth = truth + 1
        shift["background"] = "the net's class 0 is a background class: labels shifted by one"
    was, now = first == truth, second == truth
    found.insert(0, made("top1", statistics.wilson(int(now.sum()), count), **shift))
    if after.shape[1] > 5:
        among = np.argpartition(-after, 5, axis=1)[:, :5] == truth[:, None]
        among &= second[:, None] >= 0
        found.insert(1, made("top5", statistics.wilson(int(among.any(1).sum()), count), **shift))
    change = statistics.paired_difference(int((now & ~was).sum()), int((was & ~now).sum()), count)
    found.append(made("top1_delta", change, **flips))
    return found


def _choices(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The class of each image; -1, which is never right, where a score is not a number."""
    return np.where(np.isnan(scores).any(1), -1, scores.argmax(1))


def sqnr_db(baseline: Outputs, candidate: Outputs, count: int) -> tuple[float, str]:
    """SQNR of the worst output, and there of the worst group of channels; and which that is.

    Read in chunks so that memory stays flat.
    """
    worst, where = SQNR_CAP_DB, ""
    for index, output in enumerate(candidate.model.outputs):
        powers = Powers()
        before, after = baseline.array(index), candidate.array(index)
        apart = index in baseline.ragged | candidate.ragged
        for start in range(0, count, CHUNK):
            end = min(count, start + CHUNK)
            powers.add(*_alike(np.asarray(before[start:end]), np.asarray(after[start:end]), apart))
        value, channels = powers.sqnr_db()
        if value < worst or not where:
            worst, where = min(value, worst), _where(output.name, channels, len(powers.signal))
    return worst, where


def _alike(
    before: np.ndarray[Any, Any], after: np.ndarray[Any, Any], ragged: bool
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Both in one shape. Of ragged outputs, what an image does not have is 0 in its place.

    So a box that is missing counts as lost, and one too many as noise. An image that never had
    more than one box was kept without the axis that counts them.
    """
    if not ragged and before.size == after.size:
        return before, after.reshape(before.shape)
    if before.ndim + 1 == after.ndim:
        before = before[:, None]
    elif after.ndim + 1 == before.ndim:
        after = after[:, None]
    if before.ndim != after.ndim:
        raise InferenceFailed(
            f"An output of {after.ndim} axes stands where the original has one of {before.ndim}."
        )
    shape = tuple(map(max, before.shape, after.shape))
    return _filled(before, shape), _filled(after, shape)


def _filled(array: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The array in the corner of a larger one; 0 where nothing stands."""
    made = np.zeros(shape, np.float32)
    made[tuple(slice(size) for size in array.shape)] = np.where(np.isnan(array), 0, array)
    return made


def _where(output: str, channels: np.ndarray[Any, Any], of: int) -> str:
    if len(channels) == of:
        return f"output {output!r}"
    named = f"channel {channels[0]}" if len(channels) == 1 else f"{len(channels)} of {of} channels"
    return f"{named} of output {output!r} ({min(channels)} to {max(channels)})"


def failed(
    model: ModelSummary, setting: Setting, error: CoreError, data: str, baseline: str
) -> Rows:
    """The row that stands where accuracy should."""
    condition = {"data": data, "baseline": baseline}
    return [rows.failed(model.digest, setting.spec, "top1", error, condition)]
