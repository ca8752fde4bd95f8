"""Ranges of activations: held by minmax, cut by percentile and entropy, in flat memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from core import graph as graphs
from core.calibration.services import Tensors
from core.compress.quantization.stock.ranges import measure
from tests.builders import Images, graph


def identity(size: int = 100) -> graphs.Graph:
    return graph(f"(float[1,{size}] x) => (float[1,{size}] y) {{ y = Identity (x) }}")


class Values(Images):
    """Batches as given."""

    def __init__(self, net: graphs.Graph, *arrays: np.ndarray):
        super().__init__(net, len(arrays))
        self.arrays = arrays

    def feeds(self) -> Iterator[Tensors]:
        self.reads += 1
        for array in self.arrays:
            yield {"x": array.reshape(1, -1).astype(np.float32)}


def test_minmax_keeps_every_value_and_reads_once():
    batches = np.random.default_rng(0).normal(size=(5, 100))
    data = Values(identity(), *batches)
    low, high = measure(identity(), ["y"], data, "minmax", 99.99)["y"]
    assert (low, high) == (np.float32(batches.min()), np.float32(batches.max()))
    assert data.reads == 1


@pytest.mark.parametrize("share", [90.0, 99.0, 99.9, 100.0])
def test_percentile_holds_the_central_share(share: float):
    values = np.random.default_rng(0).normal(size=(20, 5000))
    low, high = measure(
        identity(5000), ["y"], Values(identity(5000), *values), "percentile", share
    )["y"]
    width = (values.max() - values.min()) / 2048  # a bin of the histogram
    cut = (100 - share) / 2
    assert low == pytest.approx(np.percentile(values, cut), abs=1.5 * width)
    assert high == pytest.approx(np.percentile(values, 100 - cut), abs=1.5 * width)


def test_entropy_clips_an_outlier_and_keeps_a_full_range():
    random = np.random.default_rng(0)
    values = random.normal(size=(20, 5000))
    full = measure(identity(5000), ["y"], Values(identity(5000), *values), "entropy", 0)["y"]
    assert full[1] > 2.5
    values[3, 7] = 300.0
    clipped = measure(identity(5000), ["y"], Values(identity(5000), *values), "entropy", 0)["y"]
    assert clipped[1] < 60
    flat = random.uniform(0, 1, (20, 5000))
    kept = measure(identity(5000), ["y"], Values(identity(5000), *flat), "entropy", 0)["y"]
    assert kept[1] > 0.95


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
@pytest.mark.parametrize("value", [0.0, 3.0, -2.0])
def test_a_constant_tensor_has_a_range(method: str, value: float):
    data = Values(identity(), *np.full((3, 100), value))
    low, high = measure(identity(), ["y"], data, method, 99.99)["y"]
    assert low <= high
    assert np.isfinite([low, high]).all()


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_infinities_are_left_out(method: str):
    values = np.random.default_rng(0).normal(size=(3, 100))
    values[1, 5], values[2, 6] = np.inf, np.nan
    low, high = measure(identity(), ["y"], Values(identity(), *values), method, 99.99)["y"]
    assert -5 < low < 0 < high < 5


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_memory_does_not_grow_with_the_number_of_images(method: str):
    def peak(batches: int) -> int:
        batch = np.random.default_rng(0).normal(size=20000)
        tracemalloc.start()
        measure(identity(20000), ["y"], Values(identity(20000), *[batch] * batches), method, 99.9)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)  # what is imported and cached the first time
    assert peak(60) < peak(4) * 1.5 + 100_000
