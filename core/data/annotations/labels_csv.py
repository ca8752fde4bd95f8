"""Class labels by a table, `labels.csv`: one line for each image, file and label.

Tables come as spreadsheets write them: UTF-8, UTF-16 or Latin-1; commas, semicolons or tabs; with
or without a header.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from core.data.annotations.class_numbers import Labelling, classes_of
from core.errors import DataError

LABELS_FILE = "labels.csv"
DELIMITERS = ",;\t"
HEADS = frozenset({"file", "filename", "file_name", "path", "image", "img", "name", "id"})
TITLES = frozenset({"label", "labels", "class", "class_id", "category", "target"})
BYTE_ORDERS = (b"\xff\xfe", b"\xfe\xff")


def read(content: bytes, files: Sequence[str], name: str) -> Labelling:
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
    return classes_of([found[file] for file in files], name, f"The labels of {LABELS_FILE}")


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
