"""Constraints: what a recipe may lose and how long it may take; what is unknown meets no limit."""

from __future__ import annotations

from dataclasses import dataclass

from core.search.loss import Loss


@dataclass(frozen=True, slots=True)
class Limits:
    """What is asked of a recipe beside being fast.

    Attributes:
        max_drop: points of the primary metric, without annotations percent of changed answers, that
            may be lost at most; None for no loss that is shown.
        max_latency_ms: None for any.
    """

    max_drop: float | None = None
    max_latency_ms: float | None = None

    def bear(self, lost: Loss | None) -> bool:
        """Whether a loss is within the limit."""
        if lost is None:
            return False
        return not lost.is_shown if self.max_drop is None else lost.points <= self.max_drop

    def allow(self, latency_ms: float | None) -> bool:
        """Whether a latency is within the limit."""
        if self.max_latency_ms is None:
            return True
        return latency_ms is not None and latency_ms <= self.max_latency_ms
