"""ncnn on the CPU: one run for each image, outputs by name, float32 unless the file is quantized.

ncnn computes in 16 bits where a processor can, unless told otherwise; so f32 switches that off, and
what it does by itself is no precision here: on PCs it only stores activations in 16 bits.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.backends.base import Tensors, cores, installed
from core.errors import BackendUnavailable, InferenceFailed
from core.records import BackendFacts, Json, Package, RunOptions

HALVES = (
    "use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic",
    "use_bf16_packed", "use_bf16_storage",
)  # fmt: skip
ENDS = {-100: "no memory was left", -1: "a layer refused what it was given"}


@dataclass(frozen=True, slots=True)
class End:
    """An input or an output: its name in ONNX, its blob, and the shape and type on both sides."""

    name: str
    blob: str
    form: tuple[int, ...]
    shape: tuple[int, ...]
    kind: str
    batch: bool

    @classmethod
    def of(cls, said: Json) -> End:
        """As `model.json` says it."""
        form, shape = tuple(said["blob_shape"]), tuple(said["shape"])
        return cls(said["name"], said["blob"], form, shape, said["type"], bool(said["batch"]))


class NcnnSession:
    """One net with memory pools of its own."""

    precision = "f32"
    spins = False

    def __init__(self, model: Path, options: RunOptions) -> None:
        """Load `model`, its .bin and its .json.

        Raises:
            InferenceFailed: ncnn does not take the files.
            BackendUnavailable: an option did not take.
        """
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        import ncnn

        self._ncnn = ncnn
        self._net: Any = ncnn.Net()
        self._pools: Any = (ncnn.PoolAllocator(), ncnn.UnlockedPoolAllocator())
        threads = cores(options.threads)
        _set(self._net.opt, threads, self._pools)
        self._inputs, self._outputs = _interface(model)
        weights = model.with_suffix(".bin")
        _hold("ncnn could not load the graph", self._net.load_param(str(model)))
        _hold("ncnn could not load the weights", self._net.load_model(str(weights)))
        self.settings: Mapping[str, str] = {
            "threads": str(self._net.opt.num_threads),
            "batch": "one run for each image",
            "winograd": "on" if self._net.opt.use_winograd_convolution else "off",
            "packing": "on" if self._net.opt.use_packing_layout else "off",
        }

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by name.

        Raises:
            InferenceFailed: ncnn's answer, or feeds that it cannot take.
        """
        rows = [self._arrays(self._computed(blobs)) for blobs in self._blobs(feeds)]
        return {
            end.name: np.concatenate([row[end.name] for row in rows])
            if end.batch
            else rows[0][end.name]
            for end in self._outputs
        }

    def sample(self, feeds: Tensors, runs: int) -> tuple[int, ...]:
        """Nanoseconds of each run, from ncnn's blobs to ncnn's blobs, as its benchmark takes them.

        Raises:
            InferenceFailed: as `run`.
        """
        bound, times = self._blobs(feeds), []
        for _ in range(runs):
            start = time.perf_counter_ns()
            for blobs in bound:
                self._computed(blobs)
            times.append(time.perf_counter_ns() - start)
        return tuple(times)

    def _count(self, feeds: Tensors) -> int:
        """How many images there are."""
        for end in self._inputs:
            value = feeds.get(end.name)
            if value is None:
                raise InferenceFailed(f"ncnn: there is no input {end.name!r} among the feeds.")
            shape = value.shape[1:] if end.batch else value.shape
            if shape != (end.shape[1:] if end.batch else end.shape):
                raise InferenceFailed(
                    f"ncnn: {end.name!r} has shape {list(value.shape)}, and the file takes "
                    f"{list(end.shape)}."
                )
        counts = {len(feeds[end.name]) for end in self._inputs if end.batch}
        if len(counts) > 1:
            raise InferenceFailed(f"ncnn: the inputs hold {sorted(counts)} images.")
        return counts.pop() if counts else 1

    def _blobs(self, feeds: Tensors) -> list[list[Any]]:
        """The inputs of each image, in memory of ncnn's own: layers may work in place."""
        found = []
        for index in range(self._count(feeds)):
            blobs = []
            for end in self._inputs:
                value = feeds[end.name][index] if end.batch else feeds[end.name]
                array = np.ascontiguousarray(value, np.float32).reshape(end.form)
                blobs.append(self._ncnn.Mat(array).clone())
            found.append(blobs)
        return found

    def _computed(self, blobs: Sequence[Any]) -> list[Any]:
        """The outputs for one image."""
        extractor, found = self._net.create_extractor(), []
        for end, blob in zip(self._inputs, blobs, strict=True):
            _hold(f"ncnn did not take {end.name!r}", extractor.input(end.blob, blob))
        for end in self._outputs:
            code, blob = extractor.extract(end.blob)
            _hold(f"ncnn could not compute {end.name!r}", code)
            found.append(blob)
        return found

    def _arrays(self, blobs: Sequence[Any]) -> Tensors:
        """Blobs of outputs as arrays of ONNX's shape and type."""
        found = {}
        for end, blob in zip(self._outputs, blobs, strict=True):
            array = np.array(blob)
            if array.size != math.prod(end.shape):
                raise InferenceFailed(
                    f"ncnn made {array.size} numbers of {end.name!r}, not {list(end.shape)}."
                )
            found[end.name] = array.reshape(end.shape).astype(end.kind)
        return found

    def close(self) -> None:
        """Free the net before its pools."""
        self._net.clear()
        self._net = None
        self._pools = None


