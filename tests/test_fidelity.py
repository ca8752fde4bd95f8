"""Fidelity: groups of channels by magnitude, each with a ratio of its own."""

from __future__ import annotations

import numpy as np
import pytest

from core.fidelity import CAP_DB, Powers, channel_axis, groups


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((8, 1000), None), ((8, 84, 8400), 1), ((8, 25200, 85), 2), ((8, 21, 64, 64), 1),
     ((8, 64, 64, 21), 3), ((8, 84, 80, 80), 1),
     ((8, 20, 20, 255), 3), ((8, 1, 300), None), ((8,), None), ((8, 2000, 3000), None)],
)  # fmt: skip
def test_the_channel_axis_is_no_side_of_a_square_map_else_the_shortest_of_several(
    shape: tuple[int, ...], axis: int | None
):
    assert channel_axis(shape) == axis


def test_boxes_and_scores_are_apart():
    loud, quiet = np.full(4, 1e5), np.geomspace(1e-3, 1e-1, 80)
    assert [sorted(g) for g in groups(np.concatenate([loud, quiet]))] == [
        list(range(4, 84)), list(range(4))
    ]  # fmt: skip


def test_a_few_classes_that_never_occur_count_with_the_others():
    assert len(groups(np.array([1e-12, 1e-12] + [1.0] * 78))) == 1


def test_the_only_score_of_a_detector_counts():
    assert [list(g) for g in groups(np.array([1e5, 1e5, 1e5, 1e5, 1e-2]))] == [[4], [0, 1, 2, 3]]


def test_ratios_add_up_over_images():
    random = np.random.default_rng(0)
    wanted = random.normal(size=(6, 3, 5))
    got = wanted + 0.1
    whole, parts = Powers(), Powers()
    whole.add(wanted, got)
    for image in range(6):
        parts.add(wanted[image : image + 1], got[image : image + 1])
    assert parts.sqnr_db()[0] == pytest.approx(whole.sqnr_db()[0])
    assert whole.sqnr_db()[0] == pytest.approx(10 * np.log10((wanted**2).mean() / 0.01))


def test_equal_is_the_cap_and_silence_is_lost():
    same = Powers()
    same.add(np.ones((2, 3)), np.ones((2, 3)))
    assert same.sqnr_db()[0] == CAP_DB
    silent = Powers()
    silent.add(np.zeros((2, 3)), np.ones((2, 3)))
    assert silent.sqnr_db()[0] == -CAP_DB


def test_what_stands_in_silent_channels_counts_in_the_quietest_group():
    wanted = np.ones((2, 8, 5))
    wanted[:, :2] = 0
    got = wanted.copy()
    got[:, 0] = 3
    powers = Powers()
    powers.add(wanted, got)
    assert powers.error() == pytest.approx(9 / 6)


def test_outputs_of_another_size_from_image_to_image_count_as_a_whole():
    powers = Powers()
    for boxes in (2, 10, 1):
        powers.add(np.ones((1, boxes, 4)), np.full((1, boxes, 4), 0.9))
    assert powers.error() == pytest.approx(0.01)
