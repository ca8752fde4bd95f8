"""A model of which one run takes minutes, and a look at the processes that are busy with it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from core import graph as graphs
from tests.builders import graph

LAYERS = 600
TICKS = os.sysconf("SC_CLK_TCK")


def slow_model(folder: Path) -> Path:
    """A small file of which one run takes minutes, all of it in native code."""
    nodes = " ".join(f"v{i + 1} = Conv <pads=[15,15,15,15]> (v{i}, w)" for i in range(LAYERS))
    made = graph(
        f"(float[1,16,256,256] v0) => (float[1,16,256,256] v{LAYERS}) {{ {nodes} }}",
        w=(16, 16, 31, 31),
    )
    graphs.save(made, folder / "slow.onnx")
    return folder / "slow.onnx"


def until(holds: Callable[[], bool], timeout_s: float = 120.0) -> None:
    """Wait for it."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """Processes that this one started and that still run."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(word) for word in text.split()]


def busy_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS
