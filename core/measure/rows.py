"""Rows of results: from numbers, and from the errors that stand where a number should be.

Where they come from (`Target`) is said by who asked for them on a device: `core.runs.plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import BackendUnavailable, CoreError
from core.metrics.base.intervals import Interval
from core.records import Measurement, Status


def measured(
    candidate: str,
    backend: str,
    metric: str,
    interval: Interval,
    clock: str = "exact",
    condition: Mapping[str, str] | None = None,
    detail: Mapping[str, Any] | None = None,
    unstable: str = "",
) -> Measurement:
    """A number with its interval; `unstable` says why it is worth less than it should."""
    status = Status.UNSTABLE if unstable else Status.OK
    return Measurement(
        candidate, backend, metric, *interval, status, unstable, clock,
        condition=dict(condition or {}), detail=dict(detail or {}),
    )  # fmt: skip


def exact(candidate: str, metric: str, value: float) -> Measurement:
    """A number that is counted, not sampled."""
    return measured(candidate, "", metric, Interval(value, value, value))


def unknown(candidate: str, metric: str, reason: str) -> Measurement:
    """What cannot be counted: never a number."""
    return Measurement(candidate, "", metric, None, None, None, Status.UNAVAILABLE, reason)


def failed(
    candidate: str,
    backend: str,
    metric: str,
    error: CoreError,
    condition: Mapping[str, str] | None = None,
) -> Measurement:
    """The reason why there is no number; the kind of the error is `detail.error`."""
    missing = isinstance(error, BackendUnavailable)
    status = Status.UNAVAILABLE if missing else Status.FAILED
    reason = f"{error.message} {error.remedy}".strip()
    return Measurement(
        candidate, backend, metric, None, None, None, status, reason, "",
        condition=dict(condition or {}), detail={"error": error.code},
    )  # fmt: skip


def no_data(candidate: str, backend: str, metric: str) -> Measurement:
    """No images were given: never a number."""
    return Measurement(candidate, backend, metric, None, None, None, Status.UNAVAILABLE, "no data")
