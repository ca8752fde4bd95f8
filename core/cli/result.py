"""What a command answers: JSON data and the same as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.records import OPEN_SHAPE, Json

PARTLY = 3  # some of what was asked for failed, the rest is there
HELP_OF_JSON = "print one JSON object"


@dataclass(frozen=True, slots=True)
class Result:
    """The answer of a command, for scripts and for people.

    Attributes:
        warnings: lines for stderr: what was asked for and is not in the answer.
        status: the exit status.
    """

    data: Json
    text: str
    warnings: tuple[str, ...] = ()
    status: int = 0


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns aligned by spaces; control characters of foreign names are dropped."""
    cells = [[_printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(line.rstrip() for line in lines)


def count(value: float | None) -> str:
    """A count with a short unit: 1234567 -> "1.23 M"; None is one that an open shape hides."""
    if value is None:
        return OPEN_SHAPE
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.2f} {unit}"
    return f"{value:.0f}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
