"""What the worker is asked: load models, run them, evaluate image sets, time two of them."""

from __future__ import annotations

import functools
import resource
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.backends.base import Session, Tensors, catalogue, here
from core.data import open_set, synthetic_feeds
from core.devices.local import Progress
from core.devices.local.wire import Handler
from core.errors import CoreError, InferenceFailed
from core.records import Described, Json, TensorSpec, from_json, to_json
from core.worker import evaluate, protocol
from core.worker.outputs import in_order
from core.worker.protocol import Placed, Running
from core.worker.timing import layers, models

STATUS = Path("/proc/self/status")
MEMORY_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


@dataclass
class Slot:
    """A loaded model and the signature that it was admitted with."""

    session: Session
    outputs: tuple[TensorSpec, ...]

    def run(self, feeds: Tensors) -> list[np.ndarray[Any, Any]]:
        """Outputs in the order of the model's signature."""
        return in_order(self.session.run(feeds), self.outputs)


@dataclass
class Desk:
    """The loaded models by slot, and the feeds that runs and timings use."""

    slots: dict[str, Slot] = field(default_factory=dict)
    feeds: list[Tensors] = field(default_factory=list)

    def handlers(self) -> dict[str, Handler]:
        """The name of each request -> what answers it."""
        answers: dict[type[Any], Callable[..., Any]] = {
            protocol.Describe: self.describe,
            protocol.Load: self.load,
            protocol.Unload: self.unload,
            protocol.Prepare: self.prepare,
            protocol.Run: self.run,
            protocol.RunFile: self.run_file,
            protocol.Evaluate: self.evaluate,
            protocol.Time: self.time,
            protocol.TimeFiles: self.time_files,
            protocol.Startup: self.startup,
            protocol.Profile: self.profile,
        }
        return {
            protocol.call_of(kind): functools.partial(_answered, kind, answer)
            for kind, answer in answers.items()
        }

    def describe(self, asked: protocol.Describe, progress: Progress) -> Described:
        """This machine and the backends on it."""
        del asked, progress
        return here.described()

    def load(self, asked: protocol.Load, progress: Progress) -> protocol.Loaded:
        """Load a model into a slot; what was there is closed first."""
        del progress
        load_ns = self._open(asked)
        session = self.slots[asked.slot].session
        _confirm(session, asked.running)
        return protocol.Loaded(session.precision, session.settings, load_ns)

    def _open(self, asked: protocol.Load | protocol.Startup) -> int:
        """Put a model into its slot; nanoseconds of loading."""
        self._close(asked.slot)
        start = time.perf_counter_ns()
        session = _opened(asked.model, asked.running)
        load_ns = time.perf_counter_ns() - start
        self.slots[asked.slot] = Slot(session, asked.outputs)
        return load_ns

    def unload(self, asked: protocol.Unload, progress: Progress) -> protocol.Done:
        """Close a slot."""
        del progress
        self._close(asked.slot)
        return protocol.Done()

    def prepare(self, asked: protocol.Prepare, progress: Progress) -> protocol.Prepared:
        """Make the feeds that `run`, `time` and `startup` use: of an image set, or made up."""
        del progress
        if asked.data is not None:
            images = open_set(asked.data.path)
            indices = range(min(asked.count, images.count))
            self.feeds = list(images.feeds(asked.inputs, asked.preprocess, 1, indices))
        else:
            self.feeds = list(synthetic_feeds(asked.inputs, asked.count, seed=0))
        return protocol.Prepared(len(self.feeds))

    def run(self, asked: protocol.Run, progress: Progress) -> protocol.Saved:
        """Run every prepared feed and save the outputs, `FEED_OUTPUT` -> array."""
        del progress
        slot = self.slots[asked.slot]
        _save(asked.out, (slot.run(feeds) for feeds in self.feeds))
        return protocol.Saved(len(slot.outputs))

    def run_file(self, asked: protocol.RunFile, progress: Progress) -> protocol.Saved:
        """Load a file, run it on given feeds, save its outputs as `run` does, and close it."""
        del progress
        session = _session(asked.model, asked.running)
        slot = Slot(session, asked.outputs)
        with closing(session), np.load(asked.feeds.path) as arrays:
            feeds = (
                {name: arrays[f"{i}_{k}"] for k, name in enumerate(asked.names)}
                for i in range(asked.count)
            )
            # A runtime may write into its outputs again: what is kept is a copy.
            _save(asked.out, ([np.array(array) for array in slot.run(feed)] for feed in feeds))
        return protocol.Saved(len(asked.outputs))

    def evaluate(self, asked: protocol.Evaluate, progress: Progress) -> protocol.Evaluated:
        """Run a whole image set and save each output as one array."""
        return evaluate.run(self.slots[asked.slot].run, asked, progress)

    def time(self, asked: protocol.Time, progress: Progress) -> protocol.PairTimes:
        """Time two slots against each other, see `timing.models`."""
        a, b = (self.slots[name].session for name in (asked.a, asked.b))
        return models.compare(a, b, self.feeds, asked.plan, progress)

    def time_files(self, asked: protocol.TimeFiles, progress: Progress) -> protocol.Minima:
        """Load several files, time them in turns, and close them again."""
        del progress
        given = _feed(asked.feeds, asked.names) if asked.feeds is not None else None
        feeds: list[Tensors] = []
        with ExitStack() as stack:
            sessions: list[Session] = []
            for file in asked.files:
                session = _session(file.model, asked.running)
                sessions.append(stack.enter_context(closing(session)))
                feeds += [given] if given else synthetic_feeds(file.inputs, 1, seed=0)
            minima = models.rotate(sessions, feeds, asked.plan)
        return protocol.Minima(tuple(map(tuple, minima)))

    def profile(self, asked: protocol.Profile, progress: Progress) -> protocol.BothProfiles:
        """Time the layers of two files in turns, see `timing.layers`."""
        del progress
        backend = catalogue()[asked.running.backend]
        files = (_file(asked.before), _file(asked.after))
        return layers.profile(backend, files, asked.running.options, self.feeds[0], asked.plan)

    def startup(self, asked: protocol.Startup, progress: Progress) -> protocol.Started:
        """Load a model in this fresh process, run it once, and say what that took."""
        del progress
        load_ns = self._open(asked)
        start = time.perf_counter_ns()
        self.slots[asked.slot].run(self.feeds[0])
        first_ns = time.perf_counter_ns() - start
        peak_bytes = _peak_bytes()
        session = self.slots[asked.slot].session
        _confirm(session, asked.running)  # may run a model of its own
        return protocol.Started(load_ns, first_ns, peak_bytes, session.settings)

    def _close(self, slot: str) -> None:
        if slot in self.slots:
            self.slots.pop(slot).session.close()


