"""Topologies of small graphs: who reads from whom, and what belongs to which layer."""

from __future__ import annotations

import numpy as np

from core.analysis import topology as module
from core.analysis.topology import topology
from core.records import GraphNode, Topology, from_json, to_json
from tests.builders import graph


def maker(found: Topology, value: str) -> tuple[int, GraphNode]:
    """What makes a value, and where it stands; no output of the model."""
    return next((i, node) for i, node in enumerate(found.nodes) if value in node.makes)


def layers(found: Topology) -> list[list[str]]:
    """Operators by layer, in the order of the layers."""
    together: dict[int, list[str]] = {}
    for node in found.nodes:
        together.setdefault(node.layer, []).append(node.op_type or node.kind)
    return [together[place] for place in sorted(together)]


RESIDUAL = """(float[N,4,8,8] x) => (float[N,4,8,8] y) {
    a = Conv <pads=[1,1,1,1]> (x, w)
    b = BatchNormalization (a, s, o, m, v)
    c = Relu (b)
    d = Add (c, x)
    y = Relu (d)
}"""
NORM = {"w": (4, 4, 3, 3), "s": (4,), "o": (4,), "m": (4,), "v": (4,)}


def test_what_only_follows_a_layer_belongs_to_it():
    found = topology(graph(RESIDUAL, **NORM))
    assert layers(found) == [
        ["input"],
        ["Conv", "BatchNormalization", "Relu"],
        ["Add", "Relu"],
        ["output"],
    ]


def test_a_node_says_what_it_reads_makes_and_costs():
    found = topology(graph(RESIDUAL, **NORM))
    place, conv = maker(found, "a")
    assert [found.nodes[one].makes for one in conv.reads] == [("x",)]
    assert (conv.kind, conv.makes, conv.layer) == ("conv 3x3", ("a",), place)
    assert (conv.input_shape, conv.output_shape) == ((1, 4, 8, 8), (1, 4, 8, 8))
    assert (conv.parameters, conv.macs, conv.precision) == (144, 144 * 64, "f32")
    _, add = maker(found, "d")
    assert [found.nodes[one].makes for one in add.reads] == [("c",), ("x",)]


def test_layers_never_read_from_each_other_in_a_circle():
    found = topology(
        graph(
            """(float[N,4,8,8] x) => (float[N,256] y) {
                a = Conv <pads=[1,1,1,1]> (x, w)
                s = Shape (x)
                b = Sigmoid (a)
                c = Mul (a, b)
                d = Conv <pads=[1,1,1,1]> (c, w)
                e = Add (d, c)
                n = Gather (s, zero)
                u = Unsqueeze (n, axis)
                k = Concat <axis=0> (u, rest)
                y = Reshape (e, k)
            }""",
            w=(4, 4, 3, 3),
            zero=_ints(),
            axis=_ints(0),
            rest=_ints(-1),
        )
    )
    forth = {
        (found.nodes[one].layer, node.layer)
        for node in found.nodes
        for one in node.reads
        if found.nodes[one].layer != node.layer
    }
    assert all(first < second for first, second in forth)
    assert ["Conv", "Sigmoid", "Mul"] in layers(found)


def test_quantizers_belong_to_the_layer_and_tell_its_precision():
    found = topology(
        graph(
            """(float[N,4,8,8] x) => (float[N,4,8,8] y) {
                q = QuantizeLinear (x, one, zero)
                xd = DequantizeLinear (q, one, zero)
                wd = DequantizeLinear (w, one, zero)
                a = Conv <pads=[1,1,1,1]> (xd, wd)
                aq = QuantizeLinear (a, one, zero)
                y = DequantizeLinear (aq, one, zero)
            }""",
            w=_bytes(4, 4, 3, 3),
            one=_one(),
            zero=_bytes(),
        )
    )
    assert layers(found) == [
        ["input", "QuantizeLinear", "DequantizeLinear"],
        ["DequantizeLinear", "Conv", "QuantizeLinear", "DequantizeLinear"],
        ["output"],
    ]
    assert maker(found, "a")[1].precision == "int8"
    assert maker(found, "wd")[1].is_constant
    assert not maker(found, "xd")[1].is_constant


def test_a_node_without_a_name_has_that_of_its_output_and_markup_stays_as_it_is():
    bare = graph("(float[2] x) => (float[2] y) { y = Relu (x) }")
    node = next(iter(bare.graph))
    node.name = None
    assert topology(bare).nodes[1].name == "y"
    node.name = "<script>alert(1)</script>"
    assert topology(bare).nodes[1].name == "<script>alert(1)</script>"


def test_a_subgraph_is_one_node_that_reads_what_its_body_reads():
    found = topology(
        graph(
            """(bool c, float[2] x) => (float[2] y) {
                a = Abs (x)
                y = If (c) <then_branch = one () => (float[2] t) { t = Neg (a) },
                            else_branch = two () => (float[2] e) { f = Abs (a)  e = Neg (f) }>
            }"""
        )
    )
    _, node = maker(found, "y")
    assert (node.op_type, node.inner) == ("If", 3)
    assert {found.nodes[one].makes for one in node.reads} == {("c",), ("a",)}
    assert len(found.nodes) == 5


def test_a_graph_beyond_all_measure_is_counted_only(monkeypatch):
    monkeypatch.setattr(module, "MOST_NODES", 1)
    found = topology(graph(RESIDUAL, **NORM))
    assert (found.nodes, found.left_out) == ((), 5)


def test_a_topology_crosses_a_process():
    found = topology(graph(RESIDUAL, **NORM))
    assert from_json(Topology, to_json(found)) == found


def _ints(*values: int):
    return np.array(values if values else 0, np.int64)


def _bytes(*shape: int):
    return np.ones(shape, np.int8)


def _one():
    return np.array(0.1, np.float32)
