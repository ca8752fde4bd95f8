"""Sentences of the search towards a goal: what it does not try, and why."""

from __future__ import annotations

from collections.abc import Mapping

from core.wording.template import Template

SENTENCES: Mapping[str, Template] = {
    "goal.lacks": "{label} is not tried: it is not installed here; this brings it: {command}",
    "goal.needs_images": "{label} is not tried: it needs calibration images.",
    "goal.not_for": "{label} is not tried: it is not made for {backend}.",
    "goal.quantized": "The model is quantized already: what needs float weights leaves it alone.",
}
