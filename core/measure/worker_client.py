"""A worker process with typed requests, ended at once when the user cancels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from core.backends.base import catalogue
from core.data import open_dims
from core.errors import OpenShape, WorkerError
from core.measure.target import Setting, Source, memory_bytes
from core.process import Child, Limits, Progress
from core.records import Json, ModelSummary, TensorSpec, to_json
from core.worker import profiling
from core.worker.timing import Plan

LOAD_CPU_S = 60.0
RUN_CPU_S = 60.0
FILES_CPU_S = 120.0


class Cancelled(Exception):
    """The user asked to stop; not an error, so not a row."""


class Worker:
    """One `core.worker` child. Use as a context manager."""

    def __init__(self, model: ModelSummary | None, cancelled: Callable[[], bool]) -> None:
        """Start the child, with memory for models of this size; None for micro-models."""
        limits = Limits(memory_bytes=memory_bytes(model), cpu_s=LOAD_CPU_S)
        self._child = Child("core.worker", limits)
        self._cancelled = cancelled

    def load(self, slot: str, model: ModelSummary, setting: Setting) -> Json:
        """Load a model; {"precision", "load_ns"}.

        Raises:
            BackendUnavailable: the runtime is not installed.
            BackendError, WorkerError
        """
        catalogue()[setting.name].version()
        return self._ask("loading", "load", _loading(slot, model, setting), LOAD_CPU_S)

    def startup(self, slot: str, model: ModelSummary, setting: Setting) -> Json:
        """Load and run once; {"load_ns", "first_ns", "peak_bytes"}.

        Raises:
            BackendError, WorkerError
        """
        catalogue()[setting.name].version()
        args = _loading(slot, model, setting)
        return self._ask("loading", "startup", args, LOAD_CPU_S + RUN_CPU_S)

    def unload(self, slot: str) -> None:
        """Close a model."""
        self._ask("unloading", "unload", {"slot": slot}, LOAD_CPU_S)

    def prepare(self, model: ModelSummary, source: Source, count: int) -> None:
        """Make `count` feeds for runs and timings.

        Raises:
            DataError: the set does not fit.
            OpenShape: nobody stated the size of an open dimension.
            WorkerError
        """
        if source.data is None and (left := open_dims(model.inputs)):
            raise OpenShape(
                f"{model.name} leaves {', '.join(left)} open and no size is stated for it.",
                "Give the size to measure at.",
            )
        args = {
            "inputs": to_json(model.inputs),
            "data": str(source.data) if source.data else "",
            "preprocess": to_json(source.preprocess),
            "count": count,
        }
        self._ask("reading images", "prepare", args, RUN_CPU_S)

    def run(self, slot: str, out: Path) -> None:
        """Run the prepared feeds into an .npz.

        Raises:
            InferenceFailed, WorkerError
        """
        self._ask("running", "run", {"slot": slot, "out": str(out)}, RUN_CPU_S)

    def evaluate(
        self, slot: str, model: ModelSummary, source: Source, out: Path, progress: Progress
    ) -> Json:
        """Run a whole set; outputs lie in `out`. {"images", "batch", "ragged", "shared"}.

        Raises:
            InferenceFailed, DataError, WorkerError
        """
        args = {
            "slot": slot,
            "inputs": to_json(model.inputs),
            "outputs": to_json(model.outputs),
            "data": str(source.data),
            "preprocess": to_json(source.preprocess),
            "images": source.images,
            "out": str(out),
        }
        return self._ask("running", "evaluate", args, 3600.0, progress)

    def time(self, a: str, b: str, plan: Plan, cpu_s: float) -> dict[str, Any]:
        """Time two slots, see `core.worker.timing.compare`.

        Raises:
            InferenceFailed, WorkerError
        """
        args = {"a": a, "b": b, "plan": to_json(plan)}
        return self._ask("running", "time", args, cpu_s)

    def profile(
        self, before: ModelSummary, after: ModelSummary, setting: Setting, plan: profiling.Plan
    ) -> Json:
        """Layer times of two models in turns, see `core.worker.profiling.run`.

        Raises:
            BackendUnavailable: the runtime is not installed, or does not tell.
            BackendError, WorkerError
        """
        catalogue()[setting.name].version()
        args = {
            "before": str(before.path),
            "after": str(after.path),
            "backend": setting.name,
            "precision": setting.options.precision,
            "threads": setting.options.threads,
            "plan": to_json(plan),
        }
        return self._ask("profiling", "profile", args, 2 * LOAD_CPU_S + RUN_CPU_S)

    def time_files(
        self, files: Sequence[tuple[Path, Sequence[TensorSpec]]], setting: Setting, plan: Plan
    ) -> list[list[float]]:
        """Block minima of several small models with their inputs, see `core.worker.timing.rotate`.

        Raises:
            BackendError, WorkerError
        """
        args = {
            "files": [{"path": str(path), "inputs": to_json(specs)} for path, specs in files],
            "backend": setting.name,
            "precision": setting.options.precision,
            "threads": setting.options.threads,
            "plan": to_json(plan),
        }
        minima: list[list[float]] = self._ask("timing", "time_files", args, FILES_CPU_S)["minima"]
        return minima

    def close(self) -> None:
        """End the child."""
        self._child.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(
        self, phase: str, call: str, args: Json, cpu_s: float, progress: Progress | None = None
    ) -> Json:
        def check() -> None:
            if self._cancelled():
                raise Cancelled

        check()
        try:
            return self._child.request(call, args, progress, cpu_s, check)
        except WorkerError as error:
            # The phase is what the user needs first: a file that dies loading never ran.
            raise type(error)(f"While {phase}: {error.message}", error.remedy) from error


def _loading(slot: str, model: ModelSummary, setting: Setting) -> Json:
    return {
        "slot": slot,
        "model": str(model.path),
        "outputs": to_json(model.outputs),
        "backend": setting.name,
        "precision": setting.options.precision,
        "threads": setting.options.threads,
    }
