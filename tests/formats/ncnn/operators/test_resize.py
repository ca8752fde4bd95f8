"""Resizing: ncnn answers as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.formats.ncnn.held import IMAGE, ONE_IMAGE, ROWS, held

pytestmark = pytest.mark.backend
CASES: dict[str, tuple] = {
    "nearest, twice": (
        IMAGE,
        (
            'y = Resize <mode="nearest", coordinate_transformation_mode="asymmetric", '
            'nearest_mode="floor"> (x, , s)'
        ),
        {"s": np.float32([1, 1, 2, 2])},
    ),
    "nearest, as is": (
        IMAGE,
        'y = Resize <mode="nearest"> (x, , s)',
        {"s": np.float32([1, 1, 2, 3])},
    ),
    "linear": (ONE_IMAGE, 'y = Resize <mode="linear"> (x, , , z)', {"z": np.int64([1, 4, 13, 20])}),
    "linear, corners": (
        IMAGE,
        ('y = Resize <mode="linear", coordinate_transformation_mode="align_corners"> (x, , s)'),
        {"s": np.float32([1, 1, 2, 2])},
    ),
    "linear, asymmetric": (
        IMAGE,
        ('y = Resize <mode="linear", coordinate_transformation_mode="asymmetric"> (x, , s)'),
        {"s": np.float32([1, 1, 2, 2])},
    ),
    "smaller by a crooked scale": (
        IMAGE,
        'y = Resize <mode="linear"> (x, , s)',
        {"s": np.float32([1, 1, 0.6, 0.6])},
    ),
    "cubic": (
        IMAGE,
        ('y = Resize <mode="cubic", coordinate_transformation_mode="pytorch_half_pixel"> (x, , s)'),
        {"s": np.float32([1, 1, 2, 2])},
    ),
    "cubic, other kernel": (
        IMAGE,
        ('y = Resize <mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1> (x, , s)'),
        {"s": np.float32([1, 1, 2, 1])},
    ),
    "nearest of rows": (ROWS, 'y = Resize <mode="nearest"> (x, , s)', {"s": np.float32([1, 1, 2])}),
}


@pytest.mark.parametrize("name", CASES)
def test_ncnn_computes_as_onnx_runtime(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    held(tmp_path, f"{head} {{ {body} }}", **weights)


OPSETS: dict[str, tuple] = {
    "upsample": (9, IMAGE, 'y = Upsample <mode="nearest"> (x, s)', {"s": np.float32([1, 1, 2, 2])}),
    "resize of opset 10": (
        10,
        IMAGE,
        'y = Resize <mode="nearest"> (x, s)',
        {"s": np.float32([1, 1, 2, 2])},
    ),
    **{
        f"resize of opset 10, {mode}, {scale}": (
            10,
            IMAGE,
            f'y = Resize <mode="{mode}"> (x, s)',
            {"s": np.float32([1, 1, scale, scale])},
        )
        for mode, scale in (("linear", 2), ("linear", 0.6), ("nearest", 1.7), ("nearest", 0.7))
    },
}


@pytest.mark.parametrize("name", OPSETS)
def test_other_opsets_say_the_same_in_other_words(name: str, tmp_path: Path):
    opset, head, body, weights = OPSETS[name]
    held(tmp_path, f"{head} {{ {body} }}", opset, **weights)
