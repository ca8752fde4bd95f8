"""Shapes and bounds between integer layers: the same numbers, and nothing left float there."""

from __future__ import annotations

import numpy as np
import pytest

from core import graph as graphs
from core.compress.quantization.partition import select
from core.compress.quantization.prepare import prepared
from tests.compress.quantization.nets import (
    Random,
    kernels,
    parsed,
    random,
    run,
    signal_to_noise_db,
)
from tests.compress.quantization.test_qdq_writer import quantized

SHUFFLE = """
  s{i} = Shape(v{i})
  n{i} = Gather<axis=0>(s{i}, first)
  b{i} = Unsqueeze(n{i}, first1)
  t{i} = Concat<axis=0>(b{i}, two, four, six, six)
  u{i} = Reshape(v{i}, t{i})
  w{i} = Transpose<perm=[0,2,1,3,4]>(u{i})
  k{i} = Shape(w{i})
  l{i} = Slice(k{i}, zero1, one1)
  m{i} = Concat<axis=0>(l{i}, eight, six, six)
  r{i} = Reshape(w{i}, m{i})
"""
SIZES = {
    "first": np.array(0), "first1": np.array([0]), "zero1": np.array([0]), "one1": np.array([1]),
    "two": np.array([2]), "four": np.array([4]), "six": np.array([6]), "eight": np.array([8]),
}  # fmt: skip


def shuffled(bound="Relu(c)"):
    """A unit of ShuffleNet: grouped layers, a shuffle, a pooled shortcut joined by Concat."""
    return parsed(
        f"""g (float[N, 3, 12, 12] x) => (float[N, 4, 6, 6] y) {{
          a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1)
          h = Relu(a)
          d = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], group=2>(h, w2)
          v0 = Relu(d)
          {SHUFFLE.format(i=0)}
          e = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group=8>(r0, w3)
          f = Conv<group=2>(e, w4)
          p = AveragePool<kernel_shape=[2,2], strides=[2,2]>(h)
          c = Concat<axis=1>(p, f)
          j = {bound}
          q = Conv<group=2>(j, w5)
          z = Add(j, q)
          o = Relu(z)
          y = Conv(o, w6)
        }}""",
        {
            "w1": random(8, 3, 3, 3, seed=1), "w2": random(8, 4, 3, 3, seed=2),
            "w3": random(8, 1, 3, 3, seed=3), "w4": random(8, 4, 1, 1, seed=4),
            "w5": random(16, 8, 1, 1, seed=5), "w6": random(4, 16, 1, 1, seed=6),
            "low": np.array(0, np.float32), "high": np.array(6, np.float32), **SIZES,
        },
    )  # fmt: skip


def test_the_prepared_shuffle_computes_the_same_with_constant_shapes():
    model, x = shuffled(), next(Random(batch=3).feeds())["x"]
    source = prepared(model)
    np.testing.assert_array_equal(run(source, x)["y"], run(model, x)["y"])
    targets = [graphs.constant(n.inputs[1]) for n in source.graph if n.op_type == "Reshape"]
    assert [t.tolist() for t in targets] == [[0, 2, 4, 6, 6], [0, 8, 6, 6]]
    assert not any(n.op_type == "Shape" for n in source.graph)


def test_no_node_between_integer_layers_stays_float():
    source = prepared(shuffled())
    chosen = select(source)
    left = [n.op_type for n in source.graph if n.name not in chosen.nodes | {*chosen.bounded}]
    assert left == []
    _, _, graph = quantized(shuffled())
    found = kernels(graph)
    assert found["QLinearConv"] == 6
    assert found["QLinearAdd"] == found["QLinearConcat"] == found["QLinearAveragePool"] == 1
    assert found["QuantizeLinear"] == found["DequantizeLinear"] == 1


def test_a_shuffle_is_written_without_pairs_and_the_numbers_stay():
    source, plan, graph = quantized(shuffled())
    nodes = {n.name: n for n in graph.graph}
    shuffle = [n for n in nodes.values() if n.op_type in ("Reshape", "Transpose")]
    readers = [use.node.op_type for n in shuffle for use in n.outputs[0].uses()]
    assert readers == ["Transpose", "Reshape", "Conv"]
    x = next(Random(batch=3, seed=4).feeds())["x"]
    assert signal_to_noise_db(run(source, x)["y"], run(graph, x)["y"]) > 25
    assert plan.grid("r0") is plan.grid("v0")


def test_a_clip_behind_a_concatenation_stays_where_a_part_may_be_negative_elsewhere():
    """`p` is read by the Concat alone, but no layer makes it: a Clip there would be a node more."""
    model, x = shuffled("Clip(c, low, high)"), next(Random(batch=3).feeds())["x"]
    source = prepared(model)
    clip = next(n for n in source.graph if n.op_type == "Clip")
    assert clip.inputs[0].producer().op_type == "Concat"
    np.testing.assert_array_equal(run(source, x)["y"], run(model, x)["y"])


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ("Concat<axis=0>(n, six, four)", [0, 6, 4]),  # the batch, as it is
        ("Concat<axis=0>(four, n, six)", None),  # the batch, elsewhere
        ("Concat<axis=0>(n, rest)", [0, -1]),
    ],
)
def test_only_dimensions_that_stay_at_their_place_become_zeros(shape, wanted):
    model = parsed(
        f"""g (float[N, 4, 6] x) => (float[A, B, C] y) {{
          s = Shape(x)
          n = Slice(s, zero, one)
          t = {shape}
          y = Reshape(x, t)
        }}""",
        {
            "zero": np.array([0]),
            "one": np.array([1]),
            "four": np.array([4]),
            "six": np.array([6]),
            "rest": np.array([-1]),
        },
    )
    node = next(n for n in prepared(model).graph if n.op_type == "Reshape")
    target = graphs.constant(node.inputs[1])
    assert (None if target is None else target.tolist()) == wanted
