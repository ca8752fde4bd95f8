"""Ctrl+C on a command whose child is deep in native code: all end, and nothing is half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import busy_s, children, slow_model, until

ROOT = Path(__file__).parents[1]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`optimize`, once its child is in the run that takes minutes."""
    (tmp_path / "scratch").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "scratch"), "LATHE_HOME": str(tmp_path)}
    typed = [
        sys.executable,
        "-m",
        "core",
        "optimize",
        slow_model(tmp_path),
        "-o",
        tmp_path / "out.onnx",
    ]
    with subprocess.Popen(
        [*typed, "--fp16"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            until(lambda: any(busy_s(pid) > 2 for pid in children(running.pid)))
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
