"""Batch norms as affine maps: right where they are known, and None wherever they are not."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core.calibration import Probe
from core.graph.batch_norm import affine
from tests.builders import graph

PARAMETERS = {
    "s": np.array([1.5, -2.0], np.float32),
    "b": np.array([0.25, 3.0], np.float32),
    "m": np.array([-1.0, 0.5], np.float32),
    "v": np.array([2.0, 1e-9], np.float32),
}


def net(attributes: str = "", inputs: str = "x, s, b, m, v", **changed: np.ndarray) -> ir.Model:
    text = f"""(float[N,2,3,3] x) => (float[N,2,3,3] y) {{
        i = Identity (s) y = BatchNormalization {attributes} ({inputs})
    }}"""
    return graph(text, **(PARAMETERS | changed))


def norm(model: ir.Model) -> ir.Node:
    return next(node for node in model.graph if node.op_type == "BatchNormalization")


@pytest.mark.parametrize("inputs", ["x, s, b, m, v", "x, i, b, m, v"])
def test_the_map_is_what_the_runtime_computes(inputs: str) -> None:
    model = net("<epsilon = 0.01>", inputs)
    found = affine(norm(model), 2)
    assert found is not None
    x = np.random.default_rng(0).standard_normal((4, 2, 3, 3)).astype(np.float32)
    y = Probe(model, ["y"]).run({"x": x})["y"]
    wide = (1, 2, 1, 1)
    np.testing.assert_allclose(x * found.scale.reshape(wide) + found.shift.reshape(wide), y, 1e-5)


def test_a_variance_below_zero_counts_as_far_as_epsilon_bears_it() -> None:
    borne = affine(norm(net("<epsilon = 0.5>", v=np.array([1.0, -0.25], np.float32))))
    assert borne is not None
    np.testing.assert_allclose(borne.scale[1], -4.0)
    assert affine(norm(net(v=np.array([1.0, -0.25], np.float32)))) is None


def test_other_channels_training_mode_and_computed_parameters_are_unknown() -> None:
    assert affine(norm(net()), 3) is None
    assert affine(norm(net("<training_mode = 1>"))) is None
    assert affine(norm(net(m=np.array([np.nan, 0], np.float32)))) is None
    computed = """(float[N,2,3,3] x, float[2] m) => (float[N,2,3,3] y) {
        y = BatchNormalization (x, s, b, m, v)
    }"""
    kept = {name: PARAMETERS[name] for name in "sbv"}
    assert affine(norm(graph(computed, **kept))) is None
