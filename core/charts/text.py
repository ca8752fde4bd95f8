"""Numbers as a person reads them, always with their unit, and foreign text that must stay text."""

from __future__ import annotations

import html
import math
import re
import textwrap

MINUS = "\N{MINUS SIGN}"
_UNITS = "%|ms|s|min|h|us|dB|kB|MB|GB|B|k|M|G|points?|images?|threads?|bits?|cores"
_BEFORE_UNIT = re.compile(rf"(?<=\d) (?=(?:{_UNITS})(?![\w-]))")
BYTES = ("B", "kB", "MB", "GB")
COUNT = ("", "k", "M", "G")


def number(value: float, digits: int = 3) -> str:
    """A number with so many significant digits and no exponent: 0.612, 41.2, 1,230."""
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{places}f}".replace("-", MINUS)


def scale(value: float, units: tuple[str, ...]) -> tuple[float, str]:
    """The divisor and the unit that suit a value, in steps of a thousand."""
    divisor, index = 1.0, 0
    while abs(value) / divisor >= 1000 and index + 1 < len(units):
        divisor, index = divisor * 1000, index + 1
    return divisor, units[index]


def quantity(value: float, units: tuple[str, ...]) -> str:
    """A large number in the unit that suits it: 2.10 MB, 41.2 M, 17."""
    divisor, unit = scale(value, units)
    return f"{number(value / divisor) if divisor > 1 else f'{value:,.0f}'} {unit}".strip()


def times(factor: float) -> str:
    """How many times as fast: 1.96×, in as many digits as a bound of its interval."""
    return f"{number(factor)}×"


def signed(value: float, places: int = 1) -> str:
    """A number that always carries its sign: +0.1, −0.9, ±0.0."""
    text = f"{abs(value):.{places}f}"
    if float(text) == 0:
        return f"±{text}"
    return f"{'+' if value > 0 else MINUS}{text}"


def percent_change(before: float, after: float) -> str:
    """How much smaller or larger: −71 %; empty if there is nothing to compare with."""
    if before == 0:
        return ""
    change = 100 * (after / before - 1)
    return f"{signed(change, 0 if abs(change) >= 1 else 1)} %"


def span(low: float | None, high: float | None, digits: int = 3) -> str:
    """An interval: 0.51–0.55; empty where there is none."""
    if low is None or high is None or low == high:
        return ""
    return f"{number(low, digits)}–{number(high, digits)}"


def unbroken(text: str) -> str:
    """Text in which no line ends between a number and its unit: 1.0 % stays together."""
    return _BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", text)


def escape(text: str) -> str:
    """Text from outside, safe in HTML and in Plotly's own subset of it."""
    return html.escape(text, quote=True)


def wrap(text: str, width: int = 56, lines: int = 12) -> str:
    """Escaped text broken into lines for a hover label."""
    broken = textwrap.wrap(text, width, max_lines=lines, placeholder=" …") or [""]
    return "<br>".join(escape(line) for line in broken)


def shorten(text: str, width: int) -> str:
    """Text cut to so many characters, on one line, not escaped."""
    flat = " ".join(text.split())
    return flat if len(flat) <= width else f"{flat[: width - 1].rstrip()}…"
