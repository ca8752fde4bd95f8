"""Sentences on what to do next: how a recipe stands, and what a change of it may bring."""

from __future__ import annotations

from collections.abc import Mapping

from core.records import AccuracyForecast
from core.wording.template import Template, Values


def _loses(v: Values) -> str:
    if v["allowed"] is None:
        return f"It loses accuracy on {v['backend']}. What may lose less:"
    points = f"{v['allowed']:g} point{'s' * (v['allowed'] != 1)}"
    return f"It is not shown to lose at most {points} on {v['backend']}. What may lose less:"


def _no_gain(v: Values) -> str:
    if v["slower"]:
        return f"It is slower than the original on {v['backend']}. What may be faster:"
    return f"No gain is shown on {v['backend']}. What may bring one:"


def _gains(v: Values) -> str:
    gain = "Smaller" if v["smaller"] else "Faster"
    if v["unknown"]:
        return f"{gain} on {v['backend']}; what it loses is not known. What may gain more:"
    return f"{gain} on {v['backend']}, within what it may lose. What may gain more:"


SENTENCES: Mapping[str, Template] = {
    "next.unchanged": lambda v: (
        "This is the original model. What may "
        + ("make it smaller:" if v["smaller"] else "gain time:")
    ),
    "next.loses": _loses,
    "next.no_gain": _no_gain,
    "next.untimed": "It has no time on {backend}. What may run there:",
    "next.gains": _gains,
    "next.add": "Add {added}",
    "next.instead": "{then} instead of {now}",
    "next.safer": "{then} instead of {now}",
    "next.leave": lambda v: f"Leave {v['layer']} alone",
    "next.mend": "Add {added}",
    "next.aim": "{what} for {backend} instead of {now}",
    "next.drop": "Leave out {what}",
}

WHY: Mapping[str, Template] = {
    "next.add": "No forecast: measure it.",
    "next.instead": "Loses less, and gains less.",
    "next.safer": "Repairs what rounding loses. No forecast.",
    "next.leave": "Of the error of all layers, each changed alone, {share:.0f} % is this one's.",
    "next.mend": "Trains on the calibration images, without labels. No forecast.",
    "next.aim": "It was written for {now}.",
    "next.drop": "What remains is computed in float.",
}


def forecast_words(expected: AccuracyForecast) -> str:
    """A forecast as it stands beside a change: never like a measurement."""
    return (
        f"Forecast: about {expected.agreement:.1f} % of the answers stay "
        f"({expected.low:.1f} … {expected.high:.1f} %)."
    )
