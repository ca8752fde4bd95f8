"""An output whose rank only a run tells is let in, and the rest is still checked."""

from __future__ import annotations

import numpy as np
import pytest

from core import graph as graphs
from core.errors import InvalidModel
from tests.builders import graph, run

LOOP = """(float[1,2] x) => (float[1,2] y, float z) {{
    z = Loop (three, true_, x) <body = b (int64 i, bool go, float[A,B] h) => (bool on, float[C,D] o)
        {{ o = Concat <axis=0> (h, {read}) on = Identity (go) }}>
    y = {op} (x)
}}"""


def unranked(op: str = "Relu", read: str = "x") -> graphs.Graph:
    net = graph(LOOP.format(op=op, read=read), three=np.array(3), true_=np.array(True))
    net.graph.outputs[1].shape = None
    return net


def test_it_is_let_in_and_runs():
    net = unranked()
    graphs.check(net)
    assert run(net, {"x": np.ones((1, 2), np.float32)})[1].shape == (4, 2)


def test_the_rest_is_still_checked():
    net = unranked()
    net.graph[-1].op_type = "NoSuchOperator"
    with pytest.raises(InvalidModel, match="NoSuchOperator"):
        graphs.check(net)
