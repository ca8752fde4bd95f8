"""Tiny models as the gate admits them, and a worker whose backends misbehave."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import graph as graphs
from core.backends.base import catalogue
from core.devices.local import device
from core.formats.base import artifacts
from core.formats.base import catalogue as formats
from core.graph import Graph
from core.pipeline.summary import summarise
from core.records import ModelSummary
from tests.builders import graph
from tests.formats.fakes import FORMATS
from tests.worker.fakes import FAKES


def net(width: int = 8) -> Graph:
    """A convolution and a fully connected layer."""
    return graph(
        """(float[N,3,8,8] image) => (float[N,6] scores) {
            c = Conv <pads=[1,1,1,1]> (image, w, b) r = Relu (c) p = GlobalAveragePool (r)
            f = Flatten (p) scores = Gemm <transB=1> (f, u, k)
        }""",
        w=(width, 3, 3, 3), b=(width,), u=(6, width), k=(6,),
    )  # fmt: skip


def admitted(made: Graph, folder: Path, name: str = "net") -> ModelSummary:
    """A graph on disk with its summary."""
    path = folder / f"{name}.onnx"
    digest = graphs.save(made, path)
    return summarise(made, path, digest, name)


def use_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process and the workers that it starts know the backends of `FAKES`."""
    for name, backend in FAKES.items():
        monkeypatch.setitem(catalogue(), name, backend)  # type: ignore[arg-type]

    for name, kind in FORMATS.items():
        monkeypatch.setitem(formats(), name, kind)  # type: ignore[arg-type]
    monkeypatch.setattr(device, "WORKER", "tests.worker.fakes")
    monkeypatch.setattr(artifacts, "MODULE", "tests.formats.fakes")
