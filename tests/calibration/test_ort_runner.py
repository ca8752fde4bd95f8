"""Calibration statistics: the values that ONNX Runtime computes, batch by batch."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from core import data
from core import graph as graphs
from core.calibration import Calibration
from core.errors import InferenceFailed, PassPrecondition
from core.records import Preprocess

NET = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 2, 2, 3] x) => (float[N, 2, 2, 3] z)
<float two = {2}, float one = {1}>
{ y = Mul (x, two)  z = Add (y, one) }
"""
RAW = Preprocess(scale=1.0, layout="NHWC")


@pytest.fixture
def pixels(tmp_path: Path) -> np.ndarray:
    images = np.arange(5 * 12, dtype=np.uint8).reshape(5, 2, 2, 3)
    np.savez(tmp_path / "set.npz", images=images)
    return images


def graph(text: str = NET) -> graphs.Graph:
    return graphs.parse(onnx.parser.parse_model(text).SerializeToString(), "net")


def calibration(tmp_path: Path, net: graphs.Graph, batch: int = 2) -> Calibration:
    return Calibration(tmp_path / "set.npz", graphs.input_specs(net), RAW, batch)


def test_activations_in_batches(tmp_path: Path, pixels: np.ndarray) -> None:
    net = graph()
    statistics = calibration(tmp_path, net)
    assert statistics.count == 5
    found = list(statistics.activations(net, ["y", "x", "z"]))
    assert [len(batch["y"]) for batch in found] == [2, 2, 1]
    assert set(found[0]) == {"x", "y", "z"}
    np.testing.assert_allclose(np.concatenate([b["y"] for b in found]), pixels * 2.0)
    np.testing.assert_allclose(np.concatenate([b["z"] for b in found]), pixels * 2.0 + 1)
    np.testing.assert_allclose(np.concatenate([b["x"] for b in found]), pixels)
    assert [value.name for value in net.graph.outputs] == ["z"]


def test_a_fixed_batch_leaves_out_the_rest(tmp_path: Path, pixels: np.ndarray) -> None:
    net = graph(NET.replace("N,", "2,"))
    statistics = calibration(tmp_path, net, 8)
    assert statistics.count == 4
    seen = np.concatenate([feeds["x"] for feeds in statistics.feeds()])
    np.testing.assert_allclose(seen, pixels[:4])


def test_inputs_alone_need_no_runtime(tmp_path: Path, pixels: np.ndarray) -> None:
    net = graph()
    found = list(calibration(tmp_path, net).activations(net, ["x"]))
    np.testing.assert_allclose(np.concatenate([b["x"] for b in found]), pixels)


def test_faults_are_named(tmp_path: Path, pixels: np.ndarray) -> None:
    net = graph()
    with pytest.raises(PassPrecondition, match="'q'"):
        next(calibration(tmp_path, net).activations(net, ["q"]))
    broken = graph(NET.replace("Mul (x, two)", "Frobnicate (x, two)"))
    with pytest.raises(InferenceFailed, match="Frobnicate"):
        next(calibration(tmp_path, net).activations(broken, ["y"]))


def test_studies_lie_beside_an_admitted_set_only(tmp_path: Path, pixels: np.ndarray) -> None:
    net = graph()
    assert calibration(tmp_path, net).studies is None
    admitted = data.admit(tmp_path / "set.npz", "set.npz", tmp_path / "data").path
    specs = graphs.input_specs(net)
    mine, other = (Calibration(admitted, specs, p).studies for p in (RAW, Preprocess(scale=2.0)))
    assert mine is not None
    assert mine.is_relative_to(admitted.parent)
    assert mine != other
