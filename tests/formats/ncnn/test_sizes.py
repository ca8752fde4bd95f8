"""Tensors of any number of axes as blobs of four: the elements keep their order."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from core.formats.ncnn.refusal import Refused
from core.formats.ncnn.sizes import along, around, broadcast, moved, natural, within


def test_leading_ones_are_left_out_and_front_axes_merge():
    assert natural((1, 3, 8, 8)) == (3, 8, 8)
    assert natural((2, 3, 4, 5, 6)) == (6, 4, 5, 6)
    assert natural(()) == natural((1, 1)) == (1,)


def test_an_axis_keeps_its_place_among_merged_ones():
    assert around((2, 3, 4), 1) == (2, 3, 4)
    assert along((2, 3, 4, 5, 6), 2) == ((6, 4, 30), 1)
    assert within((1, 2, 3, 4, 5), [2, 3]) == ((2, 3, 4, 5), (1, 2))
    assert within((2, 3, 4, 5, 6), [1, 2]) == ((2, 3, 4, 30), (1, 2))
    with pytest.raises(Refused, match="5 separate axes"):
        within((2, 3, 4, 5, 6), [1, 3])


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_every_order_of_axes_is_made_in_steps(rank: int):
    shape = (2, 3, 4, 5)[:rank]
    array = np.arange(math.prod(shape)).reshape(shape)
    for perm in itertools.permutations(range(rank)):
        made = array
        for form, order in moved(shape, perm):
            made = made.reshape(form).transpose(order)
        np.testing.assert_array_equal(made.reshape(-1), array.transpose(perm).reshape(-1))


@pytest.mark.parametrize("perm", [(5, 3, 1, 4, 2, 0), (0, 2, 4, 1, 3, 5), (4, 0, 5, 1, 3, 2)])
def test_more_than_four_axes_are_moved_one_after_the_other(perm: tuple[int, ...]):
    shape = (2, 3, 2, 3, 2, 3)
    array = np.arange(math.prod(shape)).reshape(shape)
    made = array
    for form, order in moved(shape, perm):
        assert len(form) <= 4
        made = made.reshape(form).transpose(order)
    np.testing.assert_array_equal(made.reshape(-1), array.transpose(perm).reshape(-1))


def test_what_broadcasts_has_as_many_axes_and_merges_where_both_agree():
    assert broadcast((1, 4, 9, 7), (4, 1, 1)) == ((4, 9, 7), (4, 1, 1))
    first, second = broadcast((1, 2, 3, 4, 5, 2), (1, 2, 1, 1, 5, 2))
    assert first == (2, 12, 10)
    assert second == (2, 1, 10)
    with pytest.raises(Refused, match="5 separate axes"):
        broadcast((2, 3, 2, 3, 2), (1, 3, 1, 3, 1))
