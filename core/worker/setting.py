"""What is measured, and on what: a model as admitted, a backend, and where the inputs come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.backends.base import parse, reads
from core.devices import base as devices
from core.devices.base import Device
from core.devices.local import memory
from core.records import ModelSummary, Preprocess, RunOptions
from core.records.artifacts import ONNX
from core.records.targets import LOCAL

MICRO_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Source:
    """Where model inputs come from.

    Attributes:
        data: an admitted image set; None for inputs made up from the model's signature.
        digest: of the set; empty without one.
        preprocess: how its pixels become inputs; None guesses from the input.
        images: samples used at most; 0 for all.
    """

    data: Path | None = None
    digest: str = ""
    preprocess: Preprocess | None = None
    images: int = 0


@dataclass(frozen=True, slots=True)
class Setting:
    """A backend with its precision and threads.

    Attributes:
        spec: as it was asked for: `name`, `name:precision`, either with `@format` behind.
        name: of the backend.
        options: precision and threads.
        reads: the file format that it is given.
        device: where it runs, by the name of the device.
    """

    spec: str
    name: str
    options: RunOptions
    reads: str = ONNX
    device: str = LOCAL

    @classmethod
    def of(cls, spec: str, threads: int = 1, device: str = LOCAL) -> Setting:
        """Read "openvino:bf16", or "openvino@openvino_ir".

        Raises:
            BackendUnavailable: no backend of that name, or it has no such precision, or reads no
                such format.
        """
        name, precision = parse(spec)
        return cls(spec, name, RunOptions(threads, precision), reads(spec), device)

    @property
    def place(self) -> Device:
        """Where it runs.

        Raises:
            DeviceUnavailable: there is no device of that name.
        """
        return devices.device(self.device)


def memory_bytes(model: ModelSummary | None) -> int:
    """What a worker may hold: what is free for it; less for micro-models, which are one layer."""
    there = memory.share_bytes()
    return there if model else min(there, MICRO_BYTES)
