"""Open dimensions are frozen at the sizes that are measured; a file is made for each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import graph as graphs
from core.errors import ConversionFailed
from core.formats.base.sizes import sized
from tests.builders import graph

OPEN = "(float[N,3,H,W] x) => (float[N,2,A,B] y) { y = Conv (x, k) }"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "open.onnx"
    graphs.save(graph(OPEN, k=(2, 3, 1, 1)), path)
    return path


def test_a_free_batch_is_one_image(model: Path):
    with sized(model, {"x": ["N", 3, 8, 6]}) as frozen:
        assert frozen != model
        assert graphs.input_specs(graphs.load(frozen))[0].shape == (1, 3, 8, 6)
    assert not frozen.exists()
    assert graphs.dynamic_dims(graphs.load(model))


def test_a_batch_that_is_stated_is_kept(model: Path):
    with sized(model, {"x": [5, 3, 8, 6]}) as frozen:
        assert graphs.input_specs(graphs.load(frozen))[0].shape == (5, 3, 8, 6)


def test_a_size_that_nobody_stated_is_asked_for(model: Path):
    with pytest.raises(ConversionFailed, match="leaves H, W open"), sized(model, {}):
        pass


def test_a_model_of_known_sizes_is_itself(tmp_path: Path):
    path = tmp_path / "fixed.onnx"
    graphs.save(graph("(float[1,3] x) => (float[1,3] y) { y = Relu (x) }"), path)
    with sized(path, {"x": [1, 3]}) as frozen:
        assert frozen == path
