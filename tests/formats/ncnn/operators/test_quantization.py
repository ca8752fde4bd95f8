"""Int8: weights stay the codes of the file where ncnn has the layer so, and numbers elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import ConversionFailed
from core.formats.ncnn.operators.quantization import LOWEST_CODE
from core.formats.ncnn.writer import NcnnWriter
from tests.formats.ncnn.held import IMAGE, ROWS, held, layers, written

pytestmark = pytest.mark.backend
RANDOM = np.random.default_rng(0)
PAIR = "xq = QuantizeLinear (x, s, z) xd = DequantizeLinear (xq, s, z)"
AROUND_ZERO = {"s": np.float32(0.05), "z": np.int8(0)}  # reaches as far as the inputs do


def codes(*shape: int) -> np.ndarray:
    """Codes of weights, the largest ones among them."""
    found = RANDOM.integers(-127, 128, shape, np.int8)
    found.reshape(-1)[: found.size // 2] = np.sign(found.reshape(-1)[: found.size // 2]) * 127
    return found


def scales(count: int) -> np.ndarray:
    return np.linspace(0.001, 0.002, count, dtype=np.float32)


def conv(outputs: int, inputs: int, kernel: int, **more: Any) -> dict[str, Any]:
    return {"q": codes(outputs, inputs, kernel, kernel), "t": scales(outputs), **more}


WEIGHTS = "w = DequantizeLinear <axis=0> (q, t)"
WIDE = "(float[N,32,9,7] x) => (float[N,?,?,?] y)"
LARGE = "(float[N,64,30,31] x) => (float[N,?,?,?] y)"
LAYERS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "convolution": (IMAGE, f"{WEIGHTS} y = Conv (xd, w, b)", "Convolution",
                    conv(6, 4, 3, b=(6,))),
    "many channels": (LARGE, f"{WEIGHTS} y = Conv <pads=[1,1,1,1]> (xd, w)", "Convolution",
                      conv(64, 64, 3)),
    "of one pixel": (WIDE, f"{WEIGHTS} c = Conv (xd, w) y = Relu (c)", "Convolution",
                     conv(48, 32, 1)),
    "strided": (WIDE, f"{WEIGHTS} y = Conv <strides=[2,2]> (xd, w)", "Convolution",
                conv(16, 32, 3)),
    "depthwise": (WIDE, f"{WEIGHTS} y = Conv <group=32, pads=[1,1,1,1]> (xd, w)",
                  "ConvolutionDepthWise", conv(32, 1, 3)),
    "one scale, int32 bias": (
        IMAGE,
        "w = DequantizeLinear (q, t) b = DequantizeLinear (i, u) y = Conv (xd, w, b)",
        "Convolution",
        {"q": codes(6, 4, 3, 3), "t": np.float32(0.001), "i": np.arange(-30, 30, 10, np.int32),
         "u": np.float32(2e-5)},
    ),
    "gemm": ("(float[N,48] x) => (float[N,?] y)",
             f"{WEIGHTS} y = Gemm <transB=1> (xd, w, b)", "InnerProduct",
             {"q": codes(10, 48), "t": scales(10), "b": (10,)}),
    "rows": (ROWS, "w = DequantizeLinear <axis=1> (q, t) m = MatMul (xd, w) y = Add (m, b)",
             "InnerProduct", {"q": codes(6, 8), "t": scales(8), "b": (8,)}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_codes_of_the_file_are_the_codes_of_the_layer(name: str, tmp_path: Path):
    head, body, kind, weights = LAYERS[name]
    found = held(tmp_path, f"{head} {{ {PAIR} {body} }}", **AROUND_ZERO, **weights)
    assert [one for one in layers(found) if one not in ("Input", "Reshape")] == [kind]
    assert np.ascontiguousarray(_laid(weights["q"], name)).tobytes() in _weights(tmp_path)


def _laid(given: np.ndarray, name: str) -> np.ndarray:
    return given.T if name == "rows" else given


def _weights(folder: Path) -> bytes:
    return (folder / "model.bin").read_bytes()


def test_the_largest_codes_do_not_overflow(tmp_path: Path):
    body = """a = Abs (x) o = Sign (a) e = Mul (o, far)
        xq = QuantizeLinear (e, s, z) xd = DequantizeLinear (xq, s, z)
        w = DequantizeLinear <axis=0> (q, t) y = Conv <pads=[1,1,1,1]> (xd, w)"""
    weights = {"q": np.full((64, 64, 3, 3), 127, np.int8), "t": scales(64)}
    found = held(tmp_path, f"{LARGE} {{ {body} }}", far=np.float32(6.35), **AROUND_ZERO, **weights)
    assert layers(found)[-1] == "Convolution"


def test_beyond_the_grid_the_lowest_code_is_ncnns_which_is_said(tmp_path: Path):
    body = f"{PAIR} {WEIGHTS} y = Conv (xd, w)"
    narrow = {"s": np.float32(0.02), "z": np.int8(0)}
    path = written(tmp_path, f"{IMAGE} {{ {body} }}", **narrow, **conv(6, 4, 3))
    assert LOWEST_CODE in NcnnWriter().export(path, "", tmp_path)
    held(tmp_path, f"{IMAGE} {{ {body} }}", error=0.02, **narrow, **conv(6, 4, 3))


def test_what_others_read_is_rounded_in_floats_to_the_same_numbers(tmp_path: Path):
    body = f"{PAIR} {WEIGHTS} c = Conv <pads=[1,1,1,1]> (xd, w) y = Add (c, xd)"
    found = held(tmp_path, f"{IMAGE} {{ {body} }}", **AROUND_ZERO, **conv(4, 4, 3))
    assert layers(found).count("Clip") == 1


def test_a_batch_norm_behind_codes_stays_a_layer(tmp_path: Path):
    body = f"{PAIR} {WEIGHTS} c = Conv (xd, w) y = BatchNormalization (c, g, h, m, v)"
    norm = {"g": (6,), "h": (6,), "m": (6,), "v": np.linspace(0.5, 2, 6, dtype=np.float32)}
    found = held(tmp_path, f"{IMAGE} {{ {body} }}", **AROUND_ZERO, **conv(6, 4, 3), **norm)
    assert layers(found)[-2:] == ["Convolution", "Scale"]


def test_groups_with_scales_of_their_own_for_each_channel_are_numbers(tmp_path: Path):
    body = f"{PAIR} {WEIGHTS} y = Conv <group=2> (xd, w)"
    found = held(tmp_path, f"{IMAGE} {{ {body} }}", **AROUND_ZERO, **conv(6, 2, 3))
    assert "8=1" not in found
    assert layers(found).count("Clip") == 1


def test_weights_of_integers_are_the_numbers_that_they_stand_for(tmp_path: Path):
    body = "w = DequantizeLinear <axis=1> (q, t) y = MatMul (x, w)"
    found = held(tmp_path, f"{ROWS} {{ {body} }}", q=codes(6, 8), t=scales(8))
    assert layers(found) == ["Input", "InnerProduct"]


@pytest.mark.parametrize("zero", [np.uint8(0), np.uint8(128), np.int8(3)])
def test_codes_that_ncnn_has_not_are_refused(zero: np.generic, tmp_path: Path):
    body = f"{PAIR} {WEIGHTS} y = Conv (xd, w)"
    given = {"s": np.float32(0.1), "z": zero, **conv(6, 4, 3)}
    with pytest.raises(ConversionFailed, match="signed ones around zero"):
        written(tmp_path, f"{IMAGE} {{ {body} }}", **given)
