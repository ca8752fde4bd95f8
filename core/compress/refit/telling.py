"""Progress: what works for long says what it does, and what share of it is done."""

from __future__ import annotations

from collections.abc import Callable

Tell = Callable[[str, float], None]  # a sentence; the share that is done, 0 to 1


def silent(sentence: str, share: float) -> None:
    """Nobody listens."""


def part(tell: Tell, start: float, end: float) -> Tell:
    """For a piece of the work that goes from one share of the whole to another."""
    return lambda sentence, share: tell(sentence, start + (end - start) * min(max(share, 0.0), 1.0))
