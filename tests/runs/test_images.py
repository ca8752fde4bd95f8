"""What calibrates and what evaluates: two sets, one, or one that serves for both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import data
from core.errors import DataError
from core.runs.home import Home
from core.runs.images import sources


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def admitted(home: Home, tmp_path: Path, count: int) -> str:
    path = tmp_path / f"{count}.npz"
    pixels = np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    np.savez(path, images=pixels)
    return data.admit(path, path.name, home.data).digest


def test_two_sets_are_taken_whole(home, tmp_path):
    first, second = admitted(home, tmp_path, 5), admitted(home, tmp_path, 6)
    found = sources(home, first, second)
    assert [one.digest for one in found] == [first, second]
    assert [data.open_set(one.path).count for one in found] == [5, 6]


def test_one_set_for_both_is_split_and_the_halves_have_digests_of_their_own(home, tmp_path):
    both = admitted(home, tmp_path, 5)
    found = sources(home, both, both)
    assert [data.open_set(one.path).count for one in found] == [3, 2]
    assert len({both, *(one.digest for one in found)}) == 3
    assert sources(home, both, both) == found


def test_none_is_none(home):
    assert [one.path for one in sources(home, "", "")] == [None, None]


def test_a_set_that_is_gone_and_one_image_for_both_are_refused(home, tmp_path):
    with pytest.raises(DataError, match="gone"):
        sources(home, "e" * 64, "")
    only = admitted(home, tmp_path, 1)
    with pytest.raises(DataError, match="One image"):
        sources(home, only, only)
    assert data.open_set(sources(home, only, "")[0].path).count == 1
