"""Bundles take as many channels from every group, and what leaves more to choose from is done."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core.analysis.channels import channel_map
from core.analysis.surgery import mask, remove
from core.calibration import Probe
from tests.analysis.nets import SIZE, Net, head, image


def resnext(shared: bool = False) -> ir.Model:
    """Dense, grouped, dense; the grouped weight once or twice."""
    net = image()
    x = net.add("Relu", net.conv("x", 3, 16, name="in"))
    weight = net.weight(16, 4, 3, 3)
    for turn in range(1 + shared):
        x = net.add("Conv", x, weight, pads=[1] * 4, group=4, name=f"grouped{turn}")
        x = net.add("Relu", x)
    return head(net, net.conv(x, 16, 8, 1, name="out"), 8)


def stages() -> ir.Model:
    """Two stages of grouped convolutions along a stream, the second of other widths, by Concat."""
    net = image()
    x = net.add("Relu", net.conv("x", 3, 6, name="stem"))
    x = net.add("Concat", x, net.conv(x, 6, 18, 1, group=3, name="first"), axis=1)
    y = net.conv(net.add("Relu", x), 24, 12, 1, group=3, name="down")
    y = net.add("Reshape", y, net.ints(0, 3, 4, SIZE, SIZE))
    y = net.add(
        "Reshape", net.add("Transpose", y, perm=[0, 2, 1, 3, 4]), net.ints(0, 12, SIZE, SIZE)
    )
    x = net.add("Add", x, net.conv(y, 12, 24, 1, group=3, name="up"))
    return head(net, net.conv(x, 24, 12, 1, group=3, name="last"), 12)


def outputs(model: ir.Model) -> np.ndarray:
    feeds = {"x": np.random.default_rng(1).normal(size=(2, 3, SIZE, SIZE)).astype(np.float32)}
    name = model.graph.outputs[0].name
    return Probe(model, [name]).run(feeds)[name]


@pytest.mark.parametrize("build", [resnext, lambda: resnext(True), stages])
def test_any_atoms_may_go_and_the_cut_graph_is_the_masked_one(build):
    model = build()
    groups = [g for g in channel_map(model).groups if not g.frozen]
    assert groups
    for turn, group in enumerate(groups):
        for some in (group.atoms[:1], group.atoms[1::2]):
            cut, zeroed = model.clone(), model.clone()
            mask(channel_map(zeroed), some)
            remove(channel_map(cut), some)
            np.testing.assert_allclose(outputs(cut), outputs(zeroed), rtol=1e-4, atol=1e-4)
            assert np.abs(outputs(cut) - outputs(model)).max() > 1e-4, turn


def test_each_bundle_takes_one_channel_of_every_group():
    channels = channel_map(resnext())
    group = next(g for g in channels.groups if "in" in g.layers)
    assert not group.frozen
    assert group.width == 4
    assert len(group.atoms) == 4
    labels = channels.flow.roots(next(m for n, m in group.makers if n.name == "in").roots)
    for atom in group.atoms:
        assert sorted(np.flatnonzero(labels == atom) // 4) == [0, 1, 2, 3]


def test_weak_channels_go_with_weak_ones():
    """Of each group one filter is tiny: they are one bundle, wherever they stand in their group."""
    net: Net = image()
    kernel = net.random.normal(size=(12, 3, 3, 3)).astype(np.float32)
    tiny = [1, 6, 8]
    kernel[tiny] *= 1e-3
    x = net.add("Conv", "x", net.const(kernel), pads=[1] * 4, name="in")
    model = head(net, net.conv(x, 12, 6, group=3, name="grouped"), 6)
    channels = channel_map(model)
    group = next(g for g in channels.groups if "in" in g.layers)
    roots = next(m for n, m in group.makers if n.name == "in").roots
    assert len(set(roots[tiny].tolist())) == 1
