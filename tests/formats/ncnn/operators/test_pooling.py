"""Pooling: ncnn answers as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.formats.ncnn.held import IMAGE, held

pytestmark = pytest.mark.backend
CASES: dict[str, tuple] = {
    "max, rounded up": (
        IMAGE,
        ("y = MaxPool <kernel_shape=[3,2], strides=[2,2], ceil_mode=1, pads=[1,0,1,1]> (x)"),
        {},
    ),
    "mean, pads not counted": (
        IMAGE,
        ("y = AveragePool <kernel_shape=[3,3], strides=[2,2], pads=[1,1,0,1]> (x)"),
        {},
    ),
    "mean, pads counted": (
        IMAGE,
        ("y = AveragePool <kernel_shape=[3,3], pads=[1,1,1,0], count_include_pad=1> (x)"),
        {},
    ),
    "mean, rounded up": (
        IMAGE,
        "y = AveragePool <kernel_shape=[2,2], strides=[2,2], ceil_mode=1> (x)",
        {},
    ),
    "whole": (IMAGE, "a = GlobalMaxPool (x) b = GlobalAveragePool (x) y = Add (a, b)", {}),
    "1-D pool": (
        "(float[N,4,9] x) => (float[N,?,?] y)",
        "y = MaxPool <kernel_shape=[3], strides=[2]> (x)",
        {},
    ),
    "3-D pool": (
        "(float[N,3,6,7,5] x) => (float[N,?,?,?,?] y)",
        "y = AveragePool <kernel_shape=[2,3,2], strides=[2,1,2]> (x)",
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_ncnn_computes_as_onnx_runtime(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    held(tmp_path, f"{head} {{ {body} }}", **weights)