def _set(opt: Any, threads: int, pools: tuple[Any, ...]) -> None:
    """Set the options and read them back.

    Raises:
        BackendUnavailable: one did not take.
    """
    wanted = {"num_threads": threads, "use_vulkan_compute": False, **dict.fromkeys(HALVES, False)}
    for name, value in wanted.items():
        setattr(opt, name, value)
    opt.blob_allocator, opt.workspace_allocator = pools[1], pools[0]
    for name, value in wanted.items():
        if getattr(opt, name) != value:
            raise BackendUnavailable(f"ncnn has {name} at {getattr(opt, name)}, not at {value}.")


def _interface(model: Path) -> tuple[list[End], list[End]]:
    path = model.with_suffix(".json")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return [End.of(one) for one in said["inputs"]], [End.of(one) for one in said["outputs"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InferenceFailed(
            f"ncnn: {path.name}, which says what goes in and comes out, cannot be read: {error}"
        ) from error


def _hold(what: str, code: int) -> None:
    """Raise what ncnn answers with a number.

    Raises:
        InferenceFailed: it is not 0.
    """
    if code:
        reason = ENDS.get(code, "its layers or sizes do not fit")
        raise InferenceFailed(f"{what}: {reason} (code {code}).")


class Ncnn:
    """CPU build of the wheel."""

    label = "ncnn"
    precisions: tuple[str, ...] = ("f32",)
    remedy = "pip install -r requirements.txt"
    accepts: tuple[str, ...] = ("ncnn",)
    about = "Tencent's runtime for phones and boards; small, and quick on ARM and on PCs."
    arithmetic = "f32, one run for each image; int8 (QDQ) of signed codes around zero"
    facts = BackendFacts(
        "#7a8f12",
        place=50,
        int8_does="QDQ files of signed codes around zero are computed in integers, others refused; "
        "int8 weights alone run in float.",
        package=Package("ncnn", 29_000_000, "BSD-3-Clause"),
    )

    def version(self) -> str:
        """The installed version.

        Raises:
            BackendUnavailable: not installed.
        """
        return installed("ncnn", self.remedy)

    def device(self) -> str:
        """What it computes on."""
        return "CPU"

    def load(self, artifact: Path, options: RunOptions) -> NcnnSession:
        """A net with threads and precision read back.

        Raises:
            InferenceFailed, BackendUnavailable
        """
        return NcnnSession(artifact, options)


BACKEND = Ncnn()
