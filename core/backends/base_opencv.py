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
from core.errors import InferenceFailed
from core.records import RunOptions


class OpenCvSession:
    """One cv2.dnn net."""

    precision = "f32"

    def __init__(self, model: Path, engine: str, options: RunOptions) -> None:
        """Read `model`.

        Raises:
            InferenceFailed: OpenCV does not take the model, or made an empty net of it.
        """
        import cv2

        self._error = cv2.error
        cv2.setNumThreads(cores(options.threads))
        try:
            self._net: Any = cv2.dnn.readNetFromONNX(str(model), getattr(cv2.dnn, engine))
        except cv2.error as error:
            raise InferenceFailed(f"OpenCV could not load it: {_words(error)}") from error
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


@dataclass(frozen=True)
class OpenCv:
    """cv2.dnn with one of its engines."""

    label: str
    engine: str
    about: str
    precisions: tuple[str, ...] = ("f32",)
    remedy: str = "pip install -r requirements.txt"

    def version(self) -> str:
        """The installed version.

        Raises:
            BackendUnavailable: not installed.
        """
        return installed("opencv-python-headless", self.remedy)

    def device(self) -> str:
        """What it computes on."""
        return "CPU"

    def compile(self, model: Path, out_dir: Path, options: RunOptions) -> Path:
        """OpenCV reads ONNX."""
        del out_dir, options
        return model

    def load(self, artifact: Path, options: RunOptions) -> OpenCvSession:
        """A net on this engine.

        Raises:
            InferenceFailed: OpenCV does not take the model.
        """
        return OpenCvSession(artifact, self.engine, options)


def _words(error: Exception) -> str:
    """OpenCV's message without the paths of the machine that compiled it."""
    text = " ".join(str(error).split())
    head, found, tail = text.rpartition("error: ")
    return tail if found and head else text
