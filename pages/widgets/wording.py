"""Numbers with their units, and foreign text that must stay text."""

from __future__ import annotations

import html
import math
import re

MINUS = "\N{MINUS SIGN}"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&])")


def plain(text: str) -> str:
    """Text from outside (a file name, an error), made safe for a Markdown element."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def escape(text: str) -> str:
    """Text from outside, made safe for an HTML element."""
    return html.escape(text, quote=True)


def number(value: float, digits: int = 3) -> str:
    """A number with so many significant digits and no exponent: 0.612, 41.2, 1230."""
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:.{places}f}".replace("-", MINUS)


def scaled(value: float, units: tuple[str, ...]) -> tuple[float, str]:
    """The divisor and the unit that suit a value, in steps of a thousand."""
    divisor, index = 1.0, 0
    while abs(value) / divisor >= 1000 and index + 1 < len(units):
        divisor, index = divisor * 1000, index + 1
    return divisor, units[index]


BYTES = ("B", "kB", "MB", "GB")
COUNT = ("", "k", "M", "G")


def size(value: float) -> str:
    """Bytes in the unit that suits them: 2.10 MB."""
    divisor, unit = scaled(value, BYTES)
    return f"{number(value / divisor)} {unit}"


def count(value: float) -> str:
    """A large count: 41.2 M."""
    divisor, unit = scaled(value, COUNT)
    return f"{number(value / divisor) if divisor > 1 else f'{value:.0f}'} {unit}".strip()


def change(before: float, after: float, units: tuple[str, ...]) -> str:
    """Before and after in one unit: 2.10 -> 0.612 MB; one number if nothing changed."""
    divisor, unit = scaled(max(before, after), units)
    first, second = number(before / divisor), number(after / divisor)
    text = first if before == after else f"{first} \N{RIGHTWARDS ARROW} {second}"
    return f"{text} {unit}".strip()


def signed(value: float, places: int = 1) -> str:
    """A number that always carries its sign: +0.1, −0.9, ±0.0."""
    text = f"{abs(value):.{places}f}"
    if float(text) == 0:
        return f"±{text}"
    return f"{'+' if value > 0 else MINUS}{text}"


def percent_change(before: float, after: float) -> str:
    """How much smaller or larger, in percent: −71 %."""
    if before == 0 or before == after:
        return "unchanged"
    ratio = 100 * (after / before - 1)
    return f"{signed(ratio, 0 if abs(ratio) >= 1 else 1)} %"


def duration(seconds: float) -> str:
    """A rough span of time for a person: 12 s, 3 min."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"
