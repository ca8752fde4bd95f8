"""Copies that a net has not seen: the same picture, a little larger."""

from __future__ import annotations

import numpy as np
import pytest

from core.data.zoomed import seems_familiar, zoomed


def ramp(size: int = 40) -> np.ndarray:
    """Brightness that grows to the right, by one for each pixel, in two channels."""
    row = np.arange(size, dtype=np.float32)
    return np.broadcast_to(row, (3, 2, size, size)).copy()


@pytest.mark.parametrize("last", [False, True])
def test_a_copy_is_enlarged_about_its_middle(last: bool):
    batch = np.moveaxis(ramp(), 1, 3) if last else ramp()
    made = zoomed({"x": batch})["x"]
    assert made.shape == batch.shape
    planes = np.moveaxis(made, 3, 1) if last else made
    wanted = 19.5 + (np.arange(40) - 19.5) * 0.95
    np.testing.assert_allclose(planes, np.broadcast_to(wanted, planes.shape), atol=0.05)


@pytest.mark.parametrize("shape", [(2, 10), (2, 3, 4, 4), (2, 40, 40, 40), (2, 3, 8)])
def test_what_is_no_image_has_no_copy(shape):
    assert zoomed({"x": np.zeros(shape, np.float32)}) is None
    assert zoomed({"a": ramp(), "x": np.zeros(shape, np.float32)}) is None


def test_a_net_seems_to_know_images_that_it_is_sure_of_or_always_right_about():
    assert seems_familiar(0.99, None, 100)
    assert seems_familiar(0.9, 0.98, 100)
    assert not seems_familiar(0.97, None, 100)
    assert not seems_familiar(0.9, 0.91, 100)
    assert not seems_familiar(1.0, 1.0, 8)
    assert not seems_familiar(0.9, 1.0, 32)  # by luck
