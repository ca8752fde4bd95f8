"""Topologies of models: read once by the workshop, kept in files by digest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core import sources
from core.records import Topology
from core.runs.on_demand import OnDemand, Shelf, Step, Turns, key_of

KEPT = 16
READERS = ("analysis", "graph", "records/topology.py")  # what decides how one comes out
Compute = Callable[[str], Topology]


class Topologies:
    """Topologies by digest. Thread-safe."""

    def __init__(self, folder: Path, compute: Compute) -> None:
        """Nothing is read yet.

        Args:
            folder: where they are kept, made when the first one is.
            compute: reads the model of a digest; may raise a CoreError.
        """
        self._compute = compute
        shelf: Shelf[Topology] = Shelf(Topology, folder, KEPT)
        self._found = OnDemand(Turns(), shelf, stands_s=0.0)

    def get(self, digest: str) -> Topology:
        """The topology of a model.

        Raises:
            CoreError: whatever reading it raised.
        """

        def read(_: Step) -> Topology:
            return self._compute(digest)

        return self._found.now(key_of(digest, sources.digest(*READERS)), read)
