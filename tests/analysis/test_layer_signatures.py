"""Signatures of layers, and of what passes would make of them."""

import itertools

import numpy as np
import pytest

from core.analysis import cost, layer_signatures
from core.analysis.layer_signatures import (
    depthwise_pointwise,
    narrower,
    replacements,
    signatures,
    spatial_svd,
    steps,
    tucker2,
    worth_timing,
)
from core.timings import LayerSignature
from tests.analysis.nets import head, image, residual

LAYER = LayerSignature(
    "Conv", 16, 32, (3, 5), (2, 1), (1, 2), (1, 4, 0, 3), size=(9, 12), fused=("Relu",)
)


def by_name(model) -> dict[str, LayerSignature]:
    return {node.name: signature for node, signature in signatures(model).items()}


def test_macs_agree_with_the_count_of_the_graph():
    model = residual()
    counted = {c.name: c.macs for c in cost.layers(model) if c.macs}
    assert {name: s.macs for name, s in by_name(model).items()} == counted


def test_what_runtimes_fuse_belongs_to_the_layer():
    net = image()
    a = net.conv("x", 4, 4, name="a")
    relu = net.add("Relu", a)
    b = net.conv(relu, 4, 4, name="b")
    joined = net.add("Relu", net.add("Add", b, relu))
    c = net.conv(joined, 4, 4, name="c")
    shifted = net.add("Add", c, net.const(np.ones((1, 4, 1, 1))))
    d = net.conv(net.add("Sigmoid", shifted), 4, 4, name="d")
    clipped = net.add("Clip", d, net.const(0.0), net.const(6.0))
    found = by_name(head(net, clipped, 4))
    assert [found[n].fused for n in "abcd"] == [("Relu",), ("Add", "Relu"), (), ("Clip",)]


def test_auto_pad_is_resolved():
    net = image()
    x = net.add(
        "Conv", "x", net.weight(6, 4, 3, 3), name="same", auto_pad="SAME_UPPER", strides=[2, 2]
    )
    found = by_name(head(net, x, 6))["same"]
    assert found.pads == (0, 0, 1, 1)
    assert found.output_size == (4, 4)


def test_weights_that_are_computed_have_no_signature():
    net = image()
    weight = net.add("Relu", net.weight(4, 4, 3, 3))
    computed = net.add("Add", weight, net.add("GlobalMaxPool", "x"))
    x = net.add("Conv", "x", computed, name="computed", pads=[1, 1, 1, 1])
    assert "computed" not in by_name(head(net, x, 4))


@pytest.mark.parametrize("multiple", [8, 16])
def test_narrower_layers_are_aligned_and_few(multiple):
    layer = LAYER.resized(512, 512)
    counts = {(n.inputs, n.outputs) for n in narrower(layer, multiple)}
    assert len(counts) <= (layer_signatures.STEPS + 1) ** 2
    assert all(i % multiple == 0 and o % multiple == 0 for i, o in counts)
    assert (512, 256) in counts


def test_steps_leave_out_all_and_nothing():
    assert steps(32, 8) == [8, 16, 24]
    assert steps(3, 8) == []
    assert steps(3, 8, whole=True) == [3]


@pytest.mark.parametrize(
    "chain",
    [spatial_svd(LAYER, 8), spatial_svd(LAYER, 8, rows_first=True), tucker2(LAYER, 8, 16),
     depthwise_pointwise(LAYER, 1), depthwise_pointwise(LAYER, 3)],
    ids=["spatial_svd", "spatial_svd_rows", "tucker2", "depthwise", "depthwise x3"],
)  # fmt: skip
def test_a_replacement_fits_where_the_layer_was(chain):
    assert chain[0].inputs == LAYER.inputs
    assert chain[0].size == LAYER.size
    assert chain[-1].outputs == LAYER.outputs
    assert chain[-1].output_size == LAYER.output_size
    assert chain[-1].fused == LAYER.fused
    for before, after in itertools.pairwise(chain):
        assert (before.outputs, before.fused) == (after.inputs, ())
        assert after.size in (before.output_size, before.size)


def test_only_cheaper_replacements_of_plain_convolutions_are_timed():
    for chain in replacements(LAYER, 8):
        assert layer_signatures.macs(chain) < LAYER.macs
    assert replacements(LAYER.resized(32, 32), 8)
    pointwise = LayerSignature("Conv", 32, 32, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), size=(8, 8))
    grouped = LayerSignature(
        "Conv", 32, 32, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), group=4, size=(8, 8)
    )
    assert replacements(pointwise, 8) == replacements(grouped, 8) == []


def test_each_chain_is_listed_once_and_layers_come_first():
    model = residual()
    chains = worth_timing(model, 2)
    assert len(chains) == len(set(chains))
    layers = set(signatures(model).values())
    assert {chain for chain in chains[: len(layers)]} == {(layer,) for layer in layers}
