"""Windows: where pads lie and how many outputs there are, as ONNX Runtime has it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from core.calibration import Probe
from core.graph.windows import window
from tests.builders import graph

AUTO = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
CASES = [
    (auto, stride, dilation, kernel, size)
    for auto, stride, dilation, kernel, size in itertools.product(
        AUTO, (1, 2, 3), (1, 2), (2, 3), (6, 9)
    )
    if dilation == 1 or not auto.startswith("SAME")  # ONNX Runtime knows no such convolution
]
POOLS = list(itertools.product((1, 2, 3), (2, 3), (6, 9)))


@pytest.mark.parametrize(("auto", "stride", "dilation", "kernel", "size"), CASES)
def test_a_convolution_sees_what_the_window_says(
    auto: str, stride: int, dilation: int, kernel: int, size: int
) -> None:
    pads = "pads = [1, 2]," if auto == "NOTSET" else ""
    model = graph(
        f"(float[1,1,{size}] x) => (float[1,1,M] y) {{ y = Conv <{pads} strides = [{stride}], "
        f'dilations = [{dilation}], auto_pad = "{auto}"> (x, w) }}',
        w=np.arange(1, kernel + 1, dtype=np.float32).reshape(1, 1, -1),
    )
    (node,) = model.graph
    over = window(node, [kernel], [size])
    x = np.random.default_rng(0).standard_normal((1, 1, size)).astype(np.float32)
    wide = np.pad(x[0, 0], over.pads[0])
    taps = np.arange(kernel) * dilation
    (count,) = over.out([size])
    expected = [wide[at * stride + taps] @ np.arange(1, kernel + 1) for at in range(count)]
    found = Probe(model, ["y"]).run({"x": x})["y"][0, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("stride", "kernel", "size"), POOLS)
def test_rounding_up_adds_the_last_window(stride: int, kernel: int, size: int) -> None:
    model = graph(
        f"(float[1,1,{size}] x) => (float[1,1,M] y) {{ y = MaxPool <kernel_shape = [{kernel}], "
        f"strides = [{stride}], pads = [1, 0], ceil_mode = 1> (x) }}"
    )
    (node,) = model.graph
    over = window(node, [kernel], [size])
    found = Probe(model, ["y"]).run({"x": np.zeros((1, 1, size), np.float32)})["y"]
    assert over.out([size + over.rounded_up([size])[0]]) == found.shape[2:]
