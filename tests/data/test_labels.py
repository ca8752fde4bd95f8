"""Labels: tables as spreadsheets write them; whole numbers stay themselves; words are said."""

from __future__ import annotations

import pytest

from core.data.annotations import class_folders, labels_csv
from core.errors import DataError

FILES = ("a.png", "b.png", "é.png")
NUMBERS = "a.png,10\nb.png,2\né.png,0\n"

TABLES = {
    "plain": NUMBERS.encode(),
    "a header": ("filename,class\n" + NUMBERS).encode(),
    "another header": ("Image,Label\n" + NUMBERS).encode(),
    "whole floats": "a.png,10.0\nb.png,2.0\né.png,0.0\n".encode(),
    "semicolons": NUMBERS.replace(",", ";").encode(),
    "tabs": NUMBERS.replace(",", "\t").encode(),
    "a byte order mark": NUMBERS.encode("utf-8-sig"),
    "UTF-16": NUMBERS.encode("utf-16"),
    "Latin-1": NUMBERS.encode("latin-1"),
    "blank lines": ("\n" + NUMBERS + "\n\n").encode(),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_spreadsheets_table_gives_its_numbers(name: str) -> None:
    found = labels_csv.read(TABLES[name], FILES, "set")
    assert found.classes == (10, 2, 0)
    assert found.notes == ()


def test_words_are_numbered_in_sorted_order_and_that_is_said() -> None:
    found = labels_csv.read("a.png,dog\nb.png,cat\né.png,dog\n".encode(), FILES, "set")
    assert found.classes == (1, 0, 1)
    assert "0 = cat, 1 = dog" in found.notes[0]
    folders = class_folders.read(("dog/1.png", "ant/2.png"), "set")
    assert folders is not None
    assert folders.classes == (1, 0)
    assert "0 = ant, 1 = dog" in folders.notes[0]


REFUSED = {
    "below zero": ("a.png,-1\nb.png,0\né.png,1\n", "-1 is no class"),
    "half a class": ("a.png,0.5\nb.png,0\né.png,1\n", "mix numbers with '0.5'"),
    "numbers and words": ("a.png,cat\nb.png,0\né.png,1\n", "mix numbers with 'cat'"),
    "too large": ("a.png,99999999\nb.png,0\né.png,1\n", "too large"),
    "a field without end": ("a.png," + "9" * 140_000 + "\nb.png,0\né.png,1\n", "read as a table"),
    "no label": ("a.png\nb.png,0\né.png,1\n", "without a label"),
    "another file": ("a.png,1\nb.png,0\né.png,1\nz.png,1\n", "not an image of the set"),
    "two labels": ("a.png,1\na.png,2\nb.png,0\né.png,1\n", "two labels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_with_the_reason(name: str) -> None:
    text, reason = REFUSED[name]
    with pytest.raises(DataError, match=reason):
        labels_csv.read(text.encode(), FILES, "set")


def test_binary_is_no_table() -> None:
    with pytest.raises(DataError, match="not a text file"):
        labels_csv.read(b"\x93\x00\x80\xff", FILES, "set")
