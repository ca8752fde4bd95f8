"""Models on disk: a graph survives load and save, and its liberties are set straight."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from core import graph as graphs
from core.errors import InvalidModel
from core.records import Preprocess

CONV = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[N, 1, 4, 4] x) => (float[N, 2, 4, 4] y)
<float[2, 1, 1, 1] w = {2, 3}>
{
  [same] a = Conv (x, w)
  [same] y = Relu (a)
}
"""

BRANCHES = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[2] x, bool c) => (float[2] y) {
  y = If (c) <
    then_branch = t () => (float[2] a) { one = Constant <value = float {1}> ()  a = Add (x, one) },
    else_branch = e () => (float[2] b) { b = Neg (x) }
  >
}
"""

SEQUENCE = """
<ir_version: 8, opset_import: ["" : 17]>
g (seq(float[2]) x, optional(float[2]) o) => (seq(float[2]) y) { y = Identity (x) }
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    return path


def run(path: Path, **feeds: np.ndarray) -> np.ndarray:
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)[
        0
    ]


def test_node_names_become_unique_and_the_function_stays(tmp_path: Path) -> None:
    source = write(tmp_path, CONV)
    graph = graphs.load(source)
    names = [node.name for node in graph.graph]
    assert len(set(names)) == 2
    assert "same" in names
    saved = tmp_path / "saved.onnx"
    digest = graphs.save(graph, saved)
    assert digest == graphs.digest(saved)
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4) - 4
    expected = np.maximum(np.concatenate([2 * x, 3 * x], axis=1), 0)
    np.testing.assert_allclose(run(saved, x=x), expected)


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    source = write(tmp_path, CONV)
    first = graphs.save(graphs.load(source), tmp_path / "a.onnx")
    again = graphs.save(graphs.load(tmp_path / "a.onnx"), tmp_path / "b.onnx")
    assert first == again
    assert not list(tmp_path.glob(".*"))


def test_subgraphs_survive(tmp_path: Path) -> None:
    saved = tmp_path / "saved.onnx"
    graph = graphs.load(write(tmp_path, BRANCHES))
    graphs.infer_shapes(graph)
    graphs.save(graph, saved)
    x = np.array([1, -2], np.float32)
    np.testing.assert_allclose(run(saved, x=x, c=np.array(True)), x + 1)
    np.testing.assert_allclose(run(saved, x=x, c=np.array(False)), -x)


def test_sequences_and_optionals_survive(tmp_path: Path) -> None:
    saved = tmp_path / "saved.onnx"
    graphs.save(graphs.load(write(tmp_path, SEQUENCE)), saved)
    before, after = onnx.load(tmp_path / "model.onnx"), onnx.load(saved)
    assert [i.type for i in before.graph.input] == [i.type for i in after.graph.input]


def test_weights_listed_as_inputs_become_constants(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model(CONV)
    proto.ir_version = 3
    weight = onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [2, 1, 1, 1])
    proto.graph.input.append(weight)
    path = tmp_path / "old.onnx"
    path.write_bytes(proto.SerializeToString())
    graph = graphs.load(path)
    assert [value.name for value in graph.graph.inputs] == ["x"]
    assert graph.ir_version >= 4
    graphs.check(graph)


