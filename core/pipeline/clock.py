"""Where a build is, and how long a step that works for long will still take.

Shares of work are not shares of time: what is left is estimated from the pace so far, and an
estimate that jumps is approached, not followed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from core.devices.local import Progress
from core.errors import NotEnoughMemory
from core.passes.base import label
from core.records import Json, Step

SHARE_TO_TELL_BY = 0.05  # of a step: what the first moments took says little of the rest
SECONDS_TO_TELL_BY = 3.0
PATIENCE = 5.0  # an estimate of s seconds is approached over s / PATIENCE, near the end sooner
LEAST_PATIENCE_S = 4.0


class Steady:
    """An estimate of the seconds left that is approached where it jumps, not followed."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Nothing was told yet."""
        self._now = now
        self._told: float | None = None
        self._told_at = 0.0

    def follow(self, found: float, share: float) -> float:
        """What to tell where `found` seconds are expected once `share`, 0 to 1, is done."""
        now = self._now()
        if self._told is not None:
            passed = now - self._told_at
            expected = max(0.0, self._told - passed)
            shorter = min(expected, found)  # an overestimate comes down while there is time
            over = max(LEAST_PATIENCE_S, shorter * (1 - share) / PATIENCE)
            found = expected + (found - expected) * (1 - math.exp(-passed / over))
        self._told, self._told_at = found, now
        return found


class Remaining:
    """Seconds left of work whose share done is told now and then."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """The work begins."""
        self._now, self._begun = now, now()
        self._steady = Steady(now)

    def after(self, share: float) -> float | None:
        """What is left once `share` is done, 0 to 1; None while nothing can be said."""
        now = self._now()
        elapsed = now - self._begun
        if share < SHARE_TO_TELL_BY or elapsed < SECONDS_TO_TELL_BY:
            return None
        return self._steady.follow(elapsed * max(0.0, 1 - share) / share, share)


class Told:
    """What work says of itself, as messages for who waits for it."""

    def __init__(self, progress: Progress, whose: str = "", suffix: str = "") -> None:
        """The work begins; `whose` it is stands before each sentence, `suffix` after the time."""
        self._progress, self._whose, self._suffix = progress, whose, suffix
        self._remaining = Remaining()

    def __call__(self, sentence: str, share: float) -> None:
        """What is done now, and the share of the whole that is done, 0 to 1."""
        message: Json = {"current": f"{self._whose}{sentence}", "share": share}
        left = self._remaining.after(share)
        if left is not None:
            message["current"] += f", {duration(left)} left{self._suffix}"
            message["eta_s"] = left
        self._progress(message)


class Clock:
    """Turns what a build does into messages for who waits for it."""

    def __init__(self, progress: Progress) -> None:
        """Nothing is done yet."""
        self._progress, self._told = progress, Told(progress)

    def wait(self) -> None:
        """Called while something else on this machine is being measured."""
        self._progress({"current": "waiting for another measurement on this machine"})

    def refused(self, step: Step, reason: NotEnoughMemory) -> None:
        """A step will not run; said before the others start."""
        notice = f"{label(step)} will not be applied: {reason.message} {reason.remedy}"
        self._progress({"current": label(step), "notice": notice})

    def begin(self, step: Step) -> None:
        """A step starts."""
        self._told = Told(self._progress, f"{label(step)}: ", " in this step")
        self._progress({"current": label(step)})

    def during(self, step: Step, sentence: str, share: float) -> None:
        """A step says what it does and how much of it is done."""
        self._told(sentence, share)


def duration(seconds: float) -> str:
    """About how long, no more exactly than it is known: "about 40 s", "about 4 min"."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 100:
        return f"about {round(seconds / 10) * 10} s"
    return f"about {max(2, round(seconds / 60))} min"
