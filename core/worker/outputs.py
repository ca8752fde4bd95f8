"""Put a backend's outputs into the order of the model's signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.backends.base import Tensors
from core.errors import InferenceFailed
from core.records import TensorSpec

Array = np.ndarray[Any, Any]


def in_order(outputs: Tensors, specs: Sequence[TensorSpec]) -> list[Array]:
    """One array per spec: by name where names match, else by position, else by shape.

    Raises:
        InferenceFailed: the backend gave too few outputs, or none that fits.
    """
    for name, output in outputs.items():
        if not isinstance(output, np.ndarray):
            raise InferenceFailed(
                f"Its output {name!r} is a sequence of tensors: neither compared nor scored here."
            )
    if all(spec.name in outputs for spec in specs):
        return [outputs[spec.name] for spec in specs]
    arrays = list(outputs.values())
    if len(arrays) != len(specs):
        raise InferenceFailed(f"It gave {len(arrays)} outputs where the model has {len(specs)}.")
    if all(_fits(a, s) for a, s in zip(arrays, specs, strict=True)):
        return arrays
    chosen: list[Array] = []
    for spec in specs:
        fitting = [i for i, array in enumerate(arrays) if _fits(array, spec)]
        if len(fitting) != 1:
            raise InferenceFailed(f"None, or more than one, of its outputs fits {spec.name}.")
        chosen.append(arrays.pop(fitting[0]))
    return chosen


def _fits(array: Array, spec: TensorSpec) -> bool:
    """Whether the known dimensions agree; runtimes may drop or add dimensions of size 1."""
    wanted = [d for d in spec.shape if d != 1]
    given = [d for d in array.shape if d != 1]
    if all(isinstance(d, int) for d in wanted):
        return given == wanted
    known = [d for d in wanted if isinstance(d, int)]
    return len(given) <= len(wanted) and all(d in given for d in known)
