"""Range estimation: the range of an activation, by the error that quantizing to it makes.

For a range r the expected squared error is the sum over the histogram of
    count(x) * (x - dequantize(quantize_r(x)))^2,
rounding inside and clipping outside of it. The candidates:

- minmax: nothing is clipped;
- percentile: a small share of the values is clipped at each end;
- mse: of a ladder of ever narrower ranges, the one whose error is least.

Which of them is best for the net as a whole is not decided here but on held-out images.

Source: Migacz 2017, GTC S7310; Nagel et al. 2021, arXiv:2106.08295, section 3.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.compress.quantization.observers import Observer
from core.compress.quantization.qparams import Grid, over

Array = np.ndarray[Any, Any]
Range = tuple[float, float]

METHODS = ("minmax", "percentile", "mse")
LADDER = np.linspace(0.2, 1.0, 41)


def chosen(observer: Observer, method: str, grid: Grid, percentile: float = 99.99) -> Range:
    """The range of a tensor by a method.

    Args:
        observer: what was seen of it.
        method: one of METHODS.
        grid: any grid of the kind that will hold it; only its bits and sign matter.
        percentile: share of the values inside, in percent.
    """
    if method == "percentile":
        return _percentile(observer, percentile)
    if method == "mse":
        return _least_error(observer, grid)
    return observer.extent


def error(observer: Observer, extent: Range, grid: Grid) -> float:
    """Mean squared error of the tensor on the grid over `extent`."""
    centres = observer.centres()
    used = observer.counts > 0
    return _error(centres[used], observer.counts[used], over(extent, grid.signed, grid.bits))


def merged(extents: list[Range]) -> Range:
    """The range that holds all of them."""
    return min(e[0] for e in extents), max(e[1] for e in extents)


def _percentile(observer: Observer, percentile: float) -> Range:
    total = observer.counts.sum()
    if not total:
        return observer.extent
    share = np.cumsum(observer.counts) / total
    cut = (100.0 - percentile) / 200.0
    edges = (np.arange(len(share) + 1) / len(share) * 2 - 1) * observer.radius
    low = edges[int(np.searchsorted(share, cut, "right"))]
    high = edges[min(int(np.searchsorted(share, 1.0 - cut, "left")) + 1, len(share))]
    return float(max(low, observer.low)), float(min(high, observer.high))


def _least_error(observer: Observer, grid: Grid) -> Range:
    low, high = observer.extent
    used = observer.counts > 0
    centres, counts = observer.centres()[used], observer.counts[used]
    if not counts.size:
        return low, high
    ranges = [(low, high * s) for s in LADDER]
    if low < 0:
        ranges = [(low * s, high * s) for s in LADDER]
    errors = [_error(centres, counts, over(r, grid.signed, grid.bits)) for r in ranges]
    best = ranges[int(np.argmin(errors))]
    if low >= 0 or high <= 0:
        return best
    sides = [(best[0] * s, best[1]) for s in LADDER[::2]]
    sides += [(best[0], best[1] * s) for s in LADDER[::2]]
    errors = [_error(centres, counts, over(r, grid.signed, grid.bits)) for r in sides]
    return sides[int(np.argmin(errors))]


def _error(centres: Array, counts: Array, grid: Grid) -> float:
    low, high = grid.bounds
    rounded = np.clip(np.rint(centres / grid.scale) * grid.scale, low, high)
    return float(np.dot(counts, (rounded - centres) ** 2) / counts.sum())
