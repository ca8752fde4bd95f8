"""A new set gets the role that it is good for, and the other role what that sets free."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.data.roles import assigned, halves
from core.records import DataSummary


def images(name: str, labelled: bool = False, count: int = 100) -> DataSummary:
    return DataSummary(name, name, Path(name), "images", count, labelled)


ALONE, SINGLE = images("photos"), images("photo", count=1)
LABELLED, NEWER = images("labelled", True), images("newer", True)
TRAINING = images("my_train_set", True)


@pytest.mark.parametrize(
    ("fresh", "calibrates", "evaluates", "roles"),
    [
        pytest.param(ALONE, None, None, (ALONE, ALONE), id="alone it serves for both"),
        pytest.param(SINGLE, None, None, (None, SINGLE), id="one image cannot be split"),
        pytest.param(ALONE, LABELLED, LABELLED, (ALONE, LABELLED), id="labels evaluate"),
        pytest.param(LABELLED, ALONE, ALONE, (ALONE, LABELLED), id="labels evaluate, come later"),
        pytest.param(TRAINING, None, LABELLED, (TRAINING, LABELLED), id="a name tells"),
        pytest.param(NEWER, ALONE, LABELLED, (ALONE, NEWER), id="the newer one evaluates"),
        pytest.param(NEWER, None, LABELLED, (LABELLED, NEWER), id="the older one is set free"),
    ],
)
def test_a_new_set_gets_the_role_that_it_is_good_for(fresh, calibrates, evaluates, roles):
    assert assigned(fresh, calibrates, evaluates) == roles


@pytest.mark.parametrize(("count", "expected"), [(2, (1, 1)), (5, (3, 2))])
def test_the_larger_half_calibrates(count: int, expected: tuple[int, int]):
    assert halves(count) == expected
