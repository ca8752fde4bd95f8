"""Numbers in a sentence, and foreign text that must stay text."""

from __future__ import annotations

import re

from core.charts import text as texts
from core.charts.text import (
    BYTES,
    COUNT,
    MINUS,
    number,
    percent_change,
    quantity,
    scale,
    unbroken,
)
from core.recipes import apart
from core.records import OPEN_SHAPE

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&])")


def plain(text: str) -> str:
    """Text from outside (a file name, an error), made safe for a Markdown element."""
    return _MARKDOWN.sub(r"\\\1", unbroken(" ".join(text.split())))


def escape(text: str) -> str:
    """Text from outside, safe in HTML, no number apart from its unit."""
    return texts.escape(unbroken(text))


def size(value: float) -> str:
    """Bytes in the unit that suits them: 2.10 MB."""
    return quantity(value, BYTES)


def count(value: float | None) -> str:
    """A large count: 41.2 M; None is one that an open shape hides."""
    if value is None:
        return OPEN_SHAPE
    return quantity(value, COUNT)


def change(before: float, after: float, units: tuple[str, ...]) -> str:
    """Before and after in one unit: 2.10 -> 0.612 MB; one number if nothing changed."""
    divisor, unit = scale(max(before, after), units)
    first, second = number(before / divisor), number(after / divisor)
    text = first if before == after else f"{first} \N{RIGHTWARDS ARROW} {second}"
    return f"{text} {unit}".strip()


def duration(seconds: float) -> str:
    """A rough span of time for a person: 12 s, 3 min."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def moment(created: str) -> str:
    """When something was measured, of its time in ISO 8601: 2026-11-29 08:26."""
    return created[:16].replace("T", " ")


__all__ = [
    "BYTES", "COUNT", "MINUS", "apart", "change", "count", "duration", "escape", "moment", "number",
    "percent_change", "plain", "quantity", "size", "unbroken",
]  # fmt: skip
