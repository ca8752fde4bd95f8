"""Large uploads are mapped, and judged as strictly as small ones; a child's memory shows it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.errors import CoreError, InvalidModel, ModelError, UnsupportedModel
from core.formats.onnx import external, gate
from core.graph import storage
from core.pipeline.client import Workshop
from core.records import Recipe, Step
from core.records.stored import data_of, stored_bytes
from tests.hostile import files

MIB = 1 << 20


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model is large, and every weight that is not tiny."""
    monkeypatch.setattr(storage, "EXTERNAL_FROM", 0)
    monkeypatch.setattr(storage, "LARGE_TENSOR", 16)
    monkeypatch.setattr(external, "IN_MEMORY_BYTES", 0)


def net(width: int = 32) -> onnx.ModelProto:
    random = np.random.default_rng(4)
    weights = [
        numpy_helper.from_array(random.normal(size=(width, width)).astype(np.float32), name)
        for name in ("v", "w")
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["h"]),
        helper.make_node("MatMul", ["h", "w"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", width])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", width])
    graph = helper.make_graph(nodes, "net", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def three_ways(tmp_path: Path) -> dict[str, Path]:
    """The same net in one file, with its data beside it, and as a zip of both."""
    found = {way: tmp_path / way / "net.onnx" for way in ("one", "two")}
    for path in found.values():
        path.parent.mkdir()
    onnx.save(net(), found["one"])
    onnx.save(net(), found["two"], save_as_external_data=True, location="w.bin", size_threshold=64)
    found["zip"] = tmp_path / "net.zip"
    with zipfile.ZipFile(found["zip"], "w") as archive:
        archive.write(found["two"], "a/net.onnx")
        archive.write(found["two"].parent / "w.bin", "a/w.bin")
    return found


@pytest.mark.usefixtures("large")
def test_all_ways_lead_to_the_same_model(tmp_path: Path) -> None:
    models, heard = tmp_path / "models", list[str]()
    admitted = [
        gate.admit(path, path.name, models, path.parent, lambda what, _: heard.append(what))
        for path in three_ways(tmp_path).values()
    ]
    assert len({one.digest for one in admitted}) == 1
    path = admitted[0].path
    assert sorted(models.iterdir()) == [path, data_of(path)]
    assert stored_bytes(path) > 2 * 32 * 32 * 4
    assert [heard[0], heard[-1]] == ["reading the file", "storing the weights"]
    x = np.ones((1, 32), np.float32)
    runs = [onnxruntime.InferenceSession(str(p)).run(None, {"x": x})[0]
            for p in (path, tmp_path / "one" / "net.onnx")]  # fmt: skip
    np.testing.assert_array_equal(*runs)


def test_a_small_model_comes_out_as_it_always_did(tmp_path: Path) -> None:
    admitted = [
        gate.admit(path, path.name, tmp_path / "models", path.parent)
        for path in three_ways(tmp_path).values()
    ]
    assert len({one.digest for one in admitted}) == 1
    assert len(list((tmp_path / "models").iterdir())) == 1


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("name", files.MODELS)
def test_a_hostile_model_is_refused_all_the_same(tmp_path: Path, name: str) -> None:
    content, code, words = files.MODELS[name]
    source = tmp_path / "upload"
    source.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        gate.admit(source, "upload.onnx", tmp_path / "models")
    assert caught.value.code == code
    assert words in caught.value.message
    assert not list((tmp_path / "models").glob("*"))


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("location", "more"),
    [
        ("../secret", {}),
        ("/etc/passwd", {}),
        ("link.bin", {}),
        ("nope.bin", {}),
        ("*/_ORT_MEM_ADDR_/*", {}),
        ("w.bin", {"offset": 8}),
        ("w.bin", {"offset": 1 << 62}),
        ("w.bin", {"offset": -8}),
        ("w.bin", {"length": 8}),
        ("w.bin", {"length": 1 << 40}),
    ],
)
def test_hostile_locations_are_refused(tmp_path: Path, location: str, more: dict) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    folder = tmp_path / "upload"
    folder.mkdir()
    (folder / "w.bin").write_bytes(bytes(16))
    (folder / "link.bin").symlink_to(tmp_path / "secret")
    source = folder / "a.onnx"
    source.write_bytes(files.external(location, **{"length": 16, **more}))
    with pytest.raises(InvalidModel):
        gate.admit(source, "a.onnx", tmp_path / "models", folder)
    with pytest.raises(InvalidModel):
        gate.admit(source, "a.onnx", tmp_path / "models")
    assert not list((tmp_path / "models").glob("*"))
    assert gate.weigh(source, "a.onnx", folder) == source.stat().st_size


@pytest.mark.usefixtures("large")
def test_more_data_than_the_disk_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = three_ways(tmp_path)
    monkeypatch.setattr(gate, "_room", lambda folder: 4000)
    for path in (ways["two"], ways["zip"]):
        with pytest.raises(InvalidModel, match=r"room|limit"):
            gate.admit(path, path.name, tmp_path / "models", path.parent)
    assert not list((tmp_path / "models").glob("*"))


@pytest.mark.usefixtures("large")
def test_an_entry_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    content = three_ways(tmp_path)["zip"].read_bytes()
    size = (2 * 32 * 32 * 4).to_bytes(4, "little")
    assert content.count(size) == 4  # packed and unpacked, at the entry and in the directory
    lying = tmp_path / "lying.zip"
    at = content.rindex(size)
    lying.write_bytes(content[:at] + (8000).to_bytes(4, "little") + content[at + 4 :])
    with pytest.raises(InvalidModel):
        gate.admit(lying, "lying.zip", tmp_path / "models")
    assert not list((tmp_path / "models").glob("*"))


def test_a_file_that_protobuf_cannot_hold_is_refused_unread(tmp_path: Path) -> None:
    source = tmp_path / "huge.onnx"
    with source.open("wb") as file:
        file.write(b"\x08\x08")
        file.truncate(gate.SINGLE_FILE_BYTES + 1)  # sparse
    with pytest.raises(UnsupportedModel, match="2 GiB"):
        gate.admit(source, "huge.onnx", tmp_path / "models")


def test_what_an_upload_weighs(tmp_path: Path) -> None:
    ways = three_ways(tmp_path)
    both = ways["two"].stat().st_size + 2 * 32 * 32 * 4
    assert gate.weigh(ways["two"], "net.onnx", ways["two"].parent) == both
    assert gate.weigh(ways["one"], "net.onnx", tmp_path) == ways["one"].stat().st_size
    assert gate.weigh(ways["zip"], "net.zip") >= both
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x3a\xff")
    assert gate.weigh(broken, "broken.onnx", tmp_path) == 2


def high_water(pid: int) -> int:
    """Most memory that a process ever held, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell")
def test_a_child_takes_a_file_of_200_mb_in_and_rewrites_it_in_two_and_a_half_times_that(
    tmp_path: Path,
) -> None:
    width = 5120
    matrix = np.zeros((width, width), np.float32)
    matrix[:, ::7] = 0.01
    model = net(8)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(matrix, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[1].dim_value = width
    source = tmp_path / "net.onnx"
    source.write_bytes(model.SerializeToString())
    del model, matrix
    size, models = source.stat().st_size, tmp_path / "models"
    with Workshop() as shop:
        small = tmp_path / "small.onnx"
        onnx.save(net(), small)
        first = shop.admit(small, "small.onnx", models)
        recipe = Recipe("fp16", (Step("convert_precision", {"precision": "fp16"}),))
        assert shop.build(first.path, recipe, None, models).candidate  # everything is imported now
        before = high_water(shop._child.pid)
        summary = shop.admit(source, "net.onnx", models)
        pid = shop._child.pid
        admitted = high_water(pid) - before
        outcome = shop.build(summary.path, recipe, None, models)
        assert shop._child.pid == pid
        built = high_water(pid) - before
    assert summary.size_bytes >= size
    assert outcome.summary is not None
    assert outcome.summary.size_bytes < 0.51 * size
    assert admitted < 1.5 * size
    assert built < 2.5 * size


def test_a_truncated_upload_of_any_kind_leaves_nothing(tmp_path: Path) -> None:
    for path in three_ways(tmp_path).values():
        content = path.read_bytes()
        short = tmp_path / f"short{path.suffix}"
        short.write_bytes(content[: len(content) - 40])
        with pytest.raises(CoreError):
            gate.admit(short, short.name, tmp_path / "models")
    assert not list((tmp_path / "models").glob("*"))


def test_a_stream_is_copied_no_longer_than_declared() -> None:
    from core.data import Archive, Bounds
    from core.errors import DataError

    stream = io.BytesIO(files.zipped({"a": b"x" * 100}))
    with Archive(stream, "z", Bounds()) as archive:
        out = io.BytesIO()
        archive.copy("a", out)
        assert out.getvalue() == b"x" * 100
        archive._entries["a"].file_size = 50
        with pytest.raises(DataError):
            archive.copy("a", io.BytesIO())
