"""Backends that misbehave in each way that a runtime has been seen to, and a worker that has them.

Each answers like ONNX Runtime but for its one fault.
"""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

import numpy as np

from core.backends.base import Tensors, catalogue
from core.devices.local import serve
from core.errors import BackendUnavailable
from core.records import BackendFacts, RunOptions
from core.worker.desk import Desk


class FakeSession:
    """ONNX Runtime with a fault."""

    def __init__(self, fault: str, model: Path, options: RunOptions) -> None:
        self.fault, self.calls = fault, 0
        self._real = catalogue()["onnxruntime"].load(model, RunOptions(options.threads))
        self.settings = self._real.settings
        self.precision = "bf16" if fault == "lies" else options.precision

    def run(self, feeds: Tensors) -> Tensors:
        self.calls += 1
        _die(self.fault)
        return _spoil(self.fault, self._real.run(feeds))

    def close(self) -> None:
        self._real.close()


def _die(fault: str) -> None:
    if fault == "segv":
        ctypes.string_at(0)
    if fault == "hang":
        time.sleep(600)
    if fault == "chatter":
        os.write(1, b'{"result": {"forged": true}}\n' * 100)
        os.write(2, b"warning\n" * 100)


def _spoil(fault: str, outputs: Tensors) -> Tensors:
    first = next(iter(outputs))
    if fault == "wrong":
        outputs[first] = outputs[first] + 1
    elif fault == "slightly wrong":
        outputs[first] = outputs[first] * 1.05
    elif fault == "nan":
        outputs[first] = np.full_like(outputs[first], np.nan)
    elif fault == "short":
        outputs[first] = outputs[first][..., :-1]
    elif fault == "silent":
        return {}
    elif fault == "renames":
        return {f"layer_{i}": array for i, array in enumerate(outputs.values())}
    return outputs


class Fake:
    """A backend with one fault."""

    precisions = ("f32", "bf16")
    remedy = "pip install fake"
    about = "For tests only."
    facts = BackendFacts("#6f7b90", internal=True)

    def __init__(self, fault: str) -> None:
        self.label = f"fake: {fault}"
        self.fault = fault
        self.accepts = (READS.get(fault, "onnx"),)

    def version(self) -> str:
        if self.fault == "missing":
            raise BackendUnavailable("fake is not installed.", self.remedy)
        return "1"

    def device(self) -> str:
        return "none"

    def load(self, artifact: Path, options: RunOptions) -> FakeSession:
        if self.fault == "segv while loading":
            ctypes.string_at(0)
        return FakeSession(self.fault, artifact, options)


READS = {"no conversion": "fake_refused", "converting": "fake_copy"}
FAULTS = (
    "none", "wrong", "slightly wrong", "nan", "short", "silent", "renames", "lies", "segv", "hang",
    "chatter", "missing", "no conversion", "converting", "segv while loading",
)  # fmt: skip
FAKES = {f"fake_{fault.replace(' ', '_')}": Fake(fault) for fault in FAULTS}

if __name__ == "__main__":
    catalogue().update(FAKES)  # type: ignore[attr-defined]
    serve(Desk().handlers())
