"""Refit: what can be made good is made good, and nothing is made worse."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core.analysis.channels import channel_map
from core.analysis.surgery import remove
from core.compress.graph_executor.executor import GraphExecutor
from core.compress.refit.feeds import batches
from core.compress.refit.reference import Reference, Sampling
from core.compress.refit.refit_plan import ChannelMapping
from core.compress.refit.sequential_refit import Options, refit
from tests.analysis.nets import NETS, Net, head, image, residual
from tests.compress.refit.images import Pictures, error, outputs


def twins(norm: bool, bias: bool = True, transposed: bool = False) -> tuple[ir.Model, int]:
    """A net whose layer `a` computes channel 1 twice (as channel 4): one of them can go for free.

    Returns:
        The net, and the channel that goes.
    """
    net = image()
    kernel = net.random.normal(size=(6, 3, 3, 3)).astype(np.float32)
    kernel[4] = kernel[1]
    x = net.add("Conv", "x", net.const(kernel), pads=[1, 1, 1, 1], name="a")
    if norm:
        parts = np.tile(net.random.uniform(0.5, 1.5, (4, 1)), (1, 6))
        x = net.add("BatchNormalization", x, *(net.const(p) for p in parts))
    x = net.add("Relu", x)
    if transposed:
        weights = [net.weight(6, 8, 3, 3), *([net.weight(8)] if bias else [])]
        x = net.add("ConvTranspose", x, *weights, strides=[2, 2], pads=[1, 0, 1, 0], name="b")
    else:
        x = net.conv(x, 6, 8, name="b", bias=bias)
    return head(net, net.add("Relu", x), 8), 4


def cut(model: ir.Model, layer: str, channel: int) -> tuple[ir.Model, dict[str, ChannelMapping]]:
    """A copy without one channel of `layer`, and what its layers stand for."""
    copy = model.clone()
    channels = channel_map(copy)
    group = next(g for g in channels.groups if layer in g.layers)
    _, member = group.makers[0]
    atom = int(member.roots[channel])
    alive = channels.alive({atom})
    mappings = {}
    for node in copy.graph:
        for value in node.outputs:
            axes = channels.flow.axes.get(value, [])
            labels = axes[1] if len(axes) > 1 else None
            keep = None if labels is None else np.flatnonzero(alive(labels))
            mappings[value.name] = ChannelMapping(value.name, keep)
    remove(channels, {atom})
    return copy, mappings


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_channel_that_others_can_stand_in_for_is_made_good(norm, bias, transposed):
    model, channel = twins(norm, bias, transposed)
    images = Pictures(model)
    pruned, mappings = cut(model, "a", channel)
    before = error(model, pruned, images)
    refit(pruned, mappings, Reference(model, images), Options(strength=1e-6))
    after = error(model, pruned, images)
    assert before > 0.02
    assert after < 1e-3 * before


@pytest.mark.parametrize(
    "name", ["residual", "shuffle_v2", "squeeze_excite", "dense", "segmentation"]
)
def test_repair_lowers_the_error_of_the_outputs(name):
    model = NETS[name][0]()
    images = Pictures(model, count=256)
    channels = channel_map(model)
    layer = next(g.layers[0] for g in channels.groups if not g.frozen and len(g.atoms) > 4)
    pruned, mappings = cut(model, layer, 0)
    before = error(model, pruned, images)
    done = refit(pruned, mappings, Reference(model, images))
    assert any(not fit.reason for fit in done)
    assert all(fit.after <= fit.before for fit in done)
    assert error(model, pruned, images) < before


def test_an_unchanged_graph_is_left_as_it_is():
    model = residual()
    copy = model.clone()
    assert (
        refit(copy, {"fc_out0": ChannelMapping("fc_out0")}, Reference(model, Pictures(model))) == ()
    )


def test_layers_without_a_stand_keep_their_weights():
    model, channel = twins(norm=False)
    pruned, mappings = cut(model, "a", channel)
    before = [n.inputs[1].const_value.numpy() for n in pruned.graph if n.name == "b"]
    mappings.pop("b_out0")
    refit(pruned, mappings, Reference(model, Pictures(model)))
    after = [n.inputs[1].const_value.numpy() for n in pruned.graph if n.name == "b"]
    np.testing.assert_array_equal(before[0], after[0])


@pytest.mark.parametrize("count", [2, 64])
def test_a_graph_that_computes_the_same_still_does_after_a_refit(count):
    """Layer a doubled, b halved: too few rows to fit b anew must do no harm."""
    model, _ = twins(norm=False)
    same = model.clone()
    factors = {"a": 2, "b": 0.5}
    for node in same.graph:
        if node.name in factors:
            array = node.inputs[1].const_value.numpy() * np.float32(factors[node.name])
            node.inputs[1].const_value = ir.tensor(array, name=node.inputs[1].name)
    mappings = {name: ChannelMapping(name) for name in ("b_out0", "fc_out0")}
    few, many = Pictures(model, count, batch=1), Pictures(model)
    before = error(model, same, many)
    done = refit(same, mappings, Reference(model, few, Sampling(count, 4)))
    assert [fit.layer for fit in done] == ["b", "fc"]
    assert all(fit.after <= fit.before for fit in done)
    assert error(model, same, many) <= before + 1e-3


def test_a_walk_computes_each_node_once_and_what_the_graph_computes():
    model = residual()
    images = Pictures(model, count=16)
    feeds = list(batches(images, model, 100))
    pieces = []

    def counting(graph, names):
        pieces.append([n.name for n in graph.graph])
        return images.runner(graph, names)

    walk = GraphExecutor(model, counting, feeds)
    names = [n.outputs[0].name for n in model.graph]
    for name in names:
        walk.reach([name])
    ran = [n for piece in pieces for n in piece]
    assert sorted(ran) == sorted(n.name for n in model.graph)
    got = np.concatenate([walk.value(names[-1], b) for b in range(len(feeds))])
    np.testing.assert_allclose(got, outputs(model, images), rtol=1e-4, atol=1e-5)


def test_what_nobody_reads_any_more_leaves_the_shelf():
    model = residual()
    walk = GraphExecutor(model, Pictures(model).runner, list(batches(Pictures(model), model, 8)))
    walk.reach(["b_out0"])
    assert "a_out0" not in walk._cache
    assert "b_out0" in walk._cache


def test_images_are_spread_over_the_set_and_small_ones_run_together():
    model = residual()
    images = Pictures(model, count=400)
    taken = list(batches(images, model, 100))
    assert sum(len(f["x"]) for f in taken) == 104  # 13 of 50 batches: every fourth
    assert len(taken) == 5  # so that one can be held back
    many = list(batches(Pictures(model, count=640), model, 640))
    assert {len(f["x"]) for f in many} == {64}
    fixed = Net({"x": [8, 3, 8, 8]})
    model = head(fixed, fixed.conv("x", 3, 4), 4)
    assert {len(f["x"]) for f in batches(Pictures(model, 64), model, 64)} == {8}
