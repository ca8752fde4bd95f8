"""Which class an image file belongs to: from a `labels.csv`, or from the folder that it lies in."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import PurePosixPath

from core.errors import DataError

LABELS_FILE = "labels.csv"
HIGHEST = 1 << 20


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


def from_csv(text: str, files: Sequence[str], name: str) -> list[int]:
    """The class of each of `files`; labels that are words are numbered in sorted order.

    Raises:
        DataError: a row that makes no sense, or an image and a row that do not meet.
    """
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if rows and [cell.strip().casefold() for cell in rows[0][:2]] == ["file", "label"]:
        rows = rows[1:]
    found: dict[str, str] = {}
    for row in rows:
        if len(row) < 2:
            raise DataError(f"{name}: {LABELS_FILE} has a row without a label: {row!r}.")
        file, label = row[0].strip(), row[1].strip()
        if found.setdefault(file, label) != label:
            raise DataError(f"{name}: {LABELS_FILE} gives {file!r} two labels.")
    known = set(files)
    if strange := [file for file in found if file not in known]:
        raise DataError(
            f"{name}: {LABELS_FILE} names {strange[0]!r} ({len(strange)} in all), which is not an "
            "image of the set."
        )
    if missing := [file for file in files if file not in found]:
        raise DataError(
            f"{name}: {len(missing)} images have no row in {LABELS_FILE}, {missing[0]!r} first."
        )
    return _numbered([found[file] for file in files], name)


def from_folders(files: Sequence[str], name: str) -> list[int] | None:
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
    return _numbered([folder[0] for folder in folders], name)


def _numbered(words: list[str], name: str) -> list[int]:
    if all(word.isascii() and word.isdigit() for word in words):
        numbers = [int(word) for word in words]
        if max(numbers, default=0) > HIGHEST:
            raise DataError(f"{name}: {max(numbers)} is too large for a class number.")
        return numbers
    order = {word: index for index, word in enumerate(sorted(set(words)))}
    return [order[word] for word in words]
