"""Codes of weights are written as numbers; rounded activations are refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import ConversionFailed
from tests.formats.ncnn.held import ROWS, held, layers, written

pytestmark = pytest.mark.backend
CODES = np.arange(-24, 24, dtype=np.int8).reshape(6, 8)


def test_weights_of_integers_are_the_numbers_that_they_stand_for(tmp_path: Path):
    body = "w = DequantizeLinear <axis=1> (q, s) y = MatMul (x, w)"
    scales = np.linspace(0.01, 0.02, 8, dtype=np.float32)
    found = held(tmp_path, f"{ROWS} {{ {body} }}", q=CODES, s=scales)
    assert layers(found) == ["Input", "InnerProduct"]


def test_rounded_activations_are_refused(tmp_path: Path):
    body = "a = QuantizeLinear (x, s, z) y = DequantizeLinear (a, s, z)"
    with pytest.raises(ConversionFailed, match="it rounds activations"):
        written(tmp_path, f"{ROWS} {{ {body} }}", s=np.float32(0.1), z=np.uint8(128))
