"""LiteRT: what XNNPACK took, what it left, threads, and inputs that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import graph as graphs
from core.backends import litert
from core.backends.base import SelfTimed
from core.backends.base.profile import Profiled
from core.errors import BackendUnavailable, InferenceFailed
from core.formats.tflite.writer import TfliteWriter
from core.records import RunOptions
from tests.builders import graph

pytestmark = pytest.mark.backend
FEEDS = {"x": np.linspace(-1, 1, 3 * 8 * 8, dtype=np.float32).reshape(1, 3, 8, 8)}


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A net of which XNNPACK takes all but the operator in the middle."""
    net = graph(
        """(float[1,3,8,8] x) => (float[1,4,6,6] y) { a = Conv (x, k) b = Mod (a, two)
        y = Conv <pads=[1,1,1,1]> (b, l) }""",
        k=(4, 3, 3, 3), l=(4, 4, 3, 3), two=np.float32(2),
    )  # fmt: skip
    graphs.save(net, tmp_path / "net.onnx")
    TfliteWriter().export(tmp_path / "net.onnx", "", tmp_path)
    return tmp_path / "model.tflite"


def test_it_says_what_xnnpack_left(artifact: Path):
    settings = litert.BACKEND.load(artifact, RunOptions(1)).settings
    assert settings["XNNPACK"] == "2 parts"
    assert settings["left to LiteRT"] == "FLOOR_MOD"


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_read_back_and_burn_a_core_where_there_are_several(
    artifact: Path, threads: int
):
    session = litert.BACKEND.load(artifact, RunOptions(threads))
    assert session.settings["threads"] == str(threads)
    assert session.spins is (threads > 1)
    assert session.precision == "f32"


def test_fewer_threads_than_asked_for_are_refused(artifact: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(litert, "_threads_here", lambda: 5)
    with pytest.raises(BackendUnavailable, match="uses 1 threads, not 2"):
        litert.BACKEND.load(artifact, RunOptions(2))


def test_times_are_its_own_and_leave_the_outputs_right(artifact: Path):
    session = litert.BACKEND.load(artifact, RunOptions(1))
    assert isinstance(session, SelfTimed)
    first = session.run(FEEDS)["y"]
    assert all(ns > 0 for ns in session.sample(FEEDS, 3))
    np.testing.assert_array_equal(session.run(FEEDS)["y"], first)


@pytest.mark.parametrize(
    ("feeds", "why"),
    [({}, "lacks its input 'x'"), ({"x": np.zeros((2, 3, 8, 8), np.float32)}, "was made for"),
     ({"x": np.zeros((1, 3, 8, 8), np.int32)}, "does not take x")],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused(artifact: Path, feeds: dict, why: str):
    session = litert.BACKEND.load(artifact, RunOptions(1))
    with pytest.raises(InferenceFailed, match=why):
        session.run(feeds)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x1c\x00\x00\x00TFL3" + b"\x00" * 64])
def test_what_is_no_file_of_its_own_is_refused_without_its_path(tmp_path: Path, content: bytes):
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(InferenceFailed, match="could not load it") as raised:
        litert.BACKEND.load(path, RunOptions(1))
    assert str(tmp_path) not in raised.value.message


def test_it_does_not_time_its_layers():
    assert not isinstance(litert.BACKEND, Profiled)
