"""Single nodes: each kind of node is a model that gives what it gave in the whole one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from core.pipeline import single_nodes
from tests.builders import feeds, graph


def test_each_kind_of_node_gives_what_it_gave(tmp_path: Path):
    net = graph(
        """(float[2,3,8,8] x) => (float[2,4,4,4] y) {
            a = Conv <pads=[1,1,1,1]> (x, w) b = Relu (a) c = Conv <pads=[1,1,1,1]> (b, v)
            d = Conv <pads=[1,1,1,1]> (c, v2) y = MaxPool <kernel_shape=[2,2], strides=[2,2]> (d)
        }""",
        w=(4, 3, 3, 3), v=(4, 4, 3, 3), v2=(4, 4, 3, 3),
    )  # fmt: skip
    found = single_nodes.write(net, feeds(net), tmp_path)
    assert [operator for _, operator in found.nodes] == ["Conv", "Relu", "Conv", "Conv", "MaxPool"]
    assert [len(single.nodes) for single in found.apart] == [1, 1, 2, 1]
    for single in found.apart:
        session = onnxruntime.InferenceSession(str(single.model))
        with np.load(single.feeds) as read, np.load(single.answers) as wanted:
            given = {name: read[f"0_{i}"] for i, name in enumerate(single.inputs)}
            np.testing.assert_allclose(
                session.run(None, given)[0], wanted["0_0"], rtol=1e-5, atol=1e-5
            )


def test_what_cannot_stand_alone_is_left_out(tmp_path: Path):
    net = graph(
        """(float[2,3] x, bool c) => (float[2,3] y) {
            r = RandomNormalLike (x) s = SequenceConstruct (x, r) a = SequenceAt (s, i)
            y = If (c) <then_branch = then () => (float[2,3] p) { p = Relu (a) },
            else_branch = other () => (float[2,3] q) { q = Neg (a) }> }""",
        i=np.array(0),
    )
    found = single_nodes.write(net, feeds(net), tmp_path)
    assert len(found.nodes) == 4
    assert found.apart == ()


def test_a_node_of_a_foreign_domain_stands_alone_where_it_runs(tmp_path: Path):
    net = graph("(float[2,3] x) => (float[2,3] y) { y = com.microsoft.QuickGelu (x) }",
                domains='"com.microsoft" : 1')  # fmt: skip
    found = single_nodes.write(net, feeds(net), tmp_path)
    assert [single.operator for single in found.apart] == ["com.microsoft.QuickGelu"]


def test_of_a_model_that_does_not_run_nothing_stands_alone(tmp_path: Path):
    net = graph("(float[2,3] x) => (float[2,3] y) { y = some.domain.Unknown (x) }",
                domains='"some.domain" : 1')  # fmt: skip
    found = single_nodes.write(net, feeds(net), tmp_path)
    assert [operator for _, operator in found.nodes] == ["some.domain.Unknown"]
    assert found.apart == ()
