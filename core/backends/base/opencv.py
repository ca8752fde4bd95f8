"""What OpenCV's two DNN engines share.

The new engine answers a file that it does not understand with an empty net and no exception, so
an empty net is a failure here. OpenCV names outputs after layers, not after ONNX outputs: they come
back in the net's own order and names; the worker finds their places by name, position and shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.backends.base import Tensors, cores, installed
from core.backends.base.profile import COMPUTE, OTHER, QUANTIZE, REORDER, TimedLayer
from core.errors import BackendUnavailable, InferenceFailed
from core.records import BackendFacts, Package, RunOptions

PACKAGE = Package("opencv-python-headless", 160_000_000, "Apache-2.0")
_ROLES = {
    **dict.fromkeys(("Quantize", "Dequantize", "Requantize"), QUANTIZE),
    "QuantizeLinear": QUANTIZE,
    "DequantizeLinear": QUANTIZE,
    "TransformLayout": REORDER,
    **dict.fromkeys(("Reshape", "Reshape2", "Flatten", "Identity", "Const"), OTHER),
}


REFUSALS = {
    "BitwiseAnd": "OpenCV's classic engine cannot read weights of few bits: it has no BitwiseAnd, "
    "which unpacks them; its new engine has",
    "Unsupported data type": "OpenCV cannot read a data type of this file, as 4-bit weights are "
    "one (stored packed they can be read)",
}


class OpenCvSession:
    """One cv2.dnn net."""

    precision = "f32"  # its half precision is a target of its own, which is not chosen here

    def __init__(self, model: Path, engine: str, options: RunOptions) -> None:
        """Read `model`.

        Raises:
            InferenceFailed: OpenCV does not take the model, or made an empty net of it.
            BackendUnavailable: it does not take the number of threads.
        """
        import cv2

        self._error = cv2.error
        threads = cores(options.threads)
        cv2.setNumThreads(threads)
        if cv2.getNumThreads() != threads:
            raise BackendUnavailable(f"OpenCV uses {cv2.getNumThreads()} threads, not {threads}.")
        self.settings = {"threads": str(threads), "Winograd": "on, the default"}
        try:
            self._net: Any = cv2.dnn.readNetFromONNX(str(model), getattr(cv2.dnn, engine))
        except cv2.error as error:
            raise InferenceFailed(_why(error)) from error
        if self._net.empty():
            raise InferenceFailed(
                "OpenCV read the file and built an empty net: it lacks a layer for an operator."
            )
        self._names = list(self._net.getUnconnectedOutLayersNames())

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by OpenCV's names.

        Raises:
            InferenceFailed: OpenCV's words.
        """
        try:
            for name, value in feeds.items():
                self._net.setInput(value, name)
            values = self._net.forward(self._names)
        except self._error as error:
            raise InferenceFailed(f"OpenCV could not run it: {_words(error)}") from error
        # forward() reuses its buffers: what is kept must be a copy.
        return {n: np.array(v) for n, v in zip(self._names, values, strict=True)}

    def close(self) -> None:
        """Free the net."""
        self._net = None


class OpenCvProfileSession(OpenCvSession):
    """A net whose ticks per layer are read after every run."""

    def __init__(self, model: Path, engine: str, options: RunOptions) -> None:
        """Read `model`.

        Raises:
            InferenceFailed: OpenCV does not take the model, or made an empty net of it.
            BackendUnavailable: this OpenCV does not keep one time per layer.
        """
        super().__init__(model, engine, options)
        self._layers = [str(name) for name in self._net.getLayerNames()]
        self._seconds: list[list[float]] = [[] for _ in self._layers]

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs; the times are kept.

        Raises:
            InferenceFailed: OpenCV's words.
            BackendUnavailable: the times are not one per layer.
        """
        import cv2

        values = super().run(feeds)
        ticks = np.asarray(self._net.getPerfProfile()[1]).ravel()
        if len(ticks) != len(self._layers):
            raise BackendUnavailable("This OpenCV does not tell how long its layers take.")
        for kept, count in zip(self._seconds, ticks, strict=True):
            kept.append(float(count) / cv2.getTickFrequency())
        return values

    def layers(self) -> tuple[TimedLayer, ...]:
        """Layers that took time; what was fused into another one took none."""
        pairs = zip(self._layers, self._seconds, strict=True)
        return tuple(self._row(name, seconds) for name, seconds in pairs if any(seconds))

    def _row(self, name: str, seconds: list[float]) -> TimedLayer:
        op_type = str(self._net.getLayer(self._net.getLayerId(name)).type)
        plain = name.rpartition("!")[2]
        precision = "int8" if op_type.endswith("Int8") else "f32"
        role = _ROLES.get(op_type, COMPUTE)
        return TimedLayer(name, plain, op_type, role, precision, "CPU", op_type, (), tuple(seconds))


@dataclass(frozen=True)
class OpenCv:
    """cv2.dnn with one of its engines."""

    label: str
    engine: str
    about: str
    arithmetic: str
    facts: BackendFacts
    precisions: tuple[str, ...] = ("f32",)
    remedy: str = "pip install -r requirements.txt"
    accepts: tuple[str, ...] = ("onnx",)

    def version(self) -> str:
        """The installed version.

        Raises:
            BackendUnavailable: not installed.
        """
        return installed(PACKAGE.name, self.remedy)

    def device(self) -> str:
        """What it computes on."""
        return "CPU"

    def load(self, artifact: Path, options: RunOptions) -> OpenCvSession:
        """A net on this engine.

        Raises:
            InferenceFailed: OpenCV does not take the model.
        """
        return OpenCvSession(artifact, self.engine, options)

    def profile(self, artifact: Path, options: RunOptions) -> OpenCvProfileSession:
        """A net on this engine whose layers are timed.

        Raises:
            InferenceFailed: OpenCV does not take the model.
            BackendUnavailable: it keeps no times.
        """
        return OpenCvProfileSession(artifact, self.engine, options)


def _why(error: Exception) -> str:
    """Why a file was not loaded: in plain words where they are known, then in OpenCV's."""
    known = (plain for sign, plain in REFUSALS.items() if sign in str(error))
    return f"{next(known, 'OpenCV could not load it')}: {_words(error)}"


def _words(error: Exception) -> str:
    """OpenCV's message without the paths of the machine that compiled it."""
    text = " ".join(str(error).split())
    head, found, tail = text.rpartition("error: ")
    return tail if found and head else text
