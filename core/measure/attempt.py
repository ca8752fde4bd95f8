"""Attempts of a model on a target: does it load, does it run, and are its answers those of ONNX?

Outputs are compared by name with ONNX Runtime's on the very same file and inputs: relative to their
size, and only beyond an absolute floor, since an output of tiny numbers is all rounding. An output
that is the same for every input is an alarm of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.devices.local import Scratch
from core.errors import BackendUnavailable, CoreError
from core.formats.base.artifacts import Artifacts
from core.measure.verify import REFERENCE, alike_beyond, bound, keep, relative_rms
from core.records import Attempt, Deviation, Fate, ModelSummary
from core.records.artifacts import ONNX
from core.worker.client import Worker
from core.worker.setting import Setting, Source

FEEDS = 4
FLOOR = 1e-6  # largest difference of an element that is none
ONE_THREAD = 1
EMPTY = "Nothing was compared: the outputs are empty on these inputs."
SLOT = "tried"
Array = np.ndarray[Any, Any]
Answers = Mapping[str, tuple[Array, ...]]  # output -> what it was for each feed


@dataclass
class Attempts:
    """Attempts on the same inputs; what the reference answers is kept of the first and last file.

    Two workers stay for the next file: that of the reference and that of the last target. One that
    a file ended is started anew. Use as a context manager.

    Attributes:
        source: of the inputs.
        artifacts: where models are converted.
        cancelled: asked several times a second.
    """

    source: Source
    artifacts: Artifacts
    cancelled: Callable[[], bool] = lambda: False
    _known: dict[str, Answers | str] = field(default_factory=dict)
    _workers: dict[str, Worker] = field(default_factory=dict)

    def __enter__(self) -> Attempts:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go([*self._workers])

    def reference(self, model: ModelSummary) -> Answers | str:
        """What ONNX Runtime answers; a sentence if it does not run the file."""
        if model.digest not in self._known:
            found: Answers | str
            try:
                found = self._answers(model, Setting.of(REFERENCE, ONE_THREAD))
            except CoreError as error:
                found = error.reason
            keep(self._known, model.digest, found)
        return self._known[model.digest]

    def of(self, model: ModelSummary, target: str) -> Attempt:
        """What becomes of a model on a target; no failure of either is an error here."""
        try:
            setting = Setting.of(target, ONE_THREAD)
            if (setting.name, setting.reads) == (REFERENCE, ONNX):
                known = self.reference(model)
                return (
                    Attempt(Fate.REFUSED, known) if isinstance(known, str) else Attempt(Fate.RUNS)
                )
            given = self._answers(model, setting)
        except BackendUnavailable as error:
            return Attempt(Fate.ABSENT, error.reason)
        except CoreError as error:
            return Attempt(Fate.REFUSED, error.reason)
        wanted = self.reference(model)
        if isinstance(wanted, str):
            return Attempt(
                Fate.UNCHECKED, f"ONNX Runtime, the reference, does not run it: {wanted}"
            )
        return judged(wanted, given, bound(model, setting))

    def _answers(self, model: ModelSummary, setting: Setting) -> Answers:
        worker = self._worker(model, setting)
        with Scratch() as folder:
            worker.prepare(model, self.source, FEEDS)
            worker.load(SLOT, model, setting)
            out = folder / "outputs.npz"
            worker.run(SLOT, out)
            with np.load(out, allow_pickle=False) as arrays:
                count = 1 + max((int(key.split("_")[0]) for key in arrays.files), default=-1)
                return {
                    spec.name: tuple(arrays[f"{feed}_{place}"] for feed in range(count))
                    for place, spec in enumerate(model.outputs)
                }

    def _worker(self, model: ModelSummary, setting: Setting) -> Worker:
        """The one that runs this target, for a model of this size."""
        self._let_go([spec for spec in self._workers if spec not in (REFERENCE, setting.spec)])
        found = self._workers.get(setting.spec)
        if found is None or not found.alive:
            self._let_go([setting.spec])
            found = self._workers[setting.spec] = Worker(model, self.cancelled, self.artifacts)
        return found

    def _let_go(self, specs: list[str]) -> None:
        for spec in specs:
            if spec in self._workers:
                self._workers.pop(spec).close()


def judged(wanted: Answers, given: Answers, allowed: float) -> Attempt:
    """Hold answers to those of the reference.

    Args:
        wanted: the reference's.
        given: the target's, under the same names.
        allowed: relative root mean square that is let pass.
    """
    found = [_deviation(name, wanted[name], given.get(name, ())) for name in wanted]
    off = tuple(d for d in found if d.constant or (d.relative > allowed and d.largest > FLOOR))
    if off:
        return Attempt(Fate.WRONG, " ".join(map(_said, off)), off)
    if not any(value.size for values in wanted.values() for value in values):
        return Attempt(Fate.UNCHECKED, EMPTY)
    return Attempt(Fate.RUNS)


def constant_outputs(answers: Answers) -> tuple[str, ...]:
    """Outputs that are the same for every one of several inputs."""
    return tuple(name for name, values in answers.items() if _is_constant(values))


def _deviation(name: str, wanted: tuple[Array, ...], given: tuple[Array, ...]) -> Deviation:
    relative, largest = 0.0, 0.0
    for a, b in zip(wanted, given, strict=False):
        if a.size != b.size:
            relative = largest = math.inf
            continue
        relative = max(relative, relative_rms(a, b.reshape(a.shape)))
        largest = max(largest, _largest(a, b.reshape(a.shape)))
    if len(wanted) != len(given) or math.isinf(largest):
        relative = largest = math.inf
    constant = _is_constant(given) and not _is_constant(wanted)
    return Deviation(name, relative, largest, constant)


def _largest(wanted: Array, given: Array) -> float:
    if wanted.dtype.kind not in "fiub":
        return 0.0 if wanted.astype(str).tolist() == given.astype(str).tolist() else math.inf
    a, b = np.asarray(wanted, np.float64), np.asarray(given, np.float64)
    if not alike_beyond(a, b):
        return math.inf
    both = np.isfinite(a)
    return float(np.abs(a[both] - b[both]).max(initial=0.0))


def _is_constant(values: tuple[Array, ...]) -> bool:
    """Whether all are the same; of one alone nothing can be said."""
    return len(values) > 1 and all(np.array_equal(values[0], value) for value in values[1:])


def _said(off: Deviation) -> str:
    if off.constant:
        return f"Output {off.output!r} is the same for every input."
    if math.isinf(off.relative):
        return f"Output {off.output!r} has another shape, or is not finite where it should be."
    return f"Output {off.output!r} differs by {off.relative:.1%} (relative RMS)."
