"""OpenCV DNN with the engine that OpenCV 5 brought."""

from __future__ import annotations

from core.backends.base.opencv import PACKAGE, OpenCv
from core.records import BackendFacts, Int8Facts

BACKEND = OpenCv(
    label="OpenCV DNN",
    engine="ENGINE_NEW",
    about="What ships inside many vision applications.",
    arithmetic="fp32; some int8 files run, slower",
    facts=BackendFacts(
        "#079a72",
        Int8Facts(signed=True),
        opening=True,
        place=30,
        int8_does="Some QDQ files run, slower than float; others are refused.",
        package=PACKAGE,
    ),
)
