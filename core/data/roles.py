"""Roles of image sets: which one calibrates passes, and which one accuracy is measured on."""

from __future__ import annotations

import re

from core.records import DataSummary

_CALIBRATING = re.compile(r"calib|train", re.IGNORECASE)


def halves(count: int) -> tuple[int, int]:
    """How many images calibrate and how many evaluate, where one set serves for both."""
    return count - count // 2, count // 2


def assigned(
    fresh: DataSummary, calibrates: DataSummary | None, evaluates: DataSummary | None
) -> tuple[DataSummary | None, DataSummary | None]:
    """The sets that calibrate and evaluate once a new one has come.

    A set alone serves for both, if it can be split. Of two, labelled images evaluate and others
    calibrate; where that tells nothing, a name does ("train", "calibration"), and else the newer
    one evaluates.

    Args:
        fresh: the new set.
        calibrates: until now; None for none.
        evaluates: until now; None for none.
    """
    if calibrates is None and evaluates is None:
        return fresh if fresh.count > 1 else None, fresh
    if evaluates is not None and _calibrating(fresh) > _calibrating(evaluates):
        return fresh, evaluates
    if calibrates is None or calibrates is evaluates:
        calibrates = evaluates
    return calibrates, fresh


def _calibrating(data: DataSummary) -> tuple[bool, bool]:
    """How much speaks for calibrating with a set rather than measuring accuracy on it."""
    return not data.is_annotated, bool(_CALIBRATING.search(data.name))
