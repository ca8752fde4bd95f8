"""Budgets: the order is error per time, the edge is found where it is, with few mixes made."""

from __future__ import annotations

import pytest

from core.compress.quantization.mixed_precision.fallback_order import Mixes, order
from core.compress.quantization.mixed_precision.layer_sensitivity import Fallback


class Counted(Mixes):
    """Mixes whose error falls with every layer in float."""

    def __init__(self, most: int) -> None:
        super().__init__(None, None, None, frozenset(), [str(i) for i in range(most + 1)], {})
        self.made: list[int] = []

    def _made(self, count: int) -> Fallback:
        self.made.append(count)
        return Fallback(None, tuple(map(str, range(count))), 1.0 / (1 + count), {})


def test_the_order_is_by_error_saved_per_time_lost():
    ranked = {"dear": 4.0, "cheap": 2.0, "small": 0.1}
    assert order(ranked, {"dear": 0.8, "cheap": 0.1, "small": 0.1}) == ["cheap", "dear", "small"]
    assert order(ranked, {}) == ["dear", "cheap", "small"]


@pytest.mark.parametrize("most", [1, 2, 7, 40])
def test_the_fewest_that_fit_are_found(most: int):
    for needed in range(most + 1):
        mixes = Counted(most)
        found = mixes.fewest(lambda mix, n=needed: len(mix.floats) >= n)
        assert len(found.floats) == needed
        assert len(mixes.made) <= 2 * most.bit_length() + 2


def test_nothing_fits():
    assert Counted(9).fewest(lambda mix: False) is None


@pytest.mark.parametrize("most", [1, 2, 7, 40])
def test_the_most_that_fit_are_found(most: int):
    for room in range(most + 1):
        found = Counted(most).most_fitting(lambda mix, n=room: len(mix.floats) <= n)
        assert len(found.floats) == room
