"""What LiteRT makes of a graph that was written as TFLite, beside what ONNX says."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from core.backends.litert import BACKEND
from core.calibration.services import Tensors
from core.formats.tflite.net import Net
from core.formats.tflite.writer import save, written
from core.graph import Graph
from core.records import RunOptions
from tests.builders import feeds, run

FLOOR = 1e-3  # of what differences are relative to: outputs near zero prove nothing


def answers(net: Graph, given: Tensors, variant: str = "") -> tuple[Net, Tensors]:
    """The network as it was written, and the outputs of the file by name."""
    graph = net.clone()
    made = written(graph, variant)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        save(made, graph, path)
        session = BACKEND.load(path, RunOptions(1))
        found = session.run(given)
        session.close()
    return made, found


def same(net: Graph, allowed: float = 1e-5, variant: str = "", given: Tensors | None = None) -> Net:
    """Hold the file to the names, shapes, types and numbers of ONNX."""
    given = feeds(net) if given is None else given
    names = [value.name for value in net.graph.outputs]
    wanted = dict(zip(names, run(net, given), strict=True))
    made, got = answers(net, given, variant)
    assert list(got) == names or set(got) == set(names)
    for name, value in wanted.items():
        assert got[name].shape == value.shape, name
        assert got[name].dtype == value.dtype, name
        off = np.abs(got[name].astype(np.float64) - value.astype(np.float64))
        scale = max(float(np.abs(value.astype(np.float64)).max(initial=0)), FLOOR)
        assert float(off.max(initial=0)) <= allowed * scale, name
    return made


def operators(net: Net) -> Counter[str]:
    """How often each operator of TFLite was written."""
    return Counter(one.code for one in net.file.operations)


def marked(attributes: str) -> str:
    """Attributes as the parser reads them; it takes no empty list."""
    return f"<{attributes}>" if attributes else ""
