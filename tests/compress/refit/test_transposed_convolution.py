"""A transposed convolution in rows: what the runtime computes, at every place."""

from __future__ import annotations

import numpy as np
import pytest

from core.compress.linalg.im2col_sampling import values_at
from core.compress.refit.transposed_convolution import Transposed, refusal
from tests.compress.quantization.nets import parsed, random, run

SHAPES = {
    "doubling": ((5, 7), "kernel_shape=[2,2], strides=[2,2]", (2, 2)),
    "overlapping": ((5, 6), "kernel_shape=[4,3], strides=[2,3], pads=[1,0,2,1]", (4, 3)),
    "spread": ((4, 4), "kernel_shape=[3,3], strides=[2,2], dilations=[2,1]", (3, 3)),
    "widened": (
        (4, 5),
        "kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]",
        (3, 3),
    ),
    "gaps": ((4, 4), "kernel_shape=[2,2], strides=[3,3]", (2, 2)),
    "line": ((9,), "kernel_shape=[4], strides=[2], pads=[1,1]", (4,)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_rows_times_the_matrix_is_what_the_runtime_computes(name):
    size, attributes, kernel = SHAPES[name]
    free = ", ".join(f"D{i}" for i in range(len(size)))
    model = parsed(
        f"""g (float[N, 6, {", ".join(map(str, size))}] x) => (float[N, 4, {free}] y) {{
          y = ConvTranspose<{attributes}>(x, w, b)
        }}""",
        {"w": random(6, 4, *kernel), "b": random(4)},
    )
    (node,) = [n for n in model.graph if n.op_type == "ConvTranspose"]
    layer = Transposed(node)
    assert not refusal(node)
    x = random(3, 6, *size, seed=9)
    truth = run(model, x)["y"]
    sites = layer.sites(x.shape, 10_000, 0)
    assert len(sites) == truth[:, 0].size  # every place once, none beyond the output
    found = layer.rows(x, sites) @ layer.matrix()[0].T + layer.bias()
    np.testing.assert_allclose(found, values_at(truth, 1, sites), atol=1e-4)
    np.testing.assert_array_equal(layer.laid(layer.matrix()), layer.weight)
