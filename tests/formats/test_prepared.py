"""A graph at a batch of one: sizes known, constants folded, weights of integers left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import graph as graphs
from core.errors import ConversionFailed
from core.formats.base.prepared import Prepared, prepared, shape_of
from tests.builders import graph


def made(folder: Path, text: str, **weights: object) -> Prepared:
    path = folder / "net.onnx"
    graphs.save(graph(text, 17, **weights), path)
    return prepared(path)


def operators(found: Prepared) -> list[str]:
    return [node.op_type for node in found.graph.graph]


def test_arithmetic_of_shapes_is_folded(tmp_path: Path):
    text = """(float[N,4,6] x) => (float[?,?] y) { s = Shape (x) n = Gather (s, first)
        u = Unsqueeze (n, axis) t = Concat <axis=0> (u, rest) y = Reshape (x, t) }"""
    first, axis, rest = np.int64(0), np.int64([0]), np.int64([-1])
    found = made(tmp_path, text, first=first, axis=axis, rest=rest)
    assert operators(found) == ["Reshape"]
    assert shape_of(found.graph.graph.outputs[0]) == (1, 24)


def test_an_open_batch_is_one_and_told_apart_by_what_two_images_make(tmp_path: Path):
    found = made(tmp_path, "(float[N,4] x, float[3,4] z) => (float[N,4] y) { y = Relu (x) }")
    assert found.batch == {"x"}
    assert shape_of(found.graph.graph.inputs[0]) == (1, 4)
    assert found.doubled["y"] == (2, 4)
    assert found.doubled["z"] == (3, 4)


def test_a_model_of_one_size_has_no_batch(tmp_path: Path):
    found = made(tmp_path, "(float[1,4] x) => (float[1,4] y) { y = Relu (x) }")
    assert (found.batch, found.doubled) == (frozenset(), {})


def test_other_open_sizes_are_named(tmp_path: Path):
    with pytest.raises(ConversionFailed, match="open: H, W"):
        made(tmp_path, "(float[N,3,H,W] x) => (float[N,3,H,W] y) { y = Relu (x) }")


def test_weights_are_folded_whatever_their_size_but_codes_are_kept(tmp_path: Path):
    text = """(float[N,200] x) => (float[N,?] y) { t = Transpose (w) a = MatMul (x, t)
        d = DequantizeLinear (q, s) b = MatMul (a, d) y = Relu (b) }"""
    codes = np.ones((300, 8), np.int8)
    found = made(tmp_path, text, w=(300, 200), q=codes, s=np.float32(0.5))
    assert operators(found) == ["MatMul", "DequantizeLinear", "MatMul", "Relu"]
