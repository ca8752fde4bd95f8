"""Orders of axes: what a Reshape or a Transpose makes of one, worked out without the data."""

from __future__ import annotations

import numpy as np
import pytest

from core.formats.tflite import layout

SHAPE = (2, 4, 3, 6)
LAST = layout.channels_last(4)


def stored(array: np.ndarray, order: layout.Order) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(order)).ravel()


@pytest.mark.parametrize(
    ("target", "kept"),
    [((2, 4, 18), True), ((2, 2, 2, 3, 6), True), ((2, 4, 3, 2, 3), True), ((2, 72), False),
     ((8, 3, 6), False), ((2, 1, 4, 3, 6), True), ((6, 4, 6), False)],
)  # fmt: skip
def test_a_reshape_in_another_order_is_the_same_data_or_is_none(
    target: tuple[int, ...], kept: bool
):
    order = layout.reshaped(SHAPE, target, LAST)
    assert (order is not None) is kept
    if order is not None:
        array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
        assert stored(array, LAST).tolist() == stored(array.reshape(target), order).tolist()


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 3, 2)])
@pytest.mark.parametrize("target", [(8, 3, 6), (2, 72), (2, 4, 18), (144,)])
def test_what_has_to_move_moves_into_an_order_that_can_be_reshaped(
    order: layout.Order, target: tuple[int, ...]
):
    moved = layout.gathered(SHAPE, target, order)
    after = layout.reshaped(SHAPE, target, moved)
    assert after is not None
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    assert stored(array, moved).tolist() == stored(array.reshape(target), after).tolist()


@pytest.mark.parametrize("perm", [(0, 2, 3, 1), (3, 1, 0, 2)])
def test_a_transpose_only_renames_axes(perm: tuple[int, ...]):
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    order = layout.transposed(LAST, perm)
    assert stored(array, LAST).tolist() == stored(array.transpose(perm), order).tolist()


def test_axes_of_size_1_lie_anywhere():
    assert layout.alike((2, 1, 3), (0, 1, 2), (1, 0, 2))
    assert not layout.alike((2, 4, 3), (0, 1, 2), (1, 0, 2))


def test_axes_that_go_and_axes_that_come():
    assert layout.without(LAST, (2, 3)) == (0, 1)
    assert layout.without(LAST, (1,)) == (0, 1, 2)
    assert layout.widened((1, 0), 4) == (0, 1, 3, 2)


def test_nothing_is_said_of_a_tensor_without_elements():
    assert layout.reshaped((0, 4), (4, 0), (1, 0)) is None
