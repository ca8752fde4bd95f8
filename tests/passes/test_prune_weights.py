"""Weight pruning: how many zeros, where, and what is left alone."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core.passes.base import Report
from core.passes.prune_weights import PruneWeights
from core.wording import sentence, sentences
from tests.analysis.nets import head, image, residual


def prune(model: ir.Model, **options: object) -> Report:
    report = Report()
    PruneWeights(**options).apply(model, report, None)
    return report


def kernels(model: ir.Model) -> dict[str, np.ndarray]:
    found = (n for n in model.graph if n.op_type in {"Conv", "Gemm"})
    return {n.name: n.inputs[1].const_value.numpy().copy() for n in found}


@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.5, 0.9])
def test_each_layer_loses_the_share_and_only_its_smallest(ratio):
    model = residual()
    before = kernels(model)
    prune(model, ratio=ratio)
    for name, after in kernels(model).items():
        gone = after != before[name]
        assert gone.sum() == int(after.size * ratio)
        assert not after[gone].any()
        if gone.any():
            assert np.abs(before[name][gone]).max() <= np.abs(after[~gone]).min()


def test_global_takes_the_smallest_of_the_network():
    net = image()
    small = net.const(np.full((4, 3, 1, 1), 0.01))
    x = net.add("Conv", "x", small, name="small")
    model = head(net, net.conv(x, 4, 4, 1, name="large"), 4)
    prune(model, ratio=0.1, allocation="global")
    after = kernels(model)
    total = sum(a.size for a in after.values())
    assert sum((a == 0).sum() for a in after.values()) == int(total * 0.1)
    assert (after["small"] == 0).sum() > (after["large"] == 0).sum()


def test_two_of_every_four_along_the_input_axis():
    model = residual()  # stem has 3 inputs, a 16, b 12, fc 16
    before = kernels(model)
    report = prune(model, pattern="2:4")
    after = kernels(model)
    np.testing.assert_array_equal(after["stem"], before["stem"])
    assert [(s.node, sentence(s.reason)) for s in report.skipped] == [
        ("stem", "its 3 inputs per output are not a multiple of 4")
    ]
    for name in ("a", "b", "fc"):
        fours = np.moveaxis(after[name], 1, -1).reshape(-1, 4)
        original = np.abs(np.moveaxis(before[name], 1, -1).reshape(-1, 4))
        assert ((fours != 0).sum(axis=1) == 2).all()
        np.testing.assert_allclose(
            np.abs(fours).sum(1), np.sort(original, 1)[:, 2:].sum(1), rtol=1e-6
        )


def test_the_report_says_what_it_is_worth():
    report = prune(residual(), ratio=0.5)
    assert report.changed == 4
    assert sentences(report.notes)[0].endswith("weights are zero now (50%).")
    assert "No CPU backend here runs zeros faster" in sentences(report.notes)[1]


def test_excluded_layers_keep_their_weights():
    model = residual()
    before = kernels(model)
    report = prune(model, exclude=("a",))
    after = kernels(model)
    np.testing.assert_array_equal(after["a"], before["a"])
    assert (after["b"] == 0).any()
    assert sentence(report.skipped[0].reason) == "left alone as asked"


def test_once_is_enough():
    model = residual()
    prune(model, ratio=0.5)
    once = kernels(model)
    assert prune(model, ratio=0.5).changed == 0
    for name, array in kernels(model).items():
        np.testing.assert_array_equal(array, once[name])


def test_weights_that_are_computed_or_quantized_are_left_with_a_reason():
    model = ir.from_onnx_text(
        """<ir_version: 9, opset_import: ["" : 17]>
        g (float[N,2] x, float[2,2] u) => (float[N,2] y)
        <int8[2,2] q = {1,2,3,4}, float s = {0.5}, int8 z = {0}> {
            w = DequantizeLinear(q, s, z)
            h = MatMul(x, w)
            y = MatMul(h, u)
        }"""
    )
    report = prune(model)
    assert [sentence(s.reason) for s in report.skipped] == [
        "its weight is quantized", "its weight is computed while the model runs",
    ]  # fmt: skip
    assert report.changed == 0
    assert list(sentences(report.notes)) == [
        "The graph has no weights that can be pruned; nothing was changed."
    ]


def test_half_precision_stays_half_precision():
    model = ir.from_onnx_text(
        """<ir_version: 9, opset_import: ["" : 17]>
        g (float16[N,2] x) => (float16[N,2] y) <float16[2,2] w = {1,2,3,4}> { y = MatMul(x, w) }"""
    )
    prune(model, ratio=0.5)
    (weight,) = model.graph.initializers.values()
    assert weight.const_value.numpy().dtype == np.float16
    assert (weight.const_value.numpy() != 0).tolist() == [[False, False], [True, True]]