MOVED = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[N, 3] x) => (float[N, 2] y, float[N, 3] z)
<float[2, 3] w = {1, 2, 3, 4, 5, 6}, float[1, 2] b = {7, 8},
 float[3, 3] s = {1, 2, 3, 4, 5, 6, 7, 8, 9}>
{
  t = Transpose <perm = [1, 0]> (w)
  m = MatMul (x, t)
  flat = Constant <value_ints = [-1]> ()
  r = Reshape (b, flat)
  q = Identity (r)
  y = Add (m, q)
  u = Transpose <perm = [1, 0]> (s)
  k = MatMul (x, u)
  z = MatMul (k, s)
}
"""


def test_weights_that_are_only_moved_are_stored_as_used(tmp_path: Path) -> None:
    source = write(tmp_path, MOVED)
    notes: list[str] = []
    graphs.parse(source.read_bytes(), "moved", notes)
    assert notes == ["3 weights were rearranged in every run; they are stored as used now."]
    graph = graphs.load(source)
    left = [node.op_type for node in graph.graph]
    assert left.count("Transpose") == 1  # of the weight that is read as it is as well
    assert not {"Identity", "Reshape"} & set(left)
    assert {"w", "b"}.isdisjoint(graph.graph.initializers)
    saved = tmp_path / "saved.onnx"
    graphs.save(graph, saved)
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_allclose(run(saved, x=x), run(source, x=x), rtol=1e-6)


def test_constant_reads_initializers_and_constant_nodes(tmp_path: Path) -> None:
    graph = graphs.load(write(tmp_path, CONV))
    conv, relu = graph.graph
    np.testing.assert_array_equal(graphs.constant(conv.inputs[1]).ravel(), [2, 3])
    assert graphs.constant(conv.inputs[0]) is None
    assert graphs.constant(relu.inputs[0]) is None
    branch = graphs.load(write(tmp_path, BRANCHES)).graph[0].attributes["then_branch"].as_graph()
    assert graphs.constant(branch[1].inputs[1]) == 1


def test_shapes_are_inferred_anew(tmp_path: Path) -> None:
    graph = graphs.load(write(tmp_path, CONV))
    conv, relu = graph.graph
    conv.outputs[0].shape = ir.Shape([7, 7])
    graphs.infer_shapes(graph)
    assert list(conv.outputs[0].shape) == ["N", 2, 4, 4]
    assert conv.outputs[0].dtype == ir.DataType.FLOAT
    assert list(relu.outputs[0].shape) == ["N", 2, 4, 4]


def test_inference_goes_on_where_an_operator_is_unknown(tmp_path: Path) -> None:
    text = CONV.replace("Relu (a)", "Frobnicate (a)")
    graph = graphs.load(write(tmp_path, text))
    graphs.infer_shapes(graph)
    unknown = graph.graph[1]
    assert unknown.outputs[0].dtype == ir.DataType.FLOAT
    assert [v.name for v in graph.graph.initializers.values()] == ["w"]


def test_large_weights_stay_where_they_are(tmp_path: Path) -> None:
    text = CONV.replace("<float[2, 1, 1, 1] w = {2, 3}>", "")
    proto = onnx.parser.parse_model(text.replace("float[N, 1, 4, 4]", "float[N, 100, 4, 4]"))
    weight = np.ones((100, 100, 1, 1), np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    graph = graphs.load(path)
    before = graphs.serialize(graph)
    graphs.infer_shapes(graph)
    assert [v.name for v in graph.graph.inputs] == ["x"]
    assert list(graph.graph[0].outputs[0].shape) == ["N", 100, 4, 4]
    assert graphs.serialize(graph) == before


def test_freeze_by_name_and_by_position(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model(CONV)
    proto.graph.input[0].type.tensor_type.shape.dim[2].Clear()
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    graph = graphs.load(path)
    assert graphs.dynamic_dims(graph) == ("N", "x:2")
    graphs.freeze(graph, {"N": 3, "x:2": 4})
    assert graphs.dynamic_dims(graph) == ()
    assert graphs.input_specs(graph)[0].shape == (3, 1, 4, 4)
    assert graphs.output_specs(graph)[0].shape == (3, 2, 4, 4)


@pytest.mark.parametrize("dims", [{"M": 1}, {"N": 0}, {"N": -1}, {"N": 1 << 40}])
def test_freeze_refuses(tmp_path: Path, dims: dict[str, int]) -> None:
    with pytest.raises(InvalidModel):
        graphs.freeze(graphs.load(write(tmp_path, CONV)), dims)


@pytest.mark.parametrize("content", [b"", b"\x08\x0a", b"<html>", b"\x3a\xff\xff\xff\xff\x07"])
def test_what_is_not_a_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidModel, match=r"bad\.onnx"):
        graphs.load(path)


def test_check_names_the_fault(tmp_path: Path) -> None:
    graph = graphs.load(write(tmp_path, CONV))
    graphs.check(graph)
    graph.graph[0].attributes["pads"] = ir.AttrString("pads", "oops")
    with pytest.raises(InvalidModel, match="pads"):
        graphs.check(graph)


def test_metadata_round_trips(tmp_path: Path) -> None:
    graph = graphs.load(write(tmp_path, CONV))
    assert graphs.preprocess(graph) is None
    assert graphs.labels(graph) == ()
    chosen = Preprocess(color="bgr", mean=(1.0, 2.0, 3.0), std=(0.5,), crop=(8, 8))
    graphs.set_preprocess(graph, chosen)
    graphs.set_labels(graph, ("cat", "dog"))
    path = tmp_path / "saved.onnx"
    graphs.save(graph, path)
    again = graphs.load(path)
    assert graphs.preprocess(again) == chosen
    assert graphs.labels(again) == ("cat", "dog")
    again.metadata_props[graphs.PREPROCESS_KEY] = "[1]"
    assert graphs.preprocess(again) is None


def test_what_onnx_itself_defines_badly_is_no_fault_of_the_model(tmp_path: Path):
    """Its own definition of this operator by others cannot be typed; runtimes take it."""
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y) { y = MeanVarianceNormalization (x) }
    """
    graphs.check(graphs.load(write(tmp_path, text)))
    wrong = text.replace("{ y = ", "{ z = ").replace("(x) }", "(x)  n = Not (x)  y = Abs (x) }")
    with pytest.raises(InvalidModel):
        graphs.check(graphs.load(write(tmp_path, wrong)))


def test_the_long_name_of_the_standard_operators_is_the_short_one(tmp_path: Path):
    node = onnx.helper.make_node("Relu", ["x"], ["y"], domain="ai.onnx")
    ends = [onnx.helper.make_tensor_value_info(n, 1, [1, 4]) for n in "xy"]
    made = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("ai.onnx", 13)])
    onnx.save(model, tmp_path / "m.onnx")
    assert graphs.load(tmp_path / "m.onnx").opset_imports == {"": 13}
