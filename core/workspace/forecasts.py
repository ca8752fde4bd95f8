"""Forecasts of accuracy from measured sensitivities, and what to do where a cut costs too much."""

from core.runs.forecast import before_pruning, cutting, forecast, obstacle, uncut
from core.runs.next_steps import next_steps
from core.runs.offers import before as before_a_cut

__all__ = [
    "before_a_cut",
    "before_pruning",
    "next_steps",
    "uncut",
    "cutting",
    "forecast",
    "obstacle",
]
