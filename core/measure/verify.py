"""Is a backend's output right? Compared with ONNX Runtime's on the very same file and feeds.

A fast wrong answer must never become a number. Runtimes round int8 differently, so quantized files
are held to a loose bound here and are judged by accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from core.backends.base import catalogue, parse, reference
from core.devices.local import Scratch
from core.errors import BackendUnavailable, CoreError, InferenceFailed, OpenShape
from core.fidelity import Powers, groups
from core.formats import base as formats
from core.formats.base.artifacts import Artifacts
from core.records import ModelSummary
from core.records.artifacts import ONNX
from core.worker.client import Worker
from core.worker.setting import Setting, Source

REFERENCE = reference()
FEEDS = 4
ALL_CORES = 0
# Largest relative RMS difference: of float files, of half precision, of int8 files.
BOUNDS = {"f32": 0.01, "half": 0.15, "int8": 0.6}
Outputs = dict[str, np.ndarray[Any, Any]]
Known = TypeVar("Known")


class Verifier:
    """Checks each (file, backend) once; remembers the answers, and reference outputs of few."""

    def __init__(
        self,
        source: Source,
        cancelled: Callable[[], bool],
        artifacts: Artifacts | None = None,
    ) -> None:
        """Check on the first images of `source`, or on made-up inputs without one.

        Args:
            source: of the inputs.
            cancelled: asked several times a second.
            artifacts: where what is checked was converted for backends that read no ONNX.
        """
        self.artifacts = artifacts or Artifacts()
        self._source, self._cancelled = source, cancelled
        self._outputs: dict[str, Outputs] = {}
        self._passed: set[tuple[str, str]] = set()

    def check(self, worker: Worker, slot: str, model: ModelSummary, setting: Setting) -> None:
        """Compare the loaded model's outputs; `worker` holds it in `slot` with feeds prepared.

        Raises:
            InferenceFailed: the output is wrong, or there is none.
            BackendUnavailable: the reference does not run the file: nothing to compare with.
            WorkerError: the backend died on it.
        """
        key = (model.digest, setting.spec)
        if key in self._passed:
            return
        with Scratch() as folder:
            out = folder / "outputs.npz"
            worker.run(slot, out)
            given = _read(out)
        if (setting.name, setting.options.precision) != parse(REFERENCE) or setting.reads != ONNX:
            compare(self._known(model), given, bound(model, setting))
        self._passed.add(key)

    def _known(self, model: ModelSummary) -> Outputs:
        try:
            if model.digest not in self._outputs:
                keep(self._outputs, model.digest, self._run_reference(model))
            return self._outputs[model.digest]
        except CoreError as error:
            raise BackendUnavailable(
                "Not checked: ONNX Runtime, the reference, does not run this file, so nobody here "
                f"can tell whether the output is right ({error.message}) Convert it to float32, "
                "or export it for a newer opset."
            ) from None

    def _run_reference(self, model: ModelSummary) -> Outputs:
        with (
            Scratch() as folder,
            Worker(model, self._cancelled) as worker,
        ):
            worker.prepare(model, self._source, FEEDS)
            worker.load("reference", model, Setting.of(REFERENCE))
            out = folder / "outputs.npz"
            worker.run("reference", out)
            return _read(out)


def keep(known: dict[str, Known], digest: str, found: Known) -> None:
    """Put what was found of a file beside that of the first one, the original, and of no other.

    The original is asked about again and again, every other file mostly in a row; what all of them
    answer together may be larger than the memory.
    """
    for old in [*known][1:]:
        del known[old]
    known[digest] = found


def checked(model: ModelSummary, form: str, artifacts: Artifacts) -> str:
    """What the backends that read a format make of a model in it, on made-up inputs; in words.

    Raises:
        InferenceFailed: it answers otherwise than ONNX Runtime does on the ONNX file.
        WorkerError: the backend died on it.
    """
    names = [n for n, b in catalogue().items() if form.partition(".")[0] in b.accepts]
    said = (checked_on(model, f"{name}@{form}", artifacts) for name in names)
    return " ".join(said) or "Not checked: nothing here reads it."


def checked_on(model: ModelSummary, spec: str, artifacts: Artifacts) -> str:
    """What a backend makes of a model, as it reads it, on made-up inputs; in words.

    Raises:
        InferenceFailed: it answers otherwise than ONNX Runtime does on the ONNX file.
        WorkerError: the backend died on it.
    """
    setting, source = Setting.of(spec, ALL_CORES), Source()
    name = catalogue()[setting.name].label
    try:
        with Worker(model, _never, artifacts) as worker:
            worker.prepare(model, source, FEEDS)
            worker.load("model", model, setting)
            Verifier(source, _never, artifacts).check(worker, "model", model, setting)
    except (BackendUnavailable, OpenShape) as error:
        return f"Not checked on {name}: {error.reason}"
    return f"{name} reads it, and answers as ONNX Runtime on the ONNX file."


def _never() -> bool:
    return False


def bound(model: ModelSummary, setting: Setting) -> float:
    """How far an output may lie from the reference, as relative RMS."""
    if model.quantized:
        return BOUNDS["int8"]
    half = setting.options.precision != "f32" or _stores_half(model) or _reads_half(setting)
    return BOUNDS["half" if half else "f32"]


def _reads_half(setting: Setting) -> bool:
    """Whether float weights were stored in two bytes when the model was converted."""
    kind, variant = formats.parse(setting.reads)
    return variant in kind.half


def _stores_half(model: ModelSummary) -> bool:
    """Whether most weights are of two bytes: runtimes differ in where they round to them."""
    stored = sum(layer.size_bytes for layer in model.layers)
    return 0 < stored < 3 * sum(layer.parameters for layer in model.layers)


def compare(reference: Outputs, given: Outputs, allowed: float) -> None:
    """Hold every output to the bound.

    Raises:
        InferenceFailed: naming how far it is off.
    """
    for name, wanted in reference.items():
        got = given.get(name)
        if got is None or got.size != wanted.size:
            shape = None if got is None else got.shape
            raise InferenceFailed(f"Its output has the shape {shape}, not {wanted.shape}.")
        off = relative_rms(wanted, got)
        if off > allowed:
            raise InferenceFailed(
                f"Its output is wrong: {off:.1%} away from ONNX Runtime's on the same file "
                f"(relative RMS; {allowed:.0%} is allowed)."
            )


def relative_rms(wanted: np.ndarray[Any, Any], got: np.ndarray[Any, Any]) -> float:
    """RMS of the difference over RMS of the reference, in the worst group of channels.

    Infinite where one is not finite and the other is not just the same.
    """
    if wanted.dtype.kind not in "fiub":
        return 0.0 if wanted.astype(str).tolist() == got.astype(str).tolist() else np.inf
    if not alike_beyond(wanted, got.reshape(wanted.shape)):
        return float("inf")
    powers = Powers()
    powers.add(np.atleast_1d(wanted), np.atleast_1d(got))
    count = wanted.size / len(powers.signal)
    worst = 0.0
    for group in groups(powers.signal):
        scale = np.sqrt(powers.signal[group].sum() / max(count * len(group), 1))
        error = np.sqrt(powers.noise[group].sum() / max(count * len(group), 1))
        worst = max(worst, float(error) / max(float(scale), 1e-6))
    return worst


def alike_beyond(wanted: np.ndarray[Any, Any], got: np.ndarray[Any, Any]) -> bool:
    """Whether both are not finite at the same places, and the same there: inf is not -inf."""
    finite = np.isfinite(wanted)
    return np.array_equal(finite, np.isfinite(got)) and np.array_equal(
        wanted[~finite].astype(np.float64), got[~finite].astype(np.float64), equal_nan=True
    )


def _read(path: Path) -> Outputs:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
