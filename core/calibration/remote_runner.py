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
from core.backends.base import catalogue
from core.calibration.graph_timing import CPU_S, started
from core.calibration.services import Tensors
from core.graph import Graph
from core.worker.client import Worker
from core.worker.setting import Setting


class Elsewhere:
    """Runs graphs on a backend, in its default precision and on all cores."""

    def __init__(self, backend: str) -> None:
        """`backend` is a name, or name:precision; the process starts with the first graph.

        Raises:
            BackendUnavailable: there is no such backend here.
        """
        self._setting = Setting.of(backend, threads=0)
        runtime = catalogue()[self._setting.name]
        runtime.version()
        self.label = runtime.label
        self._worker: Worker | None = None
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
        if self._worker is None or not self._worker.alive:
            self._worker = started()
        specs, given = graphs.output_specs(graph), folder / "feeds.npz"
        self._worker.run_file(
            model, self._setting, tuple(specs), given, [*feeds[0]], len(feeds), out, CPU_S
        )
        with np.load(out) as arrays:
            return [
                {spec.name: arrays[f"{i}_{j}"] for j, spec in enumerate(specs)}
                for i in range(len(feeds))
            ]

    def close(self) -> None:
        """End the process and let its files go."""
        if self._worker is not None:
            self._worker.close()
        self._folder.cleanup()


def _save(path: Path, feeds: Sequence[Tensors]) -> None:
    arrays = {f"{i}_{j}": a for i, feed in enumerate(feeds) for j, a in enumerate(feed.values())}
    np.savez(path, **arrays)  # type: ignore[arg-type]
