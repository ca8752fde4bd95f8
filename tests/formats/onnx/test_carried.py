"""What a model says of its own preprocessing is held to the rules, at the gate."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import graph as graphs
from core.data import read_preprocess
from core.errors import DataError
from core.formats.onnx import gate
from core.graph.metadata import PREPROCESS_KEY
from core.records import parse_json
from tests.builders import graph

UNUSABLE = {
    "a std of zero": '{"std": [0]}',
    "not a number": '{"mean": [NaN]}',
    "endless": '{"scale": Infinity}',
    "a giant size": '{"resize": [1000000000, 1000000000]}',
    "a made-up colour": '{"color": "octarine"}',
    "hundreds of digits": '{"scale": ' + "9" * 400 + "}",
    "too deep": "[" * 100_000,
    "no JSON": "color=rgb",
}


def admitted(tmp_path: Path, text: str) -> gate.Admitted:
    net = graph("(float[N,3,8,8] x) => (float[N,3,8,8] y) { y = Relu (x) }")
    net.metadata_props[PREPROCESS_KEY] = text
    file = tmp_path / "net.onnx"
    file.write_bytes(graphs.serialize(net))
    return gate.admit(file, "net.onnx", tmp_path / "models")


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_no_image_can_go_through_is_left_out_and_said(tmp_path: Path, name: str) -> None:
    found = admitted(tmp_path, UNUSABLE[name])
    assert graphs.preprocess(found.graph) is None
    assert any("preprocessing that the model carries was left out" in n for n in found.notes)


def test_what_is_right_is_kept(tmp_path: Path) -> None:
    found = admitted(tmp_path, '{"color": "bgr", "scale": 1.0}')
    kept = graphs.preprocess(found.graph)
    assert kept is not None
    assert kept.color == "bgr"
    assert found.notes == ()


def test_a_users_file_with_hundreds_of_digits_is_refused() -> None:
    with pytest.raises(DataError, match="finite number"):
        read_preprocess(parse_json('{"mean": [' + "9" * 400 + "]}"))
