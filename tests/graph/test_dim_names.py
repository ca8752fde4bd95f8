"""Dimensions whose name names nothing can each be given a size of its own."""

from __future__ import annotations

import onnx
import pytest

from core import graph as graphs
from tests.builders import run


def admitted(*dims: str) -> tuple[graphs.Graph, list[str]]:
    """A net that takes an input of these dimensions, as `load` gives it, and what it notes."""
    given = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, dims)
    made = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, dims)
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    proto = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", [given], [made]),
        opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8,
    )  # fmt: skip
    notes: list[str] = []
    return graphs.from_proto(proto, "net", notes), notes


@pytest.mark.parametrize("name", ["?", "None", "unknown", "-1"])
def test_two_of_one_placeholder_get_two_sizes(name: str) -> None:
    net, notes = admitted("N", name, name)
    assert graphs.dynamic_dims(net) == ("N", "x:1", "x:2")
    assert any("x:1, x:2" in note for note in notes)
    graphs.freeze(net, {"x:1": 3, "x:2": 5})
    assert graphs.input_specs(net)[0].shape == ("N", 3, 5)
    assert graphs.output_specs(net)[0].shape == ("N", 3, 5)
    (out,) = run(net)
    assert out.shape[1:] == (3, 5)


def test_a_batch_that_shares_its_name_with_a_side_is_told_apart() -> None:
    net, _ = admitted("d", "d", "W")
    assert graphs.dynamic_dims(net) == ("x:0", "x:1", "W")


def test_names_that_name_something_stay() -> None:
    net, notes = admitted("N", "side", "side")
    assert graphs.dynamic_dims(net) == ("N", "side")
    assert not notes
