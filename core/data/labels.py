"""Labels of image files: the class of each, by a `labels.csv` or by the folder that it lies in.

Tables come as spreadsheets write them: UTF-8, UTF-16 or Latin-1; commas, semicolons or tabs; with
or without a header. Classes are numbers where every label is a whole one (`3`, `3.0`); else they
are words, numbered in sorted order, and that is said.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from core.errors import DataError

LABELS_FILE = "labels.csv"
HIGHEST = 1 << 20
DELIMITERS = ",;\t"
HEADS = frozenset({"file", "filename", "file_name", "path", "image", "img", "name", "id"})
TITLES = frozenset({"label", "labels", "class", "class_id", "category", "target"})
NAMED = 6  # of the words that were numbered
BYTE_ORDERS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Labelling:
    """The class of each file, in their order, and what the user must know of how it was read."""

    classes: tuple[int, ...]
    notes: tuple[str, ...] = ()


def without_wrapper(paths: Sequence[str]) -> str:
    """The prefix of a single folder that merely wraps the set ("" if there is none).

    A lone folder whose name is a whole number is a class, not a wrapper.
    """
    parts = [PurePosixPath(path).parts for path in paths]
    first = {p[0] for p in parts}
    if len(first) != 1 or any(len(p) < 2 for p in parts):
        return ""
    name = first.pop()
    return "" if name.isdecimal() else f"{name}/"


def from_csv(content: bytes, files: Sequence[str], name: str) -> Labelling:
    """The class of each of `files`.

    Raises:
        DataError: a row that makes no sense, or an image and a row that do not meet.
    """
    found: dict[str, str] = {}
    for row in _rows(content, set(files), name):
        if len(row) < 2 or not row[1].strip():
            raise DataError(f"{name}: {LABELS_FILE} has a row without a label: {row[0][:80]!r}.")
        file, label = row[0].strip(), row[1].strip()
        if found.setdefault(file, label) != label:
            raise DataError(f"{name}: {LABELS_FILE} gives {file[:80]!r} two labels.")
    known = set(files)
    if strange := [file for file in found if file not in known]:
        raise DataError(
            f"{name}: {LABELS_FILE} names {strange[0][:80]!r} ({len(strange)} in all), which is "
            "not an image of the set."
        )
    if missing := [file for file in files if file not in found]:
        raise DataError(
            f"{name}: {len(missing)} images have no row in {LABELS_FILE}, {missing[0]!r} first."
        )
    return _classes([found[file] for file in files], name, f"The labels of {LABELS_FILE}")


def from_folders(files: Sequence[str], name: str) -> Labelling | None:
    """The class of each file by its folder; None for a flat set.

    Raises:
        DataError: some files lie in folders and some do not.
    """
    folders = [PurePosixPath(file).parts[:-1] for file in files]
    if not any(folders):
        return None
    if not all(folders):
        loose = next(f for f, folder in zip(files, folders, strict=True) if not folder)
        raise DataError(
            f"{name}: {loose!r} lies beside folders that name classes.",
            f"Put every image in a class folder, or list them in {LABELS_FILE}.",
        )
    return _classes([folder[0] for folder in folders], name, "The folders of classes")


def _rows(content: bytes, files: set[str], name: str) -> list[list[str]]:
    """The table without blank rows and header."""
    text = _text(content, name)
    head = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=head.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(row)]
    except csv.Error as error:
        raise DataError(
            f"{name}: {LABELS_FILE} cannot be read as a table ({error}).",
            "Write one line for each image: file,label.",
        ) from None
    first = [cell.strip().casefold() for cell in rows[0][:2]] if rows else []
    is_head = len(first) == 2 and first[0] in HEADS and first[1] in TITLES
    return rows[1:] if is_head and rows[0][0].strip() not in files else rows


def _text(content: bytes, name: str) -> str:
    """The text of a table, whichever way a spreadsheet encoded it."""
    try:
        if content[:2] in BYTE_ORDERS:
            return content.decode("utf-16")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if b"\0" in content:
            raise DataError(
                f"{name}: {LABELS_FILE} is not a text file.", "Save it as CSV (UTF-8)."
            ) from None
        return content.decode("latin-1")


def _classes(words: list[str], name: str, what: str) -> Labelling:
    """Numbers where all words are whole numbers; else each word's place in the sorted order."""
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
