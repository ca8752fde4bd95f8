"""Template: what makes a sentence of a note's values, and the plural."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Values = Mapping[str, Any]
Template = str | Callable[[Values], str]


def filled(template: Template, values: Values) -> str:
    """The sentence that a template makes of these values."""
    return template.format_map(values) if isinstance(template, str) else template(values)


def plural(count: int, one: str, several: str = "") -> str:
    """`one` for 1, else `several`, or `one` with an s."""
    return one if count == 1 else several or f"{one}s"


def kept(found: bool) -> str:
    """The end of a sentence on a trial: nothing, or that it was not kept."""
    return "" if found else ", not kept"


def interval(value: tuple[float, float, float] | list[float], digits: int) -> str:
    """A value with its 95 % interval."""
    middle, low, high = value
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def many(count: int, one: str) -> str:
    """A count with its noun: 1 layer, 3 layers."""
    return f"{count} {plural(count, one)}"


def counted(number: int) -> str:
    """A large count in three digits: 147 k."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= limit:
            return f"{number / limit:.3g}{unit}"
    return str(number)
