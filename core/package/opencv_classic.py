"""OpenCV DNN with the engine of OpenCV 4."""

from __future__ import annotations

from core.package.base.opencv import of_engine

SNIPPET = of_engine("ENGINE_CLASSIC")
