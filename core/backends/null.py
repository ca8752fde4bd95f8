"""No runtime at all: what the harness itself costs when it measures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from core.backends.base import Tensors
from core.records import BackendFacts, RunOptions


class NullSession:
    """Answers at once, with nothing."""

    precision = "f32"
    settings: ClassVar[Mapping[str, str]] = {}

    def run(self, feeds: Tensors) -> Tensors:
        """Nothing."""
        del feeds
        return {}

    def close(self) -> None:
        """Nothing to free."""


class Null:
    """Loads anything, computes nothing."""

    label = "Nothing (overhead of the harness)"
    precisions = ("f32",)
    remedy = ""
    accepts: tuple[str, ...] = ("onnx",)
    about = "Shows what measuring itself costs."
    arithmetic = "none"
    facts = BackendFacts("#6f7b90", place=90, internal=True)

    def version(self) -> str:
        """The clock that is read."""
        return time.get_clock_info("perf_counter").implementation

    def device(self) -> str:
        """What it computes on."""
        return "none"

    def load(self, artifact: Path, options: RunOptions) -> NullSession:
        """A session that computes nothing."""
        del artifact, options
        return NullSession()


BACKEND = Null()
