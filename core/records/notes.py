"""Note: what a pass found, as a code and its values; `core.wording` makes the sentence."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TEXT = "text"  # the code of a ready-made sentence


@dataclass(frozen=True, slots=True)
class Note:
    """What is stored with a run and counted, compared or put in words by whoever reads it.

    Attributes:
        code: names the sentence, "int8.ranges".
        values: what it is filled with: numbers, names, truths, notes and lists of these.
    """

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.code)

    @classmethod
    def of(cls, code: str, **values: Any) -> Note:
        """A note of plain values: numbers of any library become Python's own."""
        return cls(code, {name: _plain(value) for name, value in values.items()})

    @classmethod
    def text(cls, sentence: str) -> Note:
        """A ready-made sentence, as runs of version 0.1.0 stored them."""
        return cls(TEXT, {TEXT: sentence})


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | str | Note):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    raise TypeError(f"a note holds no {type(value).__name__}")