def _answered(
    kind: type[Any], answer: Callable[..., Any], args: Json, progress: Progress
) -> dict[str, Any]:
    """The reply of a handler as JSON, to a request that came as JSON."""
    reply: dict[str, Any] = to_json(answer(from_json(kind, args), progress))
    return reply


def _session(model: Placed, running: Running) -> Session:
    session = _opened(model, running)
    _confirm(session, running)
    return session


def _opened(model: Placed, running: Running) -> Session:
    return catalogue()[running.backend].load(_file(model), running.options)


def _file(model: Placed) -> Path:
    """The file of a model.

    Raises:
        InferenceFailed: there is no such model any more.
    """
    try:
        model.path.stat()
    except OSError as error:
        raise InferenceFailed(f"{model.name} cannot be read: {error.strerror}.") from None
    return model.path


def _confirm(session: Session, running: Running) -> None:
    """Close a session that does not compute as it was asked to."""
    wanted = running.options.precision
    try:
        if (got := session.precision) != wanted:
            label = catalogue()[running.backend].label
            raise InferenceFailed(f"{label} computes in {got}, not in {wanted}.")
    except CoreError:
        session.close()
        raise


def _save(out: Placed, outputs: Iterable[list[np.ndarray[Any, Any]]]) -> None:
    kept = {f"{i}_{j}": a for i, arrays in enumerate(outputs) for j, a in enumerate(arrays)}
    np.savez(out.path, **kept)  # type: ignore[arg-type]


def _feed(given: Placed, names: Iterable[str]) -> Tensors:
    with np.load(given.path) as arrays:
        return dict(zip(names, (arrays[key] for key in arrays.files), strict=True))


def _peak_bytes() -> int:
    """Peak resident memory of this process, of what it has held since it was started.

    Linux hands the `ru_maxrss` of a parent down to the child that it forks, and `exec` keeps it;
    the high-water mark of the address space (VmHWM, in kilobytes) starts anew with `exec`.
    """
    try:
        for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, IndexError, ValueError):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MEMORY_UNIT_BYTES
