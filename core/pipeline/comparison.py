"""Comparison of what two graphs computed: every type of number, with room for rounding only."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from core.errors import PassPostcondition

LARGEST_ERROR = 1e-2  # root mean square of the difference, relative to the original's
LARGEST_ERROR_BEHIND_ROUNDING = 0.1  # levels that flip, here and there
FLOOR = 1e-6


class Kind(enum.Enum):
    """How closely an output must stay what it was."""

    SAME = "but for rounding errors"
    ROUNDED = "but for levels that flip"
    FREE = "finite where it was"


def compare(name: str, before: Any, after: Any, kind: Kind) -> None:
    """Hold `after` to `before`: arrays, or sequences of arrays.

    Raises:
        PassPostcondition: no longer finite, of another shape, or different by more than `kind`.
    """
    if isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after) and kind is Kind.SAME:
            raise PassPostcondition(
                f"Output {name!r} holds {len(after)} tensors instead of {len(before)}."
            )
        for old, new in zip(before, after, strict=False):
            compare(name, old, new, kind)
        return
    old, new = _real(before), _real(after)
    if old is None or new is None:
        return
    if np.isfinite(old).all() and not np.isfinite(new).all():
        raise PassPostcondition(f"Output {name!r} is no longer finite (NaN or infinity).")
    if kind is not Kind.FREE:
        _same(name, old, new, LARGEST_ERROR if kind is Kind.SAME else LARGEST_ERROR_BEHIND_ROUNDING)


def _same(name: str, old: Any, new: Any, largest: float) -> None:
    if old.shape != new.shape:
        raise PassPostcondition(
            f"Output {name!r} has the shape {list(new.shape)} instead of {list(old.shape)}."
        )
    finite = np.isfinite(old) & np.isfinite(new)
    if not finite.any():
        return
    error = np.sqrt(np.mean((old[finite] - new[finite]) ** 2))
    size = np.sqrt(np.mean(old[finite] ** 2))
    if error > largest * max(size, FLOOR):
        raise PassPostcondition(
            f"Output {name!r} changed by {error:.3g} (root mean square; it is {size:.3g} itself), "
            "which is more than rounding."
        )


def _real(array: Any) -> Any:
    """The numbers in double precision; None for texts and what is no array."""
    if not isinstance(array, np.ndarray) or array.dtype.kind in "OSU":
        return None
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        return None
