"""Histograms: exact extremes, flat memory, bad values named; ranges by their error."""

from __future__ import annotations

import numpy as np
import pytest

from core.compress.quantization import ranges
from core.compress.quantization.observers import BINS, Observer, observe
from core.compress.quantization.qparams import over
from core.errors import PassPrecondition
from tests.compress.quantization.nets import parsed


def seen(*batches):
    observer = Observer("t")
    for batch in batches:
        observer.add(np.asarray(batch, np.float32))
    return observer


def test_extremes_are_exact_and_a_growing_range_loses_no_value():
    random = np.random.default_rng(0)
    batches = [random.standard_normal((2, 4, 8)) * scale for scale in (0.01, 1.0, 50.0)]
    observer = seen(*batches)
    everything = np.concatenate([b.reshape(-1) for b in batches]).astype(np.float32)
    assert observer.extent == (everything.min(), everything.max())
    assert observer.counts.sum() == everything.size
    near = np.histogram(everything, bins=BINS // 64, range=(-observer.radius, observer.radius))[0]
    coarse = observer.counts.reshape(-1, 64).sum(1)
    assert np.abs(near - coarse).sum() <= 0.1 * everything.size


def test_extremes_per_channel():
    batch = np.stack([np.full((3, 3), c, np.float32) for c in (1.0, -2.0, 5.0)])[None]
    observer = seen(batch, batch * 2)
    np.testing.assert_array_equal(observer.channel_high, [2, -2, 10])
    np.testing.assert_array_equal(observer.channel_low, [1, -4, 5])


def test_memory_does_not_grow_with_the_images():
    alive = []

    def stream():
        for i in range(40):
            batch = np.full((2, 3, 4), i, np.float32)
            alive.append(__import__("weakref").ref(batch))
            yield {"t": batch}
            del batch
            assert sum(ref() is not None for ref in alive) <= 2

    found = observe(stream(), ["t"])["t"]
    assert found.images == 80
    held = [a for a in vars(found).values() if isinstance(a, np.ndarray)]
    assert sum(a.nbytes for a in held) < 100_000


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_a_bad_value_is_named_with_its_image(value, word):
    good = np.ones((4, 2, 3), np.float32)
    bad = good.copy()
    bad[2, 1, 0] = value
    with pytest.raises(PassPrecondition, match=f"'t' holds {word} for calibration image 6"):
        seen(good, bad)


def test_the_mse_range_beats_the_others_by_its_own_measure():
    values = np.random.default_rng(1).standard_normal((1, 4, 4096)).astype(np.float32)
    values[0, 0, 0] = 20.0
    observer, grid = seen(values), over((0.0, 1.0), bits=4)
    errors = {m: ranges.error(observer, ranges.chosen(observer, m, grid), grid) for m in
              ranges.METHODS}  # fmt: skip
    assert errors["mse"] <= min(errors.values())
    assert errors["mse"] < 0.5 * errors["minmax"]


def test_a_percentile_leaves_out_no_more_than_it_says():
    values = np.random.default_rng(2).random((1, 1, 10_000)).astype(np.float32)
    low, high = ranges.chosen(seen(values), "percentile", over((0.0, 1.0)), 99.0)
    inside = ((values >= low) & (values <= high)).mean()
    assert 0.988 <= inside <= 0.995


def test_an_all_zero_tensor_has_a_grid():
    observer = seen(np.zeros((2, 3, 4)))
    for method in ranges.METHODS:
        assert over(ranges.chosen(observer, method, over((0.0, 1.0)))).scale > 0


def test_the_layer_and_the_place_in_the_set_are_named():
    graph = parsed("g (float[N, 2] x) => (float[N, 2] y) { [root] y = Sqrt (x) }", {})
    batch = {"y": np.array([[1, 1], [1, np.nan]], np.float32)}
    with pytest.raises(PassPrecondition, match=r"Sqrt 'root' makes.*image 41 "):
        observe([batch], ["y"], graph, lambda: 40)


def test_the_distinct_values_of_an_image_are_known_and_those_of_an_activation_are_not():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 3, 16, 16)).astype(np.float32) / 255
    image, other = Observer("image"), Observer("other")
    for batch in np.split(pixels, 2):
        image.add(batch)
        other.add(rng.standard_normal(batch.shape).astype(np.float32))
    np.testing.assert_array_equal(image.levels, np.unique(pixels))
    assert other.levels is None
