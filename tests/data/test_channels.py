"""Images of 4 or 12 channels go in as they are stored; what does not fit says what to give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.data import default_preprocess, open_set
from core.data.preprocess import AS_STORED, check_stored, same_pixels
from core.errors import DataError
from core.records import Preprocess, TensorSpec


def stored(folder: Path, channels: int) -> Path:
    images = np.arange(2 * 6 * 5 * channels, dtype=np.uint8).reshape(2, 6, 5, channels)
    np.savez(folder / "set.npz", images=images)
    return folder / "set.npz"


@pytest.mark.parametrize("channels", [2, 4, 12])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_they_go_in_as_they_are(tmp_path: Path, channels: int, layout: str) -> None:
    shape = ("N", channels, 64, 80) if layout == "NCHW" else ("N", 64, 80, channels)
    spec = TensorSpec("x", "float32", shape)
    chosen = default_preprocess([spec])
    assert (chosen.color, chosen.layout) == (AS_STORED, layout)
    feeds = next(open_set(stored(tmp_path, channels)).feeds([spec], None, 2))
    assert feeds["x"].shape == (2, *shape[1:])
    first = feeds["x"][0, :, 0, 0] if layout == "NCHW" else feeds["x"][0, 0, 0]
    np.testing.assert_allclose(first, np.arange(channels) / 255, atol=1 / 255)


def test_too_few_channels_say_what_to_give() -> None:
    spec = TensorSpec("x", "float32", ("N", 4, 6, 5))
    image = np.zeros((6, 5, 3), np.uint8)
    with pytest.raises(DataError, match="have 3 channels") as caught:
        check_stored(image, spec, Preprocess(color=AS_STORED))
    assert "(N, H, W, 4)" in caught.value.remedy


def test_means_are_held_to_the_channels() -> None:
    spec = TensorSpec("x", "float32", ("N", 4, 6, 5))
    wrong = Preprocess(color=AS_STORED, mean=(1.0, 2.0, 3.0))
    with pytest.raises(DataError, match="mean needs one number, or 4"):
        check_stored(np.zeros((6, 5, 4), np.uint8), spec, wrong)


def test_means_of_different_lengths_are_not_the_same_pixels() -> None:
    four = Preprocess(color=AS_STORED, mean=(0.1, 0.2, 0.3, 0.4))
    assert not same_pixels(four, Preprocess(color=AS_STORED, mean=(0.1, 0.2, 0.3)))
    assert same_pixels(four, four)


def test_images_without_height_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=np.zeros((3, 0, 5, 3), np.uint8))
    with pytest.raises(DataError, match="holds no numbers"):
        open_set(tmp_path / "set.npz")
