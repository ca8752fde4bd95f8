"""Ctrl+C on a command whose child is deep in native code: all end, and nothing is half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from core import graph as graphs
from tests.builders import graph

ROOT = Path(__file__).parents[1]
LAYERS = 600
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A small file of which one run takes minutes."""
    nodes = " ".join(
        f"v{i + 1} = Conv <pads=[15,15,15,15]> (v{i}, w)" for i in range(LAYERS)
    )  # fmt: skip
    made = graph(
        f"(float[1,16,256,256] v0) => (float[1,16,256,256] v{LAYERS}) {{ {nodes} }}",
        w=(16, 16, 31, 31),
    )
    graphs.save(made, tmp_path / "slow.onnx")
    assert onnx.load(tmp_path / "slow.onnx").ByteSize() < 2 << 20
    return tmp_path / "slow.onnx"


@pytest.fixture
def command(slow: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`optimize`, once its child is in the run that takes minutes."""
    (tmp_path / "scratch").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "scratch"), "LATHE_HOME": str(tmp_path)}
    typed = [sys.executable, "-m", "core", "optimize", slow, "-o", tmp_path / "out.onnx"]
    with subprocess.Popen(
        [*typed, "--fp16"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            until(lambda: any(busy_s(pid) > 3 for pid in children(running.pid)))
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_everything_ends_and_nothing_is_left(
    command: subprocess.Popen[str], stop: signal.Signals, tmp_path: Path
) -> None:
    inner = children(command.pid)
    command.send_signal(stop)
    _, said = command.communicate(timeout=30)
    assert (command.returncode, said) == (130, "lathe: stopped\n")
    assert not [pid for pid in inner if Path(f"/proc/{pid}").exists()]
    assert sorted(path.name for path in tmp_path.glob("*.onnx*")) == ["slow.onnx"]
    assert not list(tmp_path.glob(".out*"))
    assert not list((tmp_path / "scratch").glob("lathe-*/"))


def until(holds, timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(word) for word in text.split()]


def busy_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS
