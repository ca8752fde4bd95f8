"""Large values are cut out of a file's bytes and put back; what is no file is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from core.errors import InvalidModel
from core.graph.skeleton import Values, cut, paste

LEAST = 64


def net() -> onnx.ModelProto:
    """Weights as initializers, in a Constant and in a branch; raw, floats and integers."""
    random = np.random.default_rng(1)

    def weight(name: str) -> TensorProto:
        return numpy_helper.from_array(random.normal(size=(8, 8)).astype(np.float32), name)

    floats = helper.make_tensor("f", TensorProto.FLOAT, [32], random.normal(size=32).tolist())
    whole = helper.make_tensor("i", TensorProto.INT64, [100], list(range(100)))
    inner = helper.make_graph(
        [helper.make_node("Add", ["x", "b"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [weight("b")],
    )
    nodes = [
        helper.make_node("Constant", [], ["k"], value=weight("k")),
        helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner),
    ]
    graph = helper.make_graph(nodes, "net", [], [], [weight("w"), floats, whole])
    return helper.make_model(graph, doc_string="d" * 300)


def raw_everywhere(model: onnx.ModelProto) -> bytes:
    """The file as it is written once float_data has become raw_data."""
    for tensor in model.graph.initializer:
        alone = not tensor.HasField("raw_data") and len(tensor.float_data) * 4 >= LEAST
        if tensor.data_type == TensorProto.FLOAT and alone:
            array = np.array(tensor.float_data, "<f4")
            tensor.ClearField("float_data")
            tensor.raw_data = array.tobytes()
    return model.SerializeToString(deterministic=True)


def test_what_was_cut_is_put_back_byte_for_byte() -> None:
    content, values = net().SerializeToString(deterministic=True), Values()
    skeleton = cut(memoryview(content), LEAST, values, "net")
    assert len(values) == 5  # w, f, k, and b of both branches; not the integers, nor the doc string
    assert len(skeleton) < len(content) - 5 * 100
    parsed = onnx.ModelProto.FromString(skeleton)
    held = values.of(parsed.graph.initializer[0].raw_data)
    assert held is not None
    assert bytes(held) == net().graph.initializer[0].raw_data
    written = parsed.SerializeToString(deterministic=True)
    assert b"".join(paste(written, values)) == raw_everywhere(net())


def test_only_large_values_are_cut() -> None:
    content, values = net().SerializeToString(), Values()
    assert cut(memoryview(content), 1 << 20, values, "net") == content
    assert len(values) == 0


def test_a_placeholder_cannot_be_made_up() -> None:
    ours, other = Values(), Values()
    mark = other.add(memoryview(b"x" * 100))
    assert other.of(mark) == b"x" * 100
    assert ours.of(mark) is None
    assert ours.of(ours.nonce + bytes(8)) is None  # an index that nothing stands for
    assert other.of(mark + b"x") is None


def outcome(content: bytes) -> str | onnx.ModelProto:
    """What plain parsing makes of a file."""
    try:
        return onnx.ModelProto.FromString(content)
    except DecodeError:
        return "refused"


def ours(content: bytes) -> str | onnx.ModelProto:
    """What cutting, parsing and pasting make of it."""
    values = Values()
    try:
        skeleton = cut(memoryview(content), LEAST, values, "net")
        onnx.ModelProto.FromString(skeleton)
    except (InvalidModel, DecodeError):
        return "refused"
    return onnx.ModelProto.FromString(b"".join(paste(skeleton, values)))


def like_raw(model: str | onnx.ModelProto) -> str | bytes:
    return model if isinstance(model, str) else raw_everywhere(model)


@pytest.mark.parametrize("part", [0.01, 0.2, 0.5, 0.8, 0.99])
def test_a_part_of_a_file_is_judged_as_protobuf_judges_it(part: float) -> None:
    content = net().SerializeToString()
    piece = content[: int(len(content) * part)]
    assert like_raw(ours(piece)) == like_raw(outcome(piece))


def test_damaged_files_are_judged_as_protobuf_judges_them() -> None:
    random, content = np.random.default_rng(2), net().SerializeToString()
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 2):
            damaged[place] = random.integers(0, 256)
        expected, found = outcome(bytes(damaged)), ours(bytes(damaged))
        refused += expected == "refused"
        assert isinstance(found, str) == isinstance(expected, str)
        if not isinstance(expected, str):
            assert like_raw(found) == like_raw(expected)
    assert 0 < refused < 300


@pytest.mark.parametrize(
    "tail",
    [
        b"\x3a\xff\xff\xff\xff\x0f",  # a graph of 4 GB that is not there
        b"\x3a" + b"\xff" * 11,  # a length of 11 bytes
        b"\x08" + b"\xff" * 10 + b"\x01",  # a number of 11 bytes
        b"\x3f",  # a wire type that does not exist
        b"\x3a\x05\x2a\xf0\x01",  # an initializer that is longer than its graph
    ],
)
def test_hostile_bytes_are_refused(tail: bytes) -> None:
    assert outcome(net().SerializeToString() + tail) == "refused"
    assert ours(net().SerializeToString() + tail) == "refused"


def test_a_value_that_comes_twice_stays_for_protobuf_to_merge() -> None:
    """The last raw_data wins; cutting both would keep a placeholder apart from its length."""
    twice = net()
    content = twice.graph.initializer[0].SerializeToString()
    doubled = content + content[content.index(twice.graph.initializer[0].raw_data) - 3 :]
    graph = helper.make_model(helper.make_graph([], "g", [], [], []))
    body = b"\x2a" + bytes([len(doubled) & 127 | 128, len(doubled) >> 7]) + doubled
    whole = graph.SerializeToString() + b"\x3a" + bytes([len(body) & 127 | 128, len(body) >> 7])
    assert like_raw(ours(whole + body)) == like_raw(outcome(whole + body))


def test_groups_and_deep_nesting_are_left_to_protobuf() -> None:
    group = b"\xc3\x3e" + b"\x08\x01" * 60 + b"\xc4\x3e"  # field 1000 as a group
    content = net().SerializeToString() + group
    assert like_raw(ours(content)) == like_raw(outcome(content))
    inner = b"\x0a" + b"\x00"
    for _ in range(150):  # node.attribute.g.node ...
        for key in (b"\x32", b"\x2a", b"\x0a"):
            size = len(inner)
            inner = key + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + inner
    size = len(inner)
    deep = b"\x3a" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + inner
    assert ours(deep) == outcome(deep) == "refused"
