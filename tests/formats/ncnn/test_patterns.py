"""What exporters write in several nodes and ncnn has one layer for is one layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.formats.ncnn.held import IMAGE, ROWS, held, layers
from tests.formats.ncnn.operators import (
    test_activation,
    test_convolution,
    test_movement,
    test_parts,
    test_reduction,
    test_resize,
)

pytestmark = pytest.mark.backend
CASES = {
    **test_activation.CASES,
    **test_convolution.CASES,
    **test_movement.CASES,
    **test_parts.CASES,
    **test_reduction.CASES,
    **test_resize.CASES,
    "softmax of channels": (IMAGE, "y = Softmax <axis=1> (x)", {}),
}
ONE_LAYER = {
    "swish": "Swish", "hard swish of two": "HardSwish", "gelu of five": "GELU",
    "gelu, halved first": "GELU", "nearest, twice": "Interp", "linear, corners": "Interp",
    "cubic": "Interp", "softmax of channels": "Softmax", "depth to space": "PixelShuffle",
    "every second pixel": "Pooling", "clipped behind it": "Convolution",
    "norm and relu behind it": "Convolution", "hard swish behind it": "Convolution",
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_LAYER)
def test_what_ncnn_has_one_layer_for_is_one(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    found = layers(held(tmp_path, f"{head} {{ {body} }}", **weights))
    assert [kind for kind in found if kind not in ("Input", "Split", "Crop")] == [ONE_LAYER[name]]


EIGHT, SIX = "(float[N,8,3,5] x) => (float[N,2,6,10] y)", "(float[N,6,3,5] x) => (float[N,6,3,5] y)"
SHUFFLES = {
    "ShuffleChannel": (SIX, [0, 2, 3, 3, 5], [0, 2, 1, 3, 4], [0, 6, 3, 5]),
    "PixelShuffle": (EIGHT, [0, 2, 2, 2, 3, 5], [0, 1, 4, 2, 5, 3], [0, 2, 6, 10]),
    "Permute": (EIGHT, [0, 2, 2, 2, 3, 5], [0, 1, 4, 3, 5, 2], [0, 2, 6, 10]),
}


@pytest.mark.parametrize("kind", SHUFFLES)
def test_shuffles_as_exporters_write_them(kind: str, tmp_path: Path):
    head, split, perm, back = SHUFFLES[kind]
    body = f"a = Reshape (x, s) b = Transpose <perm={perm}> (a) y = Reshape (b, t)"
    found = held(tmp_path, f"{head} {{ {body} }}", s=np.int64(split), t=np.int64(back))
    assert kind in layers(found)


def test_what_adds_more_than_one_is_no_gelu(tmp_path: Path):
    body = """a = Div (x, r) b = Erf (a) c = Add (b, one) d = Mul (c, h) e = Add (d, two)
        y = Mul (x, e)"""
    found = held(
        tmp_path, f"{ROWS} {{ {body} }}", r=np.float32(2**0.5), one=np.float32(1),
        h=np.float32(0.5), two=np.float32(2),
    )  # fmt: skip
    assert "GELU" not in layers(found)
