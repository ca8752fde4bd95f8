"""Large models: weights in a file beside the graph, mapped; the same net, the same name."""

from __future__ import annotations

import mmap
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from core import graph as graphs
from core.errors import InvalidModel
from core.graph import storage, taking
from core.records.stored import data_of, files_of, stored_bytes
from tests import builders

FEEDS = {"x": np.random.default_rng(3).normal(size=(1, 3, 8, 8)).astype(np.float32)}


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "EXTERNAL_FROM", 1000)
    monkeypatch.setattr(storage, "LARGE_TENSOR", 500)


def net() -> graphs.Graph:
    return builders.graph(
        "(float[N,3,8,8] x) => (float[N,4,8,8] y)"
        "{ a = Conv <pads=[1,1,1,1]> (x, w)  b = Relu (a)  y = Conv (b, v) }",
        w=(64, 3, 3, 3),
        v=(4, 64, 1, 1),
    )


def run(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, FEEDS)[0]


def test_a_large_model_is_stored_as_two_files_and_is_the_same_net(tmp_path: Path) -> None:
    whole = tmp_path / "whole.onnx"
    graphs.save(net(), whole)
    digest, path = graphs.store(net(), tmp_path)
    assert path.name == f"{digest}.onnx"
    assert files_of(path) == (path, data_of(path))
    assert path.stat().st_size < whole.stat().st_size - 6000
    assert stored_bytes(path) == graphs.file_bytes(net())
    np.testing.assert_array_equal(run(path), run(whole))
    assert graphs.serialize(graphs.load(path)) == graphs.serialize(net())
    assert not list(tmp_path.glob(".*"))


def test_the_name_follows_graph_and_weights(tmp_path: Path) -> None:
    digest, path = graphs.store(net(), tmp_path)
    assert graphs.store(graphs.load(path), tmp_path / "again")[0] == digest == graphs.digest(path)
    other = net()
    other.graph.name = "another"
    heavier = net()
    weight = heavier.graph.initializers["w"]
    array = np.array(weight.const_value.numpy())
    array[-1] += 1
    weight.const_value = ir.tensor(array, name="w")
    found = {graphs.store(one, tmp_path)[0] for one in (net(), other, heavier)}
    assert len(found) == 3


def test_a_small_model_stays_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "EXTERNAL_FROM", 1 << 20)
    digest, path = graphs.store(net(), tmp_path)
    assert files_of(path) == (path,)
    assert digest == graphs.save(net(), tmp_path / "same.onnx")
    assert path.read_bytes() == (tmp_path / "same.onnx").read_bytes()


def test_weights_are_mapped_not_copied(tmp_path: Path) -> None:
    loaded = graphs.load(graphs.store(net(), tmp_path)[1])
    array = loaded.graph.initializers["w"].const_value.numpy()
    owner = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert isinstance(owner, memoryview)
    assert isinstance(owner.obj, mmap.mmap)
    assert not array.flags.writeable
    assert array.ctypes.data % storage.ALIGNMENT == 0
    before = array.copy()
    graphs.let_go()
    np.testing.assert_array_equal(array, before)


def test_a_large_weight_in_a_constant_node_becomes_an_initializer(tmp_path: Path) -> None:
    proto = onnx.ModelProto.FromString(graphs.serialize(net()))
    weight = next(t for t in proto.graph.initializer if t.name == "w")
    proto.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["w"], value=weight))
    proto.graph.initializer.remove(weight)
    whole = tmp_path / "whole.onnx"
    whole.write_bytes(proto.SerializeToString())
    values = graphs.Values()
    skeleton = graphs.cut(graphs.map_file(whole), 500, values, "net")
    graph = graphs.from_proto(graphs.read_proto(skeleton, "net"), "net", values=values)
    assert "w" in graph.graph.initializers
    np.testing.assert_array_equal(run(graphs.store(graph, tmp_path)[1]), run(whole))


def test_taken_along_it_is_one_file_where_one_can_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = graphs.store(net(), tmp_path)[1]
    out = tmp_path / "out.onnx"
    assert graphs.take(path, out) == (out,)
    assert out.read_bytes() == graphs.serialize(net())
    monkeypatch.setattr(taking, "SINGLE_FILE_BYTES", 1000)
    beside = tmp_path / "out" / "big.onnx"
    assert graphs.take(path, beside) == (beside, data_of(beside))
    np.testing.assert_array_equal(run(beside), run(out))
    packed = graphs.pack(path, tmp_path / "packed")
    assert packed.suffix == ".zip"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "unpacked")
    np.testing.assert_array_equal(run(tmp_path / "unpacked" / "model.onnx"), run(out))


def test_a_runtime_gets_a_file_that_it_can_map() -> None:
    graph = net()
    with graphs.handed_over(graph) as model:
        assert isinstance(model, str)
        folder = Path(model).parent
        np.testing.assert_array_equal(run(Path(model)), run_bytes(graphs.serialize(graph)))
    assert not folder.exists()


def run_bytes(content: bytes) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, FEEDS)[0]


def test_a_file_that_lost_its_weights_is_refused(tmp_path: Path) -> None:
    path = graphs.store(net(), tmp_path)[1]
    data = data_of(path).read_bytes()
    data_of(path).write_bytes(data[:-4])
    with pytest.raises(InvalidModel, match="shorter"):
        graphs.load(path)
    data_of(path).unlink()
    with pytest.raises(InvalidModel, match="another file"):
        graphs.load(path)


def test_the_checker_reads_no_weights_and_still_finds_faults() -> None:
    graphs.check(net())
    broken = net()
    conv = next(node for node in broken.graph if node.op_type == "Conv")
    conv.attributes.pop("pads")
    conv.op_type = "NoSuchOperator"
    with pytest.raises(InvalidModel):
        graphs.check(broken)
