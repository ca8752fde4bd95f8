"""Outputs of whole graphs on a backend, from one limited process that stays for the next graph.

What a runtime makes of a file may differ from what the file says: sums that saturate, roundings
between fused operators, kernels that are wrong. Only its own outputs tell.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core import graph as graphs
from core.backends.base import catalogue, parse
from core.calibration.graph_timing import CPU_S, MODULE
from core.calibration.services import Tensors
from core.graph import Graph
from core.process import Child, Limits, memory
from core.records import Json, to_json


class Elsewhere:
    """Runs graphs on a backend, in its default precision and on all cores."""

    def __init__(self, backend: str) -> None:
        """`backend` is a name, or name:precision; the process starts with the first graph.

        Raises:
            BackendUnavailable: there is no such backend here.
        """
        name, precision = parse(backend)
        catalogue()[name].version()
        self.label = catalogue()[name].label
        self._setting: Json = {"backend": name, "precision": precision, "threads": 0}
        self._child: Child | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="lathe-elsewhere-")
        self._feeds: Sequence[Tensors] | None = None

    def __call__(self, graph: Graph, feeds: Sequence[Tensors]) -> list[Tensors]:
        """The outputs of `graph` for each feed.

        Raises:
            CoreError: the backend refuses the graph, fails, or ends its process.
        """
        folder = Path(self._folder.name)
        model, out = folder / "model.onnx", folder / "outputs.npz"
        if feeds is not self._feeds:
            _save(folder / "feeds.npz", feeds)
            self._feeds = feeds
        graphs.write_for(model, graph)
        if self._child is None or not self._child.alive:
            self._child = Child(MODULE, Limits(memory.budget_bytes(), CPU_S))
        specs = graphs.output_specs(graph)
        given = {"path": str(folder / "feeds.npz"), "names": [*feeds[0]], "count": len(feeds)}
        asked = {"model": str(model), "feeds": given, "outputs": to_json(specs), "out": str(out)}
        self._child.request("run_file", self._setting | asked)
        with np.load(out) as arrays:
            return [
                {spec.name: arrays[f"{i}_{j}"] for j, spec in enumerate(specs)}
                for i in range(len(feeds))
            ]

    def close(self) -> None:
        """End the process and let its files go."""
        if self._child is not None:
            self._child.close()
        self._folder.cleanup()


def _save(path: Path, feeds: Sequence[Tensors]) -> None:
    arrays = {f"{i}_{j}": a for i, feed in enumerate(feeds) for j, a in enumerate(feed.values())}
    np.savez(path, **arrays)  # type: ignore[arg-type]
