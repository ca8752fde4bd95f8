"""Graph execution in pieces gives what the whole gives; what is changed is seen ahead."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core import graph as graphs
from core.analysis.edits import set_constant
from core.calibration import Probe
from core.compress.graph_executor.executor import GraphExecutor
from core.compress.graph_executor.subgraph import between, needed, read_from_outside
from tests.analysis.nets import residual
from tests.builders import graph

BODY = """(float[2] x, bool c) => (float[2] y) <float[2] k = {1, 2}> {
    a = Relu (x)
    b = Neg (a)
    y = If (c) <
        then_branch = t () => (float[2] u) { u = Add (b, k) },
        else_branch = e () => (float[2] v) { v = Mul (a, k) }
    >
}"""


def run(model: ir.Model, names: list[str], feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return Probe(model, names).run(feeds)


def feeds_of(model: ir.Model, count: int = 3) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(0)
    (spec,) = graphs.input_specs(model)
    shape = [d if isinstance(d, int) else 2 for d in spec.shape]
    return [{spec.name: random.normal(size=shape).astype(np.float32)} for _ in range(count)]


def executor(model: ir.Model, feeds: list[dict[str, np.ndarray]]) -> GraphExecutor:
    return GraphExecutor(model, lambda piece, names: Probe(piece, names).run, feeds)


def convolutions(model: ir.Model) -> list[ir.Node]:
    return [node for node in model.graph if node.op_type == "Conv"]


def test_each_tensor_is_what_the_whole_graph_makes_of_it() -> None:
    model = residual()
    feeds = feeds_of(model)
    names = [node.outputs[0].name or "" for node in convolutions(model)]
    names += [value.name or "" for value in model.graph.outputs]
    executed = executor(model, feeds)
    for name in names:
        executed.reach([name])
        for batch, found in enumerate(executed.values(name)):
            wanted = run(model, [name], feeds[batch])[name]
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_weights_that_change_before_they_are_reached_count() -> None:
    model = residual()
    feeds, (first, second, *_) = feeds_of(model), convolutions(model)
    executed = executor(model, feeds)
    executed.reach([first.outputs[0].name or ""])
    kernel = second.inputs[1]
    assert kernel is not None
    set_constant(kernel, np.zeros_like(graphs.constant(kernel)))
    output = model.graph.outputs[0].name or ""
    executed.reach([output])
    wanted = run(model, [output], feeds[0])[output]
    np.testing.assert_allclose(executed.value(output, 0), wanted, rtol=1e-4, atol=1e-5)


def test_what_lies_ahead_sees_values_that_were_replaced() -> None:
    model = graph("(float[N,2] x) => (float[N,2] y) { a = Relu (x) b = Neg (a) y = Add (a, b) }")
    executed = executor(model, feeds_of(model))
    executed.reach(["b"])
    executed.replace("b", [np.full((2, 2), 5, np.float32)] * 3)
    executed.reach(["y"])
    for batch in range(3):
        expected = np.maximum(executed.value("x", batch), 0) + 5
        np.testing.assert_array_equal(executed.value("y", batch), expected)


def test_nodes_that_are_taken_back_run_again() -> None:
    model = graph("(float[N,2] x) => (float[N,2] y) { a = Relu (x) y = Mul (a, k) }", k=(1, 2))
    executed = executor(model, feeds_of(model))
    executed.reach(["a", "y"])
    (_, product) = model.graph
    (before,) = (executed.value("y", 0),)
    factor = product.inputs[1]
    assert factor is not None
    set_constant(factor, 2 * graphs.constant(factor))
    executed.back([product])
    executed.reach(["y"])
    np.testing.assert_allclose(executed.value("y", 0), 2 * before)


def test_a_piece_holds_what_it_needs_and_shares_its_constants() -> None:
    model = residual()
    nodes = convolutions(model)
    start, end = nodes[0].outputs[0].name or "", nodes[1].outputs[0].name or ""
    piece = between(model, [start], [end])
    assert {value.name for value in piece.graph.inputs} == {start}
    assert [value.name for value in piece.graph.outputs] == [end]
    assert len(list(piece.graph)) < len(list(model.graph))
    for name, value in piece.graph.initializers.items():
        assert value.const_value is model.graph.initializers[name].const_value
    (feeds,) = feeds_of(model, 1)
    whole = run(model, [start, end], feeds)
    again = run(piece, [end], {start: whole[start]})[end]
    np.testing.assert_allclose(again, whole[end], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("taken", [True, False])
def test_what_a_body_reads_belongs_to_the_piece(taken: bool) -> None:
    model = graph(BODY)
    nodes = needed(model, ["y"], ["a"])
    assert [node.op_type for node in nodes] == ["Neg", "If"]
    assert {value.name for value in read_from_outside(nodes)} == {"a", "c"}
    piece = between(model, ["a"], ["y"])
    a = np.array([1, 3], np.float32)
    y = run(piece, ["y"], {"a": a, "c": np.array(taken)})["y"]
    np.testing.assert_array_equal(y, -a + [1, 2] if taken else a * [1, 2])
