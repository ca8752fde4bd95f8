"""Time whole graphs on a backend, in turns, in a process of its own.

A graph that the runtime refuses, or that ends the process (OpenVINO's compiler dies on some integer
graphs), is out of the race with the reason; the others are timed without it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from core import graph as graphs
from core.backends.base import catalogue
from core.calibration.services import Lap, Tensors
from core.devices.local import memory
from core.errors import BackendUnavailable, CoreError
from core.graph import Graph
from core.worker.client import Worker
from core.worker.setting import Setting
from core.worker.timing.plan import TRIAL, TimingPlan, of_race

CPU_S = 240.0


def race(
    contestants: Sequence[Graph],
    feeds: Tensors,
    sessions: int,
    backend: str,
    alone: Callable[[], AbstractContextManager[None]],
    brief: bool = False,
) -> list[Lap]:
    """A lap for each graph: on one thread, in the backend's default precision.

    Args:
        contestants: the graphs; the first is what the others are compared with.
        feeds: what all of them are run on.
        sessions: how often all of them are loaded anew.
        backend: name, or name:precision.
        alone: keeps all other measurements away.
        brief: a few runs of each graph.

    Raises:
        BackendUnavailable: there is no such backend here.
    """
    setting = Setting.of(backend)
    catalogue()[setting.name].version()
    with (
        tempfile.TemporaryDirectory(prefix="lathe-race-") as folder,
        _Course(Path(folder), contestants, feeds, setting) as course,
        alone(),
    ):
        return course.laps(sessions, brief)


class _Course:
    """The files of a race and the child that runs them."""

    def __init__(
        self, folder: Path, contestants: Sequence[Graph], feeds: Tensors, setting: Setting
    ) -> None:
        self._files = [folder / f"{index}.onnx" for index in range(len(contestants))]
        for path, graph in zip(self._files, contestants, strict=True):
            graphs.write_for(path, graph)
        np.savez(folder / "feeds.npz", *feeds.values())
        self._feeds, self._names = folder / "feeds.npz", list(feeds)
        self._setting = setting
        self._worker: Worker | None = None

    def __enter__(self) -> _Course:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            self._worker.close()

    def laps(self, sessions: int, brief: bool = False) -> list[Lap]:
        reasons: dict[int, str] = {}
        call_s = self._alone_s(0, reasons)
        if reasons:
            return [Lap(reason=reasons[0]) for _ in self._files]
        while True:
            running = [i for i in range(len(self._files)) if i not in reasons]
            plan = of_race(call_s, sessions, brief)
            try:
                times = self._sessions(running, sessions, plan)
                break
            except CoreError as error:
                found = len(reasons)
                for index in running:
                    self._alone_s(index, reasons)
                if len(reasons) == found:  # each runs on its own, but not all of them together
                    return [Lap(reason=error.message) for _ in self._files]
        laps = {i: Lap(tuple(row)) for i, row in zip(running, times, strict=True)}
        return [laps.get(i) or Lap(reason=reasons[i]) for i in range(len(self._files))]

    def _sessions(self, running: list[int], sessions: int, plan: TimingPlan) -> list[list[float]]:
        """Block minima in seconds; who is loaded first alternates."""
        times: list[list[float]] = [[] for _ in running]
        for turn in range(sessions):
            order = list(range(len(running)))[:: -1 if turn % 2 else 1]
            found = self._ask([running[i] for i in order], plan)
            for i, row in zip(order, found, strict=True):
                times[i] += [ns / 1e9 for ns in row]
        return times

    def _alone_s(self, index: int, reasons: dict[int, str]) -> float:
        """Seconds of one run; why there are none goes to `reasons`."""
        try:
            return self._ask([index], TRIAL)[0][0] / 1e9
        except BackendUnavailable:
            raise
        except CoreError as error:
            reasons[index] = error.message
            return 0.0

    def _ask(self, indices: Sequence[int], plan: TimingPlan) -> list[list[float]]:
        if self._worker is None or not self._worker.alive:
            self._worker = started()
        files = [(self._files[i], ()) for i in indices]
        return self._worker.time_files(files, self._setting, plan, self._feeds, self._names, CPU_S)


def started() -> Worker:
    """A worker that may hold what this process may still take."""
    return Worker(None, lambda: False, memory=memory.budget_bytes())
