"""A worker process with typed requests, ended at once when the user cancels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from core.backends.base import catalogue
from core.data import open_dims
from core.devices.base import Channel, Device
from core.devices.local import DEVICE, Progress
from core.errors import DataError, OpenShape, WorkerError
from core.formats.base.artifacts import Artifacts
from core.records import Artifact, Described, ModelSummary, TensorSpec, from_json, to_json
from core.worker import protocol
from core.worker.protocol import Placed, R, Request, Running
from core.worker.setting import Setting, Source, memory_bytes
from core.worker.timing.plan import ProfilingPlan, TimingPlan

LOAD_CPU_S = 60.0
RUN_CPU_S = 60.0
FILES_CPU_S = 120.0
EVALUATE_CPU_S = 3600.0


class Cancelled(Exception):
    """The user asked to stop; not an error, so not a row."""


class Worker:
    """One worker on a device, this machine unless another is given. Use as a context manager."""

    def __init__(
        self,
        model: ModelSummary | None,
        cancelled: Callable[[], bool],
        artifacts: Artifacts | None = None,
        device: Device | None = None,
        memory: int = 0,
    ) -> None:
        """Start it, with memory for models of this size; None for micro-models.

        Args:
            model: the largest that it will load.
            cancelled: asked several times a second.
            artifacts: where models are converted for backends that read no ONNX.
            device: where it runs.
            memory: bytes that it may hold; 0 follows the model.
        """
        where = device or DEVICE
        self._channel: Channel = where.open(memory or memory_bytes(model), LOAD_CPU_S)
        self._cancelled = cancelled
        self._artifacts = artifacts or Artifacts()
        self._folders: dict[Path, str] = {}

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._channel.alive

    def describe(self) -> Described:
        """The machine that it runs on, and the backends there.

        Raises:
            WorkerError
        """
        return self._ask("describing", protocol.Describe(), LOAD_CPU_S)

    def load(self, slot: str, model: ModelSummary, setting: Setting) -> protocol.Loaded:
        """Load a model.

        Raises:
            BackendUnavailable: the runtime is not installed.
            ConversionFailed: the model does not become a file that this backend reads.
            BackendError, WorkerError
        """
        placed, running = self._model(model, setting), _running(setting)
        request = protocol.Load(slot, placed, running, model.outputs)
        return self._ask("loading", request, LOAD_CPU_S)

    def startup(self, slot: str, model: ModelSummary, setting: Setting) -> protocol.Started:
        """Load and run once.

        Raises:
            BackendUnavailable, ConversionFailed, BackendError, WorkerError: as `load`.
        """
        placed, running = self._model(model, setting), _running(setting)
        request = protocol.Startup(slot, placed, running, model.outputs)
        return self._ask("loading", request, LOAD_CPU_S + RUN_CPU_S)

    def unload(self, slot: str) -> None:
        """Close a model."""
        self._ask("unloading", protocol.Unload(slot), LOAD_CPU_S)

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
        data = self._placed(source.data, source.digest) if source.data else None
        request = protocol.Prepare(model.inputs, data, source.preprocess, count)
        self._ask("reading images", request, RUN_CPU_S)

    def run(self, slot: str, out: Path) -> None:
        """Run the prepared feeds into an .npz.

        Raises:
            InferenceFailed, WorkerError
        """
        self._ask("running", protocol.Run(slot, self._placed(out)), RUN_CPU_S)

    def run_file(
        self,
        model: Path,
        setting: Setting,
        outputs: tuple[TensorSpec, ...],
        feeds: Path,
        names: Sequence[str],
        count: int,
        out: Path,
        cpu_s: float = FILES_CPU_S,
    ) -> None:
        """Load a file of the moment, run it on given feeds into an .npz, and close it again.

        Args:
            model: an ONNX file.
            setting: where.
            outputs: its signature.
            feeds: an .npz of `FEED_INPUT` arrays.
            names: of the inputs.
            count: of the feeds.
            out: `FEED_OUTPUT` -> array.
            cpu_s: of it all.

        Raises:
            BackendError, ConversionFailed, WorkerError
        """
        request = protocol.RunFile(
            self._of_the_moment(model, setting, _fed(feeds, names)),
            _running(setting),
            outputs,
            self._placed(feeds),
            tuple(names),
            count,
            self._placed(out),
        )
        self._ask("running", request, cpu_s)

    def evaluate(
        self, slot: str, model: ModelSummary, source: Source, out: Path, progress: Progress
    ) -> protocol.Evaluated:
        """Run a whole set; outputs lie in `out`.

        Raises:
            InferenceFailed, DataError, WorkerError
        """
        if source.data is None:
            raise DataError("There are no images to evaluate on.")
        out.mkdir(parents=True, exist_ok=True)
        request = protocol.Evaluate(
            slot,
            model.inputs,
            model.outputs,
            self._placed(source.data, source.digest),
            source.preprocess,
            source.images,
            self._folder(out),
        )
        return self._ask("running", request, EVALUATE_CPU_S, progress)

    def time(self, a: str, b: str, plan: TimingPlan, cpu_s: float) -> protocol.PairTimes:
        """Time two slots, see `core.worker.timing.models.compare`.

        Raises:
            InferenceFailed, WorkerError
        """
        return self._ask("running", protocol.Time(a, b, plan), cpu_s)

    def profile(
        self, before: ModelSummary, after: ModelSummary, setting: Setting, plan: ProfilingPlan
    ) -> protocol.BothProfiles:
        """Layer times of two models in turns, see `core.worker.timing.layers.profile`.

        Raises:
            BackendUnavailable: the runtime is not installed, or does not tell.
            ConversionFailed, BackendError, WorkerError
        """
        files = [self._model(model, setting) for model in (before, after)]
        request = protocol.Profile(files[0], files[1], _running(setting), plan)
        return self._ask("profiling", request, 2 * LOAD_CPU_S + RUN_CPU_S)

    def time_files(
        self,
        files: Sequence[tuple[Path, Sequence[TensorSpec]]],
        setting: Setting,
        plan: TimingPlan,
        feeds: Path | None = None,
        names: Sequence[str] = (),
        cpu_s: float = FILES_CPU_S,
    ) -> list[list[float]]:
        """Block minima of several models of the moment, see `core.worker.timing.models.rotate`.

        Args:
            files: ONNX files with their inputs.
            setting: where.
            plan: how much.
            feeds: an .npz of one feed for all of them; None makes inputs up.
            names: of its arrays.
            cpu_s: of it all.

        Raises:
            BackendError, ConversionFailed, WorkerError
        """
        timed = tuple(
            protocol.TimedFile(
                self._of_the_moment(path, setting, _fed(feeds, names) if feeds else specs),
                tuple(specs),
            )
            for path, specs in files
        )
        given = self._placed(feeds) if feeds else None
        request = protocol.TimeFiles(timed, _running(setting), plan, given, tuple(names))
        return [list(row) for row in self._ask("timing", request, cpu_s).minima]

    def close(self) -> None:
        """End it."""
        self._channel.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _model(self, model: ModelSummary, setting: Setting) -> Placed:
        """An admitted model, as the backend reads it, put into the worker once."""
        catalogue()[setting.name].version()
        artifact = self._artifacts.of(
            model.digest, model.path, setting.reads, self._check, model.inputs
        )
        return self._put(artifact)

    def _put(self, artifact: Artifact) -> Placed:
        self._channel.put(artifact.digest, artifact.path.parent)
        return Placed(artifact.digest, artifact.path.name)

    def _of_the_moment(self, model: Path, setting: Setting, inputs: Sequence[TensorSpec]) -> Placed:
        """A model that is read once: named by its place, converted where the backend asks it."""
        if setting.reads == "onnx":
            return self._placed(model)
        return self._put(self._artifacts.of_file(model, setting.reads, self._check, inputs))

    def _placed(self, file: Path, digest: str = "") -> Placed:
        return Placed(self._folder(file.parent, digest).key, file.name)

    def _folder(self, folder: Path, digest: str = "") -> Placed:
        key = digest or self._folders.setdefault(folder, f"folder-{len(self._folders)}")
        self._channel.put(key, folder)
        return Placed(key)

    def _check(self) -> None:
        if self._cancelled():
            raise Cancelled

    def _ask(
        self, phase: str, request: Request[R], cpu_s: float, progress: Progress | None = None
    ) -> R:
        self._check()
        kind, args = type(request), to_json(request)
        try:
            reply = self._channel.request(
                protocol.call_of(kind), args, progress, cpu_s, self._check
            )
        except WorkerError as error:
            # The phase is what the user needs first: a file that dies loading never ran.
            raise type(error)(f"While {phase}: {error.message}", error.remedy) from error
        return from_json(protocol.reply_of(kind), reply)


def _fed(feeds: Path, names: Sequence[str]) -> tuple[TensorSpec, ...]:
    """Names and shapes of the first feed in an .npz."""
    with np.load(feeds) as arrays:
        first = [arrays[key] for key in arrays.files[: len(names)]]
    return tuple(
        TensorSpec(name, str(array.dtype), array.shape)
        for name, array in zip(names, first, strict=True)
    )


def _running(setting: Setting) -> Running:
    return Running(setting.name, setting.options)
