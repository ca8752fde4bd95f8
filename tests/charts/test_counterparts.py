"""Which node stands for which: by names, by values, by what passes add to names, by layer."""

from __future__ import annotations

from core.analysis.topology import topology
from core.charts.counterparts import counterparts
from core.passes.fold_batch_norm import FoldBatchNorm
from core.records import GraphNode, Topology
from tests.builders import graph, norm, rewrite


def chain(*nodes: tuple[str, str]) -> Topology:
    """Nodes of (name, value), each a layer that reads from the one before."""
    return Topology(
        tuple(
            GraphNode(name, "Conv", "conv 3x3", (place - 1,) if place else (), (value,), place)
            for place, (name, value) in enumerate(nodes)
        )
    )


def test_names_decide_then_values():
    before = chain(("stem", "a"), ("old", "b"), ("gone", "c"))
    after = chain(("stem", "z"), ("new", "b"))
    assert counterparts(before, after) == ((0, 1, None), (0, 1))


def test_what_is_new_stands_with_the_node_whose_name_it_carries_on():
    before = chain(("conv", "conv_out"), ("fc", "logits"))
    after = chain(("conv_0", "m"), ("conv_1", "conv_out"), ("logits_q", "k"), ("fc", "logits"))
    assert counterparts(before, after)[1] == (0, 0, 1, 1)


def test_nothing_stands_for_a_node_without_a_name():
    assert counterparts(chain(("", "")), chain(("", ""))) == ((None,), (None,))


def test_a_folded_batch_norm_is_found_in_the_layer_that_took_it_over():
    net = graph(
        """(float[N,4,8,8] x) => (float[N,4,8,8] y) {
            a = Conv <pads=[1,1,1,1]> (x, w)
            b = BatchNormalization (a, s, t, m, v)
            y = Relu (b)
        }""",
        w=(4, 4, 3, 3),
        **norm(4),
    )
    folded, _ = rewrite(net, FoldBatchNorm())
    before, after = topology(net), topology(folded)
    assert "BatchNormalization" not in {node.op_type for node in after.nodes}
    forth, _ = counterparts(before, after)
    place = next(i for i, node in enumerate(before.nodes) if node.op_type == "BatchNormalization")
    assert after.nodes[forth[place]].op_type == "Conv"
