"""Inputs made up from a model's signature, for latency and for checks where there are no images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from core.errors import DataError
from core.records import TensorSpec

Tensors = dict[str, np.ndarray[Any, Any]]
LARGEST_BYTES = 1 << 30


def synthetic_feeds(
    specs: Sequence[TensorSpec],
    count: int,
    seed: int = 0,
    dims: Mapping[str, int] | None = None,
) -> Iterator[Tensors]:
    """`count` feeds, the same ones for the same seed.

    Floats look like normalised images, bytes like pixels, other integers are 0 or 1 (they may be
    indices), truths alternate.

    Args:
        specs: the model's inputs.
        count: how many feeds.
        seed: of the generator.
        dims: sizes of dynamic dimensions by name; 1 where none is given, which is no size to time:
            see `input_sizes`.

    Raises:
        DataError: an input of a type that cannot be made up, or larger than 1 GiB.
    """
    sizes = [_shape(spec, dims or {}) for spec in specs]
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield {spec.name: _values(spec, size, rng) for spec, size in zip(specs, sizes, strict=True)}


def _shape(spec: TensorSpec, dims: Mapping[str, int]) -> tuple[int, ...]:
    shape = tuple(d if isinstance(d, int) else dims.get(d, 1) for d in spec.shape)
    elements = 1
    for size in shape:
        elements *= size
    if elements * 8 > LARGEST_BYTES:
        raise DataError(f"Input {spec.name!r} {list(shape)} is too large to be made up.")
    return shape


def _values(
    spec: TensorSpec, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    if spec.dtype in ("float16", "float32", "float64"):
        return rng.standard_normal(shape).astype(spec.dtype)
    if spec.dtype == "uint8":
        return rng.integers(0, 256, shape, np.uint8)
    if spec.dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if spec.dtype.startswith(("int", "uint")) and spec.dtype not in ("int4", "uint4"):
        return rng.integers(0, 2, shape).astype(spec.dtype)
    raise DataError(
        f"Input {spec.name!r} is of type {spec.dtype}; no values can be made up for it."
    )
