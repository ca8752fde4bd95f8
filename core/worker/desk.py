"""What the worker is asked: load models, run them, evaluate image sets, time two of them."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.backends.base import Session, Tensors, catalogue
from core.data import open_set, synthetic_feeds
from core.errors import CoreError, InferenceFailed
from core.process import Progress
from core.process.wire import Handler
from core.records import Json, Preprocess, RunOptions, TensorSpec, from_json, optional
from core.worker import evaluate, profiling, timing
from core.worker.artifacts import artifact
from core.worker.outputs import in_order

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
        """Request name -> method."""
        return {
            "load": self.load,
            "unload": self.unload,
            "prepare": self.prepare,
            "run": self.run,
            "run_file": self.run_file,
            "evaluate": self.evaluate,
            "time": self.time,
            "time_files": self.time_files,
            "startup": self.startup,
            "profile": self.profile,
        }

    def load(self, args: Json, progress: Progress) -> Json:
        """Load a model into a slot; what was there is closed first."""
        del progress
        load_ns = self._open(args)
        session = self.slots[args["slot"]].session
        _confirm(session, args)
        return {
            "precision": session.precision,
            "settings": dict(session.settings),
            "load_ns": load_ns,
        }

    def _open(self, args: Json) -> int:
        """Put a model into its slot; nanoseconds of loading."""
        self._close(args["slot"])
        _artifact(args)
        start = time.perf_counter_ns()
        session = _opened(args)
        load_ns = time.perf_counter_ns() - start
        outputs = from_json(tuple[TensorSpec, ...], args["outputs"])
        self.slots[args["slot"]] = Slot(session, outputs)
        return load_ns

    def unload(self, args: Json, progress: Progress) -> Json:
        """Close a slot."""
        del progress
        self._close(args["slot"])
        return {}

    def prepare(self, args: Json, progress: Progress) -> Json:
        """Make the feeds that `run`, `time` and `startup` use: of an image set, or made up."""
        del progress
        specs = from_json(tuple[TensorSpec, ...], args["inputs"])
        if args["data"]:
            images = open_set(Path(args["data"]))
            indices = range(min(args["count"], images.count))
            preprocess = optional(Preprocess, args["preprocess"])
            self.feeds = list(images.feeds(specs, preprocess, 1, indices))
        else:
            self.feeds = list(synthetic_feeds(specs, args["count"], seed=0))
        return {"count": len(self.feeds)}

    def run(self, args: Json, progress: Progress) -> Json:
        """Run every prepared feed and save the outputs, `FEED_OUTPUT` -> array."""
        del progress
        slot = self.slots[args["slot"]]
        kept = {
            f"{i}_{j}": array
            for i, feeds in enumerate(self.feeds)
            for j, array in enumerate(slot.run(feeds))
        }
        np.savez(args["out"], **kept)  # type: ignore[arg-type]
        return {"outputs": len(slot.outputs)}

    def run_file(self, args: Json, progress: Progress) -> Json:
        """Load a file, run it on given feeds, save the outputs as `run` does, and close it again.

        `feeds` is {"path" of an .npz of `FEED_INPUT` arrays, "names" of the inputs, "count"}.
        """
        del progress
        given, outputs = args["feeds"], from_json(tuple[TensorSpec, ...], args["outputs"])
        slot = Slot(_session(args), outputs)
        kept = {}
        try:
            with np.load(given["path"]) as arrays:
                for i in range(given["count"]):
                    feeds = {name: arrays[f"{i}_{k}"] for k, name in enumerate(given["names"])}
                    for j, array in enumerate(slot.run(feeds)):
                        kept[f"{i}_{j}"] = np.array(array)  # a runtime may write into it again
        finally:
            slot.session.close()
        np.savez(args["out"], **kept)  # type: ignore[arg-type]
        return {"outputs": len(outputs)}

    def evaluate(self, args: Json, progress: Progress) -> Json:
        """Run a whole image set and save each output as one array."""
        return evaluate.run(self.slots[args["slot"]].run, args, progress)

    def time(self, args: Json, progress: Progress) -> Json:
        """Time two slots against each other, see `timing`."""
        a, b = (self.slots[name].session for name in (args["a"], args["b"]))
        plan = from_json(timing.Plan, args["plan"])
        return timing.compare(a, b, self.feeds, plan, progress)

    def time_files(self, args: Json, progress: Progress) -> Json:
        """Load several files, time them in turns, and close them again.

        `feeds`, if given, is {"path" of an .npz, "names" of its arrays}: one feed for all of them;
        else inputs are made up.
        """
        del progress
        given = _feed(args["feeds"]) if "feeds" in args else None
        plan = from_json(timing.Plan, args["plan"])
        sessions: list[Session] = []
        feeds: list[Tensors] = []
        try:
            for file in args["files"]:
                sessions.append(_session(args | {"model": file["path"]}))
                specs = from_json(tuple[TensorSpec, ...], file["inputs"])
                feeds += [given] if given else synthetic_feeds(specs, 1, seed=0)
            return {"minima": timing.rotate(sessions, feeds, plan)}
        finally:
            for session in sessions:
                session.close()

    def profile(self, args: Json, progress: Progress) -> Json:
        """Time the layers of two files in turns, see `profiling`."""
        del progress
        plan = from_json(profiling.Plan, args["plan"])
        models = [Path(args[side]) for side in ("before", "after")]
        files = [artifact(args["backend"], model, _options(args)) for model in models]
        backend = catalogue()[args["backend"]]
        return profiling.run(backend, files, _options(args), self.feeds[0], plan)

    def startup(self, args: Json, progress: Progress) -> Json:
        """Load a model in this fresh process, run it once, and say what that took."""
        del progress
        load_ns = self._open(args)
        start = time.perf_counter_ns()
        self.slots[args["slot"]].run(self.feeds[0])
        first_ns = time.perf_counter_ns() - start
        reply = {"load_ns": load_ns, "first_ns": first_ns, "peak_bytes": _peak_bytes()}
        session = self.slots[args["slot"]].session
        _confirm(session, args)  # may run a model of its own
        return {**reply, "settings": dict(session.settings)}

    def _close(self, slot: str) -> None:
        if slot in self.slots:
            self.slots.pop(slot).session.close()


def _session(args: Json) -> Session:
    session = _opened(args)
    _confirm(session, args)
    return session


def _opened(args: Json) -> Session:
    return catalogue()[args["backend"]].load(_artifact(args), _options(args))


def _artifact(args: Json) -> Path:
    return artifact(args["backend"], Path(args["model"]), _options(args))


def _options(args: Json) -> RunOptions:
    return RunOptions(args["threads"], args["precision"])


def _confirm(session: Session, args: Json) -> None:
    """Close a session that does not compute as it was asked to."""
    wanted = args["precision"]
    try:
        if (got := session.precision) != wanted:
            label = catalogue()[args["backend"]].label
            raise InferenceFailed(f"{label} computes in {got}, not in {wanted}.")
    except CoreError:
        session.close()
        raise


def _feed(args: Json) -> Tensors:
    with np.load(args["path"]) as arrays:
        return dict(zip(args["names"], (arrays[key] for key in arrays.files), strict=True))


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
