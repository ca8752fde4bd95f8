"""OpenCV DNN with the engine that OpenCV 5 brought."""

from __future__ import annotations

from core.package.base.opencv import of_engine

SNIPPET = of_engine("ENGINE_NEW")
