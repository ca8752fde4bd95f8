"""Tensors cut, put together, repeated and padded: ncnn answers as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import ConversionFailed
from tests.formats.ncnn.held import IMAGE, ONE_IMAGE, ROWS, held, written

pytestmark = pytest.mark.backend
CASES: dict[str, tuple] = {
    "put together": (
        IMAGE,
        "a = Neg (x) b = Concat <axis=1> (x, a, x) y = Concat <axis=-1> (b, b)",
        {},
    ),
    "a constant put in": (ONE_IMAGE, "y = Concat <axis=1> (x, c)", {"c": (1, 2, 9, 7)}),
    "taken apart": (
        IMAGE,
        "a, b = Split <axis=1> (x, s) c = Neg (a) y = Concat <axis=1> (b, c)",
        {"s": np.int64([1, 3])},
    ),
    "half unread": (IMAGE, "a, y = Split <axis=3> (x, s)", {"s": np.int64([3, 4])}),
    "cut out": (
        IMAGE,
        "y = Slice (x, s, e, a)",
        {"s": np.int64([1, -4]), "e": np.int64([3, 100]), "a": np.int64([1, 3])},
    ),
    "every second pixel": (
        IMAGE,
        "y = Slice (x, s, e, a, t)",
        {
            "s": np.int64([0, 1]),
            "e": np.int64([100, 100]),
            "a": np.int64([2, 3]),
            "t": np.int64([2, 2]),
        },
    ),
    "every third channel": (
        IMAGE,
        "y = Slice (x, s, e, a, t)",
        {"s": np.int64([0]), "e": np.int64([100]), "a": np.int64([1]), "t": np.int64([3])},
    ),
    "turned": (
        IMAGE,
        "y = Slice (x, s, e, a, t)",
        {"s": np.int64([-1]), "e": np.int64([-100]), "a": np.int64([1]), "t": np.int64([-1])},
    ),
    "turned, every second": (
        IMAGE,
        "y = Slice (x, s, e, a, t)",
        {"s": np.int64([7]), "e": np.int64([0]), "a": np.int64([2]), "t": np.int64([-2])},
    ),
    "one channel": (
        IMAGE,
        "a = Gather <axis=1> (x, i) y = Unsqueeze (a, one)",
        {"i": np.int64(2), "one": np.int64([1])},
    ),
    "channels in another order": (
        IMAGE,
        "y = Gather <axis=1> (x, i)",
        {"i": np.int64([2, 0, 1, 1, -1])},
    ),
    "every second row gathered": (
        IMAGE,
        "y = Gather <axis=2> (x, i)",
        {"i": np.int64([0, 2, 4, 6])},
    ),
    "grown": (
        "(float[N,4,1,1] x) => (float[N,?,?,?] y)",
        "y = Expand (x, s)",
        {"s": np.int64([1, 4, 5, 6])},
    ),
    "tiled": (IMAGE, "y = Tile (x, t)", {"t": np.int64([1, 2, 1, 3])}),
    "pad": (
        IMAGE,
        "y = Pad (x, p, v)",
        {"p": np.int64([0, 0, 1, 2, 0, 0, 3, 0]), "v": np.float32(0.5)},
    ),
    "pad of channels": (IMAGE, "y = Pad (x, p)", {"p": np.int64([0, 2, 0, 0, 0, 3, 0, 0])}),
    "pad of all": (IMAGE, "y = Pad (x, p)", {"p": np.int64([0, 2, 1, 0, 0, 3, 0, 2])}),
    "reflect": (
        IMAGE,
        'y = Pad <mode="reflect"> (x, p)',
        {"p": np.int64([0, 0, 2, 1, 0, 0, 3, 2])},
    ),
    "edge": (IMAGE, 'y = Pad <mode="edge"> (x, p)', {"p": np.int64([0, 1, 2, 0, 0, 0, 1, 2])}),
    "reflect of channels": (
        IMAGE,
        'y = Pad <mode="reflect"> (x, p)',
        {"p": np.int64([0, 2, 0, 0, 0, 1, 0, 0])},
    ),
    "less": (IMAGE, "y = Pad (x, p)", {"p": np.int64([0, 0, -1, 2, 0, 0, -2, -1])}),
    "pad of rows": (ROWS, "y = Pad (x, p)", {"p": np.int64([0, 1, 0, 0, 0, 2])}),
}


@pytest.mark.parametrize("name", CASES)
def test_ncnn_computes_as_onnx_runtime(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    held(tmp_path, f"{head} {{ {body} }}", **weights)


OPSETS: dict[str, tuple] = {
    "slice by attributes": (9, IMAGE, "y = Slice <axes=[2,3], starts=[1,2], ends=[8,-1]> (x)", {}),
    "pad by attributes": (9, IMAGE, 'y = Pad <mode="reflect", pads=[0,0,1,2,0,0,3,0]> (x)', {}),
    "pad of some axes": (
        18,
        IMAGE,
        "y = Pad (x, p, , a)",
        {"p": np.int64([1, 2]), "a": np.int64([3])},
    ),
}


@pytest.mark.parametrize("name", OPSETS)
def test_other_opsets_say_the_same_in_other_words(name: str, tmp_path: Path):
    opset, head, body, weights = OPSETS[name]
    held(tmp_path, f"{head} {{ {body} }}", opset, **weights)


def test_nothing_is_refused(tmp_path: Path):
    limits = {"s": np.int64([9]), "e": np.int64([12]), "a": np.int64([2])}
    with pytest.raises(ConversionFailed, match="has no elements"):
        written(tmp_path, f"{IMAGE} {{ y = Slice (x, s, e, a) }}", **limits)
