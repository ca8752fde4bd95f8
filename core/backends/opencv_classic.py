"""OpenCV DNN with the engine of OpenCV 4, which OpenCV 5 keeps."""

from __future__ import annotations

from core.backends.base.opencv import PACKAGE, OpenCv
from core.records import BackendFacts

BACKEND = OpenCv(
    label="OpenCV DNN, classic engine",
    engine="ENGINE_CLASSIC",
    about="The engine of OpenCV 4, which OpenCV 5 keeps.",
    arithmetic="fp32; int8 runs, but no faster",
    facts=BackendFacts(
        "#b565bf",
        place=40,
        int8_does="QDQ files run, no faster than float.",
        package=PACKAGE,
    ),
)
