"""The range of every activation, from calibration images that stream by.

Memory holds one batch of activations and, per tensor, two numbers or one histogram: it does not
grow with the number of images.

- minmax: the extremes.
- percentile: the extremes of the central share of all values, by a histogram of fixed bins.
- entropy: the threshold t whose clipped, quantized distribution of |x| is closest to the whole one
  by the Kullback-Leibler divergence; the empty and the zero bins are left out of the comparison.

Source: Migacz 2017, "8-bit inference with TensorRT", GTC S7310; Wu et al. 2020, arXiv:2004.09602.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.calibration.services import Services
from core.errors import PassPrecondition
from core.graph import Graph

Array = np.ndarray[Any, Any]
Range = tuple[float, float]
BINS = 2048
LEVELS = 128  # of one sign
STRIDE = 16  # bins between two candidate thresholds


def measure(
    graph: Graph, names: Sequence[str], services: Services, method: str, percentile: float
) -> dict[str, Range]:
    """Name -> (low, high) of each tensor.

    Args:
        graph: the float graph.
        names: its tensors.
        services: calibration data; it is read once for minmax, twice otherwise.
        method: "minmax", "percentile" or "entropy".
        percentile: share of the values that the range holds, in percent.

    Raises:
        PassPrecondition: no data came, or a tensor is never finite.
    """
    extremes = _extremes(graph, names, services)
    if method == "minmax":
        return extremes
    histograms = _histograms(graph, extremes, services, absolute=method == "entropy")
    if method == "percentile":
        return {n: _percentile(h, extremes[n], percentile) for n, h in histograms.items()}
    return {n: _entropy(h, extremes[n]) for n, h in histograms.items()}


def _extremes(graph: Graph, names: Sequence[str], services: Services) -> dict[str, Range]:
    found: dict[str, Range] = {}
    for batch in services.activations(graph, names):
        for name, array in batch.items():
            finite = _finite(array)
            if finite.size:
                low, high = found.get(name, (np.inf, -np.inf))
                found[name] = (min(low, float(finite.min())), max(high, float(finite.max())))
    if missing := [name for name in names if name not in found]:
        raise PassPrecondition(
            f"The calibration images give no finite value for {missing[0]!r}"
            + (f" and {len(missing) - 1} more tensors." if len(missing) > 1 else ".")
        )
    return found


def _histograms(
    graph: Graph, extremes: Mapping[str, Range], services: Services, absolute: bool
) -> dict[str, Array]:
    found = {name: np.zeros(BINS, np.int64) for name in extremes}
    for batch in services.activations(graph, list(extremes)):
        for name, array in batch.items():
            low, high = extremes[name]
            if absolute:
                array, low, high = np.abs(array), 0.0, max(-low, high)
            if high > low:
                found[name] += _count(_finite(array), low, high)
    return found


def _finite(array: Array) -> Array:
    """The finite values; the array itself, at the cost of one sum, where that is all of them."""
    with np.errstate(all="ignore"):
        return array if np.isfinite(array.sum()) else array[np.isfinite(array)]


def _count(array: Array, low: float, high: float) -> Array:
    """A histogram of BINS equal bins, several times as fast as numpy's."""
    index = ((array.reshape(-1) - np.float32(low)) * np.float32(BINS / (high - low))).astype(
        np.int32
    )
    return np.bincount(np.clip(index, 0, BINS - 1, out=index), minlength=BINS)


def _percentile(histogram: Array, extremes: Range, percentile: float) -> Range:
    low, high = extremes
    total = histogram.sum()
    if not total:
        return extremes
    edges = np.linspace(low, high, BINS + 1)
    share = np.concatenate([[0.0], np.cumsum(histogram) / total])
    cut = (100.0 - percentile) / 200.0
    left = edges[max(int(np.searchsorted(share, cut, "right")) - 1, 0)]
    right = edges[min(int(np.searchsorted(share, 1.0 - cut, "left")), BINS)]
    return float(left), float(right)


def _entropy(histogram: Array, extremes: Range) -> Range:
    low, high = extremes
    largest = max(-low, high)
    counts = histogram.astype(np.float64)
    counts[0] = counts[1]  # exact zeros cost nothing at any scale, and would drown the rest
    if largest <= 0 or not counts.any():
        return extremes
    levels = LEVELS if low < 0 else 2 * LEVELS
    sizes = list(range(levels, BINS + 1, STRIDE))
    best = min(sizes, key=lambda size: _divergence(counts, size, levels))
    threshold = largest * best / BINS
    return max(low, -threshold), min(high, threshold)


def _divergence(counts: Array, size: int, levels: int) -> float:
    """How much is lost by clipping to the first `size` bins and merging these to `levels`."""
    kept = counts[:size]
    reference = kept.copy()
    reference[-1] += counts[size:].sum()
    level = np.arange(size) * levels // size
    filled = kept > 0
    mass = np.bincount(level, kept, levels)
    share = np.bincount(level, filled, levels)
    merged = np.where(filled, (mass / np.maximum(share, 1))[level], 0.0)
    if not merged.any():
        return float("inf")
    p, q = reference / reference.sum(), merged / merged.sum()
    compared = p > 0
    floor = 1.0 / counts.sum() / size
    return float(np.sum(p[compared] * np.log(p[compared] / np.maximum(q[compared], floor))))
