"""The workshop as other processes see it: typed calls, one child behind them, kept warm.

A file can end the child; it cannot end the caller. The child is then started anew, and the caller
gets the reason as a `WorkerError`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.devices.local import Child, Limits, Progress, memory
from core.devices.local.launch import Check, ChildBug
from core.devices.local.limits import GIB
from core.errors import CoreError, PassError, WorkerCrashed, WorkerError
from core.passes.base import build
from core.pipeline import start
from core.pipeline.start import DEFAULT_CPU_S, GATE_BYTES, MODULE
from core.records import (
    DataSummary,
    Distributions,
    Json,
    ModelSummary,
    Outcome,
    Preprocess,
    Preview,
    Recipe,
    Sensitivity,
    Singles,
    Topology,
    from_json,
    to_json,
)
from core.records.stored import stored_bytes
from core.timings import Chain, MicroModel

GATE_PER_BYTE = 12  # of a file: what reading it may take beside `GATE_BYTES`
WORKING = frozenset(
    {"trial", "build", "sensitivity", "distributions", "single_nodes"}
)  # take what there is, not what a file weighs
BYTES_PER_CPU_S = 32 << 20  # of a file that is read, digested and written
STALE_RSS_BYTES = GIB
CPU_S = {
    "preview": 30.0,
    "trial": 15.0,
    "build": 1800.0,
    "ladder": 300.0,
    "sensitivity": 900.0,
    "distributions": 300.0,
    "single_nodes": 120.0,
    "admit_data": 1200.0,
}


class Workshop:
    """Models and image sets through the gate; recipes applied to them. Thread-safe."""

    def __init__(self, limits: Limits | None = None, child: Child | None = None) -> None:
        """Start the child, whose imports run while the caller goes on; or take this one."""
        self._limits = limits or start.limits()
        self._lock = threading.Lock()
        self._closed = False
        self._tried: set[Path] = set()
        self._child: Child | None = child or Child(MODULE, self._limits)

    def admit(
        self,
        source: Path,
        filename: str,
        models: Path,
        beside: Path | None = None,
        progress: Progress | None = None,
    ) -> ModelSummary:
        """Take a model in: models/DIGEST.onnx, checked; a large one has its weights beside it.

        Args:
            source: the raw upload: .onnx, or a .zip of one with its data files.
            filename: what the user called it.
            models: folder of the admitted models.
            beside: folder in which a bare .onnx may find its external data. Only for a file that
                the user opened by path; an upload has nothing beside it.
            progress: hears what is being done with a large file.

        Raises:
            InvalidModel, UnsupportedModel: refused, with the reason.
            WorkerError: the file ended the child.
        """
        args = {
            "source": str(source.absolute()),
            "filename": filename,
            "models": str(models),
            "beside": str(beside.absolute()) if beside else "",
        }
        size = self._ask("weigh", args, source)["bytes"]
        trusted = beside is not None  # who opened it by path also vouches for the data beside it
        reply = self._ask(
            "admit", args, source, progress, extra_s=size / BYTES_PER_CPU_S, whole=trusted
        )
        return from_json(ModelSummary, reply["summary"])

    def take(self, model: Path, out: Path) -> tuple[Path, ...]:
        """Copy an admitted model out: as OUT.onnx, with OUT.onnx.data where it is beyond 2 GiB.

        Returns:
            The files that were written.

        Raises:
            InvalidModel: it cannot be read.
            WorkerError: the child died.
        """
        args = {"model": str(model), "out": str(out.absolute())}
        return tuple(Path(file) for file in self._ask("take", args, model)["files"])

    def pack(self, model: Path, folder: Path) -> Path:
        """An admitted model as one file to be downloaded: an .onnx, a .zip beyond 2 GiB.

        Raises:
            InvalidModel: it cannot be read.
            WorkerError: the child died.
        """
        args = {"model": str(model), "folder": str(folder)}
        return Path(self._ask("pack", args, model)["file"])

    def freeze(
        self, model: Path, dims: Mapping[str, int], models: Path, name: str = ""
    ) -> ModelSummary:
        """The model with sizes for its dynamic dimensions, as a new file.

        Raises:
            InvalidModel: no such dimension, or sizes that the model cannot have.
            WorkerError: the child died.
        """
        args = {"model": str(model), "dims": dict(dims), "models": str(models), "name": name}
        return from_json(ModelSummary, self._ask("freeze", args, model)["summary"])

    def set_preprocess(
        self, model: Path, preprocess: Preprocess, models: Path, name: str = ""
    ) -> ModelSummary:
        """The model with its preprocessing in the metadata, as a new file.

        Raises:
            DataError: preprocessing that does not fit the model.
            WorkerError: the child died.
        """
        args = {
            "model": str(model),
            "preprocess": to_json(preprocess),
            "models": str(models),
            "name": name,
        }
        return from_json(ModelSummary, self._ask("set_preprocess", args, model)["summary"])

    def summary(self, model: Path, name: str = "") -> ModelSummary:
        """What the screen says of an admitted model.

        Raises:
            InvalidModel: not a readable model.
            WorkerError: the child died.
        """
        args = {"model": str(model), "name": name}
        return from_json(ModelSummary, self._ask("summary", args, model)["summary"])

    def admit_data(
        self,
        source: Path,
        filename: str,
        data: Path,
        progress: Progress | None = None,
        check: Check | None = None,
    ) -> DataSummary:
        """Take an image set in: data/DIGEST/, every image decoded once.

        Args:
            source: a .npz, a .zip or a folder.
            filename: what the user called it.
            data: folder of the admitted sets.
            progress: hears {"done", "total", "eta_s"} of the images.
            check: called several times a second; what it raises ends the reading.

        Raises:
            DataError: refused, with the reason.
            WorkerError: the set ended the child.
        """
        args = {"source": str(source.absolute()), "filename": filename, "data": str(data)}
        reply = self._ask("admit_data", args, source, progress, check)
        return from_json(DataSummary, reply["summary"])

    def check_fit(self, model: ModelSummary, data: Path, name: str, labels: bool) -> None:
        """See that an image set can feed a model, by its first sample.

        Args:
            model: an admitted model.
            data: an admitted image set.
            name: what messages call the set.
            labels: whether its labels shall be classes of the model, too.

        Raises:
            DataError: it cannot; the message says why.
            WorkerError: the child died.
        """
        scores = list(model.outputs[0].shape) if labels and model.outputs else []
        args = {
            "data": str(data),
            "name": name,
            "inputs": to_json(model.inputs),
            "preprocess": to_json(model.preprocess),
            "scores": scores,
        }
        self._ask("fit", args, data)

    def preview(self, model: Path, recipe: Recipe) -> Preview:
        """What a recipe makes of a model, without verification and without data.

        Raises:
            InvalidModel: not a readable model.
            WorkerError: the child died.
        """
        args = {"model": str(model), "recipe": to_json(recipe)}
        return from_json(Preview, self._ask("preview", args, model)["preview"])

    def sensitivity(
        self,
        model: Path,
        before: Recipe,
        calibration: Path,
        check: Check | None = None,
        progress: Progress | None = None,
    ) -> Sensitivity:
        """What pruning would cost, group by group, measured on calibration images.

        Args:
            model: an admitted model.
            before: what runs before the pruning.
            calibration: an admitted image set.
            check: called several times a second; what it raises ends the study.
            progress: hears what is done, {"current", "share", "eta_s"}.

        Raises:
            CoreError: the images do not fit the model, or it does not run.
            WorkerError: the child died.
        """
        args = {"model": str(model), "before": to_json(before), "calibration": str(calibration)}
        reply = self._ask("sensitivity", args, model, progress, check)
        return from_json(Sensitivity, reply["sensitivity"])

    def topology(self, model: Path) -> Topology:
        """The nodes of a model and who reads from whom.

        Raises:
            InvalidModel: not a readable model.
            WorkerError: the child died.
        """
        return from_json(Topology, self._ask("topology", {"model": str(model)}, model)["topology"])

    def distributions(
        self,
        model: Path,
        layer: str,
        calibration: Path | None,
        images: int,
        check: Check | None = None,
    ) -> Distributions:
        """Histograms of the weights of a layer, and of what leaves it over some images.

        Args:
            model: an admitted model.
            layer: its name; a model without it has nothing to show.
            calibration: an admitted image set; without one there are weights only.
            images: taken at most.
            check: called several times a second; what it raises ends the work.

        Raises:
            CoreError: the images do not fit the model, or it does not run.
            WorkerError: the child died.
        """
        args = {
            "model": str(model),
            "layer": layer,
            "calibration": str(calibration) if calibration else None,
            "images": images,
        }
        reply = self._ask("distributions", args, model, check=check)
        return from_json(Distributions, reply["distributions"])

    def zero_share(self, model: Path) -> float:
        """The share of a model's float weights that are exactly zero, 0 to 1.

        Raises:
            InvalidModel: not a readable model.
            WorkerError: the child died.
        """
        return float(self._ask("zero_share", {"model": str(model)}, model)["share"])

    def layer_chains(self, model: Path, multiple: int, precision: str = "f32") -> tuple[Chain, ...]:
        """The layers of a model, and what passes could make of them, as chains to be timed.

        Args:
            model: an admitted model.
            multiple: channel counts are tried in steps of this.
            precision: "f32", or "int8" where a later step makes the layers so.

        Raises:
            InvalidModel: not a readable model.
            WorkerError: the child died.
        """
        args = {"model": str(model), "multiple": multiple, "precision": precision}
        reply = self._ask("layer_chains", args, model)
        return from_json(tuple[Chain, ...], reply["chains"])

    def ladder(self, model: Path, recipes: Sequence[Recipe]) -> tuple[Chain, ...]:
        """For each recipe, the layers that at least one of them changes, in the same order.

        Args:
            model: an admitted model.
            recipes: that differ in how many channels they keep.

        Raises:
            InvalidModel: not a readable model.
            WorkerError: the child died.
        """
        args = {"model": str(model), "recipes": to_json(tuple(recipes))}
        return from_json(tuple[Chain, ...], self._ask("ladder", args, model)["ladder"])

    def micro_models(self, chains: Sequence[Chain], folder: Path) -> tuple[MicroModel, ...]:
        """Files that time each chain, written to `folder`.

        Raises:
            UnsupportedModel: a layer of a kind that no micro-model is known for.
            WorkerError: the child died.
        """
        args = {"chains": to_json(chains), "folder": str(folder)}
        reply = self._ask("micro_models", args)
        return from_json(tuple[MicroModel, ...], reply["models"])

    def single_nodes(
        self, model: Path, dims: Mapping[str, int], folder: Path, check: Check | None = None
    ) -> Singles:
        """Each kind of node of a model as a model of its own, written to `folder`.

        Args:
            model: an admitted model.
            dims: sizes of its open dimensions.
            folder: which is there.
            check: called several times a second; what it raises ends the work.

        Raises:
            CoreError: no inputs can be made up for it.
            WorkerError: the child died.
        """
        args = {"model": str(model), "dims": dict(dims), "folder": str(folder)}
        reply = self._ask("single_nodes", args, model, check=check)
        return from_json(Singles, reply["singles"])

    def build(
        self,
        model: Path,
        recipe: Recipe,
        calibration: Path | None,
        models: Path,
        progress: Progress | None = None,
        check: Check | None = None,
        timings: Path | None = None,
    ) -> Outcome:
        """Run a recipe; the candidate lies under models/, or the outcome says why there is none.

        The first time, the model runs once on made-up inputs under a short limit: one that never
        ends, or ends its process, is found out before the passes get the time that they may need.

        Args:
            model: an admitted model.
            recipe: the passes.
            calibration: an admitted image set, if there is one.
            models: folder of the admitted models.
            progress: hears of every step.
            check: called several times a second; what it raises ends the build.
            timings: a table of layer times, for passes whose budget is latency.

        Raises:
            WorkerError: the child died.
        """
        self._try(model, check)
        args = {
            "model": str(model),
            "recipe": to_json(recipe),
            "calibration": str(calibration) if calibration else None,
            "timings": str(timings) if timings else None,
            "models": str(models),
        }
        reply = self._ask("build", args, model, progress, check, _extra_s(recipe))
        return from_json(Outcome, reply["outcome"])

    def _try(self, model: Path, check: Check | None) -> None:
        if model in self._tried:
            return
        try:
            self._ask("trial", {"model": str(model)}, model, check=check)
        except WorkerError as error:
            reason = f"Running the model once on ONNX Runtime ended the process: {error.message}"
            raise type(error)(reason) from None
        except CoreError:
            pass  # it may still run on real data, or on other backends; the build will say
        self._tried.add(model)

    def close(self) -> None:
        """End the child, also from another thread while a call waits for it."""
        self._closed = True
        child = self._child
        if child is not None and child.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        with self._lock:
            self._end()

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self,
        call: str,
        args: Json,
        file: Path | None = None,
        progress: Progress | None = None,
        check: Check | None = None,
        extra_s: float = 0.0,
        whole: bool = False,
    ) -> Json:
        """Ask the child; `whole` lets a call that is no work take all that is free, too."""
        with self._lock:
            child = self._ready()
            most = memory.limit_bytes(child.pid)
            if call not in WORKING and not whole:
                most = min(most, _for_reading(file))
            try:
                cpu_s = CPU_S.get(call, DEFAULT_CPU_S) + extra_s
                reply = child.request(call, args, progress, cpu_s, check, most)
            except WorkerError:
                self._end()
                if not self._closed:
                    self._start()
                raise
            except (CoreError, ChildBug):
                self._renew_if_stale(child)
                raise
            except BaseException:  # from `progress`: the rest of the reply is still in the pipe
                self._end()
                raise
            self._renew_if_stale(child)
            return reply

    def _ready(self) -> Child:
        if self._closed:
            raise WorkerCrashed("The workshop is closed.")
        child = self._child
        if child is None or not child.alive:
            self._end()
            child = self._start()
        return child

    def _start(self) -> Child:
        self._child = Child(MODULE, self._limits)
        return self._child

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _renew_if_stale(self, child: Child) -> None:
        """Give a swollen child's memory back to the machine."""
        if not child.alive or memory.resident_bytes(str(child.pid)) > STALE_RSS_BYTES:
            self._end()
            self._start()


def _extra_s(recipe: Recipe) -> float:
    """CPU seconds that passes need; a step that cannot be built needs none."""
    seconds = 0.0
    for step in recipe.steps:
        with contextlib.suppress(PassError):
            seconds += build(step).cpu_s()
    return seconds


def _for_reading(file: Path | None) -> int:
    """What a call may hold that only reads or rewrites a file, which may be hostile."""
    try:
        return GATE_BYTES + GATE_PER_BYTE * (stored_bytes(file) if file else 0)
    except OSError:
        return GATE_BYTES
