"""Numbers, what they are worth, and where they were taken."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.records.backend_facts import Package
from core.records.targets import Host, Target


class Better(enum.Enum):
    """The direction in which a metric improves."""

    LOWER = "lower"
    HIGHER = "higher"


class Status(enum.Enum):
    """What a row of the results is worth."""

    OK = "ok"
    UNSTABLE = "unstable"  # measured, but the interval stayed wider than the protocol asks for
    UNAVAILABLE = "unavailable"  # the backend or the data is not here: nothing was tried
    FAILED = "failed"  # it was tried and failed; `reason` says how


MEASURED = (Status.OK, Status.UNSTABLE)  # rows that have a value


class Verdict(enum.Enum):
    """The answer in words to "is the candidate faster than the baseline?"."""

    FASTER = "faster"
    SAME = "same"
    SLOWER = "slower"
    NOT_ENOUGH_DATA = "not enough data"


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity: its identifier, its unit as printed, and which way is better."""

    name: str
    unit: str
    better: Better


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number, or the reason why there is none.

    Attributes:
        candidate: digest of the measured file.
        backend: `name` or `name:precision`; empty for what needs no backend (size).
        metric: name of the Metric.
        value: in the metric's unit; None unless status is OK or UNSTABLE.
        low, high: bounds of the 95 % interval; equal to value for what is exact.
        status: what the row is worth.
        reason: for a person; always there unless status is OK.
        clock: which clock or counter gave it ("perf_counter", "process_time", "exact", ...).
        target: the device, backend and version that it comes from; None for what needs no backend.
        condition: what else must be equal for two rows to be comparable (threads, data, baseline).
        detail: further facts of the same measurement (p90, p99, samples, flips, verdict).
    """

    candidate: str
    backend: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    status: Status
    reason: str = ""
    clock: str = "exact"
    target: Target | None = None
    condition: Mapping[str, str] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a backend is asked to run: thread count and arithmetic precision."""

    threads: int = 1
    precision: str = "f32"


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """A backend as it is here: usable (`reason` empty) or not, with the command that brings it.

    `accepts` are the file formats that it reads, the default one first; `int8_does` says what
    really happens to an int8 file; `profiles` whether it tells how long its layers take.
    """

    name: str
    label: str
    about: str
    precisions: tuple[str, ...]
    version: str = ""
    device: str = ""
    reason: str = ""
    remedy: str = ""
    accepts: tuple[str, ...] = ("onnx",)
    int8_does: str = ""
    package: Package | None = None
    profiles: bool = False


@dataclass(frozen=True, slots=True)
class Described:
    """What a worker says of where it runs: the machine, its backends, bytes free for a model."""

    host: Host
    backends: tuple[BackendInfo, ...]
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device; `described` is None where it does not answer, for the `reason`."""

    name: str
    label: str
    about: str
    described: Described | None
    reason: str = ""
