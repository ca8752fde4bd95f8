"""OpenCV DNN with the engine that OpenCV 5 brought."""

from __future__ import annotations

from core.backends.base_opencv import OpenCv

BACKEND = OpenCv(
    label="OpenCV DNN",
    engine="ENGINE_NEW",
    about="What ships inside many vision applications; of int8 QDQ some files run, slower.",
)
