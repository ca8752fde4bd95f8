"""Sizes of open dimensions: what is asked, what images tell, what is proposed; never a guess."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import data
from core.data.input_sizes import batches, called
from core.records import DataSummary, ModelSummary, Preprocess, TensorSpec
from tests.data import sets

F = "float32"
IMAGE = (TensorSpec("x", F, ("batch", 3, "height", "width")),)
LINE = (TensorSpec("x", F, ("N", 3, 48, "W")),)
SQUARE = (TensorSpec("x", F, ("N", 3, "side", "side")),)
TOKENS = (TensorSpec("ids", "int64", ("N", "T")), TensorSpec("mask", "int64", ("N", "T")))


def model(inputs, *outputs: tuple[int | str, ...], preprocess: Preprocess | None = None):
    specs = tuple(TensorSpec(f"y{i}", F, shape) for i, shape in enumerate(outputs))
    return ModelSummary(
        "m", "net.onnx", Path("m"), inputs, specs, 17, 8, "test", 1, 1, 1, 1, 0,
        preprocess=preprocess,
    )  # fmt: skip


def images(*shape: int, first: tuple[int, ...] = ()) -> DataSummary:
    shapes = {"images": shape} if shape else {}
    return DataSummary("d", "set", Path("d"), "images", 4, True, shape or first, shapes=shapes)


@pytest.mark.parametrize(
    ("specs", "asked"),
    [
        (IMAGE, ("height", "width")),
        (LINE, ("W",)),
        (TOKENS, ("T",)),
        ((TensorSpec("x", F, ("N", 3, 8, 8)),), ()),
        ((TensorSpec("x", F, (3, "H", "W")),), ("H", "W")),
        ((TensorSpec("x", "uint8", ("H", "W", 3)),), ("H", "W")),
        ((TensorSpec("x", F, ("batch", "points", 3)),), ("points",)),
        ((TensorSpec("audio", F, ("samples",)),), ("samples",)),
        ((*IMAGE, TensorSpec("lengths", "int64", ("batch",))), ("height", "width")),
        ((TensorSpec("a", F, ("n", 4)), TensorSpec("b", F, (1, "n"))), ("n",)),
    ],
)
def test_everything_but_the_batch_is_asked_for(specs, asked) -> None:
    assert data.open_dims(specs) == asked


def test_the_batch_is_one_unless_it_is_given() -> None:
    assert batches(IMAGE) == {"batch"}
    sized = data.at(IMAGE, {"height": 32, "width": 64})
    assert data.shape_text(sized) == "1x3x32x64"
    assert data.shape_text(data.at(sized, {"batch": 4})) == "4x3x32x64"
    assert data.shape_text(data.at(TOKENS, {"T": 7})) == "ids 1x7, mask 1x7"


def test_images_of_one_size_state_it() -> None:
    assert data.told(IMAGE, None, images(75, 100, 3), {}) == {"height": 75, "width": 100}


def test_images_of_many_sizes_state_none() -> None:
    assert data.told(IMAGE, None, images(first=(75, 100, 3)), {}) == {}
    assert data.told(IMAGE, None, None, {}) == {}


@pytest.mark.parametrize(
    "how",
    [
        Preprocess(resize=(64, 96)),
        Preprocess(resize=(80, 120), crop=(64, 96)),
        Preprocess(resize_after_crop=(64, 96)),
    ],
)
def test_the_size_of_the_preprocessing_goes_first(how: Preprocess) -> None:
    for some in (images(75, 100, 3), images(first=(10, 10, 3))):
        assert data.told(IMAGE, how, some, {}) == {"height": 64, "width": 96}


def test_what_is_given_goes_before_what_images_tell() -> None:
    given = {"height": 8, "width": 9, "other": 3}
    assert data.told(IMAGE, None, images(75, 100, 3), given) == {"height": 8, "width": 9}


def test_beside_a_fixed_side_images_keep_their_shape() -> None:
    assert data.told(LINE, None, images(32, 100, 3), {}) == {"W": 150}


def test_a_name_that_would_get_two_sizes_gets_none() -> None:
    assert data.told(SQUARE, None, images(75, 100, 3), {}) == {}
    assert data.told(SQUARE, None, images(75, 75, 3), {}) == {"side": 75}


def test_arrays_state_their_shapes() -> None:
    arrays = DataSummary("d", "s", Path("d"), "tensors", 4, False, shapes={"ids": (7,)})
    assert data.told(TOKENS, None, arrays, {}) == {"T": 7}


def test_the_gate_sees_whether_images_are_of_one_size(tmp_path: Path) -> None:
    same = {f"{i}.png": sets.png(sets.solid((i, 2, 3))) for i in range(3)}
    alike = data.admit(sets.zipped(tmp_path / "a.zip", same), "a.zip", tmp_path / "data")
    assert alike.shapes == {"images": (4, 6, 3)}
    odd = {**same, "odd.png": sets.png(np.zeros((5, 6, 3), np.uint8))}
    mixed = data.admit(sets.zipped(tmp_path / "b.zip", odd), "b.zip", tmp_path / "data")
    assert mixed.shapes == {}


@pytest.mark.parametrize(
    ("asked", "dims"),
    [
        (model(IMAGE, ("N", 10)), {"height": 224, "width": 224}),
        (model(IMAGE, ("batch", 4)), {"height": 224, "width": 224}),
        (model(IMAGE, ("found", 6)), {"height": 640, "width": 640}),
        (model(IMAGE, ("N", 84, "boxes")), {"height": 640, "width": 640}),
        (model(IMAGE, ("N", 1, "h", "w")), {"height": 320, "width": 320}),
        (model(IMAGE, ("N", 1), preprocess=Preprocess(resize=(64, 96))),
         {"height": 64, "width": 96}),
        (model(LINE, ("N", "T", 97)), {"W": 320}),
        (model(IMAGE, ("N", "T", 6625)), {"height": 48, "width": 320}),
        (model(SQUARE, ("N", 10)), {"side": 224}),
        (model(TOKENS, ("N", 10)), {"T": 128}),
    ],
)  # fmt: skip
def test_a_size_is_proposed_for_every_kind_of_net(asked: ModelSummary, dims) -> None:
    proposal = data.proposed(asked)
    assert proposal.dims == dims
    assert proposal.why


def test_images_and_other_models_propose_theirs() -> None:
    asked = model(IMAGE, ("N", 10))
    wide = data.proposed(asked, images(first=(480, 1280, 3)))
    assert wide.dims == {"height": 256, "width": 640}  # 240 x 640 in multiples of 32
    frozen = model((TensorSpec("x", F, (1, 3, 96, 128)),), (1, 10))
    assert data.proposed(asked, others=[frozen]).dims == {"height": 96, "width": 128}


def test_dimensions_are_called_what_they_are() -> None:
    assert [called(IMAGE, name) for name in ("batch", "height", "width")] == [
        "batch", "height", "width",
    ]  # fmt: skip
    assert called(SQUARE, "side") == "height and width"
    assert called(TOKENS, "T") == "length"
