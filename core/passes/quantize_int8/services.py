"""What may come with the calibration data: made-up images, another runtime, a stopwatch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from core.compress.quantization.evaluator import Backend
from core.compress.quantization.mixed_precision.timing_ratio import Lap, Race
from core.errors import BackendUnavailable
from core.passes.base import Statistics

OTHER_RUNTIMES = frozenset({"openvino", "opencv"})  # whose outputs ONNX Runtime cannot tell


def made_up_of(statistics: Statistics) -> Statistics | None:
    """Made-up images, if what stands for the missing ones can make some."""
    make: Callable[[], Statistics | None] | None = getattr(statistics, "made_up", None)
    return make() if make else None


def guessed_of(made_up: Statistics | None) -> bool:
    """Whether made-up images rest on a guess of how pixels become inputs."""
    return bool(getattr(made_up, "guessed", False))


def maker_of(statistics: Statistics) -> Callable[[str], Backend] | None:
    """What makes a runtime that graphs are run on, if such came with the calibration data."""
    return getattr(statistics, "elsewhere", None)


def backend_of(statistics: Statistics, name: str) -> Backend | None:
    """Runs graphs on another runtime than ONNX Runtime, if the data can and it is here."""
    make = maker_of(statistics)
    if make is None or name not in OTHER_RUNTIMES:
        return None
    try:
        return make(name)
    except BackendUnavailable:
        return None  # the race says so


def race_of(statistics: Statistics, backend: str) -> Race | None:
    """The stopwatch for a backend that came with the calibration data, if one did."""
    race: Callable[..., Sequence[Lap]] | None = getattr(statistics, "race", None)
    return functools.partial(race, backend=backend) if race else None
