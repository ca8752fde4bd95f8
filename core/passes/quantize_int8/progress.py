"""How far a quantization is: stages with their share of the whole, images run within each."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from core.passes.base import Report

PAUSE_S = 1.0  # between two reports


@dataclass
class Progress:
    """Tells a report what is being done.

    A stage is as far as the images that have gone through some graph are of those that it is
    expected to take. It waits at its end where it takes more.
    """

    report: Report
    _sentence: str = ""
    _start: float = 0.0
    _end: float = 0.0
    _expected: int = 1
    _done: int = 0
    _told_at: float = field(default_factory=time.monotonic)

    def stage(self, sentence: str, start: float, end: float, images: int) -> None:
        """Begin a stage.

        Args:
            sentence: what it does.
            start: share of the whole that is done.
            end: the same after it.
            images: runs of one image that it takes, about.
        """
        self._sentence, self._start, self._end = sentence, start, end
        self._expected, self._done = max(images, 1), 0
        self._tell()

    def say(self, sentence: str) -> None:
        """Within a stage: what it does now."""
        self._sentence = sentence
        self._tell()

    def ran(self, images: int) -> None:
        """So many images have gone through a graph."""
        self._done += images
        if time.monotonic() - self._told_at >= PAUSE_S:
            self._tell()

    def _tell(self) -> None:
        within = min(self._done / self._expected, 1.0)
        self.report.tell(self._sentence, self._start + (self._end - self._start) * within)
        self._told_at = time.monotonic()
