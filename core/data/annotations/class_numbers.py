"""Class labels: words or numbers -> class numbers.

Classes are numbers where every label is a whole one (`3`, `3.0`); else they are words, numbered in
sorted order, and that is said.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import DataError

HIGHEST = 1 << 20
NAMED = 6  # of the words that were numbered


@dataclass(frozen=True, slots=True)
class Labelling:
    """The class of each file, in their order, and what the user must know of how it was read."""

    classes: tuple[int, ...]
    notes: tuple[str, ...] = ()


def classes_of(words: list[str], name: str, what: str) -> Labelling:
    """Numbers where all words are whole numbers; else each word's place in the sorted order.

    Raises:
        DataError: numbers among words, or one that is no class.
    """
    numbers = [_number(word) for word in words]
    whole = [number for number in numbers if number is not None and number.is_integer()]
    if len(whole) == len(words):
        return Labelling(tuple(_checked(int(number), name) for number in whole))
    if whole or any(number is not None for number in numbers):
        odd = next(w for w, n in zip(words, numbers, strict=True) if n is None or n not in whole)
        raise DataError(
            f"{name}: {what} mix numbers with {odd[:80]!r}.",
            "Write whole numbers from 0 for all of them, or a word for each class.",
        )
    order = {word: index for index, word in enumerate(sorted(set(words)))}
    named = ", ".join(f"{index} = {word[:40]}" for word, index in list(order.items())[:NAMED])
    more = f" and {len(order) - NAMED:,} more" if len(order) > NAMED else ""
    note = (
        f"{what} are words; they were numbered in sorted order ({named}{more}). Right only if the "
        "model counts its classes in this order."
    )
    return Labelling(tuple(order[word] for word in words), (note,))


def _number(word: str) -> float | None:
    try:
        number = float(word) if word.isascii() and "_" not in word else None
    except ValueError:
        return None
    return number if number is not None and abs(number) < float("inf") else None


def _checked(number: int, name: str) -> int:
    if number < 0:
        raise DataError(
            f"{name}: {number} is no class: classes count from 0.",
            "Leave images without a class out of a labelled set.",
        )
    if number > HIGHEST:
        raise DataError(f"{name}: {number} is too large for a class number.")
    return number
