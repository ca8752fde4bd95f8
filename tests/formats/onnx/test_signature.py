"""Weights that old exporters list as inputs are no inputs, the empty roi of a Resize among them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from core.errors import InvalidModel
from core.formats.onnx import gate
from core.graph import input_specs
from tests.builders import run

FLOAT = onnx.TensorProto.FLOAT


def detector(folder: Path, weights_too: bool) -> Path:
    """An upsampling as PyTorch wrote it with keep_initializers_as_inputs."""
    weights = [
        numpy_helper.from_array(np.zeros(0, np.float32), "roi"),
        numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"),
    ]
    inputs = [helper.make_tensor_value_info("x", FLOAT, [1, 3, 4, 4])]
    inputs += [helper.make_tensor_value_info(w.name, FLOAT, list(w.dims)) for w in weights]
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "roi", "scales"], ["y"])], "net", inputs,
        [helper.make_tensor_value_info("y", FLOAT, [1, 3, 8, 8])], weights if weights_too else [],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=4)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    return folder / "net.onnx"


def test_they_are_constants(tmp_path: Path) -> None:
    found = gate.admit(detector(tmp_path, weights_too=True), "net.onnx", tmp_path / "models")
    assert [spec.name for spec in input_specs(found.graph)] == ["x"]
    assert run(found.graph, {"x": np.ones((1, 3, 4, 4), np.float32)})[0].shape == (1, 3, 8, 8)


def test_a_true_input_must_not_be_empty(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="'roi' has a dimension of 0"):
        gate.admit(detector(tmp_path, weights_too=False), "net.onnx", tmp_path / "models")
