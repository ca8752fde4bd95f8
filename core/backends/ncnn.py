"""ncnn on the CPU: one run for each image, outputs by name, float32 unless the file is quantized.

ncnn computes in 16 bits where a processor can, unless told otherwise; so f32 switches that off, and
what it does by itself is no precision here: on PCs it only stores activations in 16 bits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
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
        count = self._count(feeds)
        rows = [self._once(feeds, i) for i in range(count)]
        return {
            end.name: np.concatenate([row[end.name] for row in rows])
            if end.batch
            else rows[0][end.name]
            for end in self._outputs
        }

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

    def _once(self, feeds: Tensors, index: int) -> Tensors:
        """The outputs for one image."""
        extractor = self._net.create_extractor()
        for end in self._inputs:
            value = feeds[end.name][index] if end.batch else feeds[end.name]
            blob = np.ascontiguousarray(value, np.float32).reshape(end.form)
            owned = self._ncnn.Mat(blob).clone()  # layers that work in place want their own memory
            _hold(f"ncnn did not take {end.name!r}", extractor.input(end.blob, owned))
        return {end.name: self._extracted(extractor, end) for end in self._outputs}

    def _extracted(self, extractor: Any, end: End) -> np.ndarray[Any, Any]:
        code, blob = extractor.extract(end.blob)
        _hold(f"ncnn could not compute {end.name!r}", code)
        found = np.array(blob)
        if found.size != int(np.prod(end.shape)):
            raise InferenceFailed(
                f"ncnn made {found.size} numbers of {end.name!r}, not {list(end.shape)}."
            )
        return found.reshape(end.shape).astype(end.kind)

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
    arithmetic = "f32, one run for each image"
    facts = BackendFacts(
        "#7a8f12",
        place=50,
        int8_does="QDQ files with quantized activations are refused; int8 weights run in float.",
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
