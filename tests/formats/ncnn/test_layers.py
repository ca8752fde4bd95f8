"""The two files of ncnn: lines, numbers, and what is written of weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.formats.ncnn.layers import HALF_TAG, INT8_TAG, Layer, Names, Weight, shared, write


def layer(name: str, *inputs: str, kind: str = "ReLU") -> Layer:
    return Layer(kind, name, inputs, (name,))


def test_a_line_has_blobs_and_numbered_parameters():
    made = Layer("Conv", "c", ("x",), ("c",), {5: 1, 0: 16, 10: [0.0, 6.0], 1: 0.5, 9: [1, 2]})
    line = "Conv c 1 1 x c 0=16 1=5.00000000e-01 5=1 -23309=2,1,2 "
    assert str(made) == f"{line}-23310=2,0.00000000e+00,6.00000000e+00"


def test_names_have_no_spaces_and_are_taken_once():
    names = Names()
    assert [names.of("a b"), names.of("a_b"), names.of(""), names.of("x" * 900)[:3]] == [
        "a_b", "a_b_2", "unnamed", "xxx",
    ]  # fmt: skip


def test_what_several_read_is_split(tmp_path: Path):
    found = shared([layer("x", kind="Input"), layer("a", "x"), layer("b", "x")], ["b"], Names())
    assert [one.kind for one in found] == ["Input", "Split", "ReLU", "ReLU"]
    assert {found[2].inputs, found[3].inputs} == {(name,) for name in found[1].outputs}


def test_an_output_that_others_read_keeps_its_name():
    found = shared([layer("x", kind="Input"), layer("a", "x"), layer("b", "a")], ["a"], Names())
    assert found[1].outputs == ("a_all",)
    assert "a" in found[2].outputs
    assert found[2].inputs == ("a_all",)


@pytest.mark.parametrize(
    ("weight", "halves", "expected"),
    [
        (Weight(np.float32([1, 2])), True, np.float32([1, 2]).tobytes()),
        (Weight(np.float32([1]), True), False, bytes(4) + np.float32([1]).tobytes()),
        (Weight(np.float32([1]), True), True,
         np.uint32(HALF_TAG).tobytes() + np.float16([1]).tobytes() + bytes(2)),
        (Weight(np.int8([1, -2, 3]), True), True,
         np.uint32(INT8_TAG).tobytes() + np.int8([1, -2, 3]).tobytes() + bytes(1)),
    ],
)  # fmt: skip
def test_weights_are_told_by_a_tag_and_end_at_four_bytes(
    weight: Weight, halves: bool, expected: bytes, tmp_path: Path
):
    made = [Layer("Convolution", "c", ("x",), ("c",), {}, (weight,))]
    assert write(made, tmp_path / "p", tmp_path / "b", halves) == 0
    assert (tmp_path / "b").read_bytes() == expected
    assert (tmp_path / "p").read_text().splitlines()[:2] == ["7767517", "1 1"]


def test_numbers_too_large_for_halves_stay_whole(tmp_path: Path):
    made = [Layer("Convolution", "c", ("x",), ("c",), {}, (Weight(np.float32([1e5]), True),))]
    assert write(made, tmp_path / "p", tmp_path / "b", True) == 1
    assert (tmp_path / "b").read_bytes()[4:] == np.float32([1e5]).tobytes()
