"""Sessions that take their own times: the answers are the same, whatever stays bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import graph as graphs
from core.backends.base import SelfTimed, Session, catalogue, reads
from core.formats.base.artifacts import Artifacts
from core.records import RunOptions
from tests.builders import graph

NAMES = ("ncnn", "onnxruntime", "openvino")


def session(name: str, folder: Path) -> Session:
    net = graph(
        """(float[N,3,8,8] x) => (float[N,4,8,8] y, float[N,4,8,8] z) {
            y = Conv <pads=[1,1,1,1]> (x, w) z = Relu (y) }""",
        w=(4, 3, 3, 3),
    )
    graphs.save(net, folder / "net.onnx")
    made = Artifacts(folder / "made").of_file(folder / "net.onnx", reads(name))
    return catalogue()[name].load(made.path, RunOptions(1))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)


@pytest.mark.backend
@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_is_not_written_over(name: str, tmp_path: Path, image: np.ndarray):
    running = session(name, tmp_path)
    first = running.run({"x": image})
    kept = {key: value.copy() for key, value in first.items()}
    other = running.run({"x": -image})
    assert all(np.array_equal(first[key], kept[key]) for key in kept)
    assert not np.allclose(other["y"], kept["y"])


@pytest.mark.backend
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", ["in place", "another array", "strided", "another batch"])
def test_bound_inputs_are_those_of_the_call(
    name: str, change: str, tmp_path: Path, image: np.ndarray
):
    running, fresh = session(name, tmp_path), session(name, tmp_path)
    feeds = {"x": image}
    for _ in range(2):
        running.run(feeds)
    if change == "in place":
        image *= 2
    else:
        feeds["x"] = {
            "another array": image * 3,
            "strided": np.ascontiguousarray(image.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2),
            "another batch": np.concatenate([image, image * 2]),
        }[change]
    for _ in range(2):
        got = running.run(feeds)
    wanted = fresh.run({"x": np.array(feeds["x"])})
    assert all(np.allclose(got[key], wanted[key], atol=1e-5) for key in wanted)


@pytest.mark.backend
@pytest.mark.parametrize("name", NAMES)
def test_the_own_clock_counts_every_run(name: str, tmp_path: Path, image: np.ndarray):
    running = session(name, tmp_path)
    assert isinstance(running, SelfTimed)
    times = running.sample({"x": image}, 7)
    assert len(times) == 7
    assert all(isinstance(ns, int) and ns > 0 for ns in times)
    before = running.run({"x": image})
    running.sample({"x": image * 2}, 1)
    assert np.array_equal(running.run({"x": image})["y"], before["y"])
