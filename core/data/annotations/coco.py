"""COCO detection annotations: `annotations.json` beside the images, boxes with a category.

`images` names the files with their sizes, `annotations` holds boxes [left, top, width, height] in
pixels, `categories` the classes. A class is the place of its category among the identifiers in
rising order, which is how detectors trained on COCO count their 80 classes. Images that the set
lacks are left out, and that is said; an image that the file does not list is an error.
Source: Lin et al. 2014, arXiv 1405.0312; the format of cocodataset.org.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from core.data.annotations import Boxes, ImageBoxes
from core.errors import DataError
from core.records import parse_json

FILE = "annotations.json"
MOST_BYTES = 64 << 20
MOST_BOXES = 1_000_000
MOST_CATEGORIES = 10_000
HIGHEST_ID = 1 << 53
SLACK = 1.0  # pixels that a box may lie outside its image: tools round


class _Reader:
    """What is wrong is said of the set and the file, at the place where it is found."""

    def __init__(self, name: str) -> None:
        self._name = name

    def error(self, words: str) -> DataError:
        return DataError(
            f"{self._name}: {FILE} {words}.",
            "It takes the form of COCO detection: images, annotations with bbox, categories.",
        )

    def content(self, content: bytes) -> Mapping[str, Any]:
        if len(content) > MOST_BYTES:
            raise self.error(f"is larger than {MOST_BYTES >> 20} MiB")
        try:
            found = parse_json(content)
        except (ValueError, UnicodeDecodeError) as error:
            raise self.error(f"is no readable JSON ({str(error)[:80]})") from None
        if not isinstance(found, dict):
            raise self.error("holds no object")
        return found

    def rows(self, whole: Mapping[str, Any], key: str, most: int) -> list[Mapping[str, Any]]:
        found = whole.get(key)
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise self.error(f"has no list of {key}")
        if len(found) > most:
            raise self.error(f"holds {len(found):,} {key}; {most:,} are the limit")
        return found

    def whole(self, row: Mapping[str, Any], key: str, what: str) -> int:
        value = row.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > HIGHEST_ID:
            raise self.error(f"has {what} whose {key} is {str(value)[:40]!r}, not a whole number")
        return value


def read_from(content: Callable[[str], bytes], files: Sequence[str], name: str) -> Boxes:
    """The boxes of each of `files`, of the set's own file; `content` gives the bytes of one.

    Raises:
        DataError: what is wrong with the file, and where.
    """
    return read(content(FILE), files, name)


def read(content: bytes, files: Sequence[str], name: str) -> Boxes:
    """The boxes of each of `files`.

    Raises:
        DataError: what is wrong with the file, and where.
    """
    reader = _Reader(name)
    whole = reader.content(content)
    categories = _categories(reader, whole)
    listed = _images(reader, whole, files)
    sizes = {number: size for number, size in listed.values()}
    found: dict[int, list[tuple[tuple[float, ...], int, bool]]] = {n: [] for n in sizes}
    known = {reader.whole(row, "id", "an image") for row in reader.rows(whole, "images", 1 << 20)}
    for row in reader.rows(whole, "annotations", MOST_BOXES):
        number = reader.whole(row, "image_id", "a box")
        if number not in known:
            raise reader.error(f"has a box on the image {number}, which it does not list")
        if number in found:
            found[number].append(_box(reader, row, sizes[number], categories))
    return Boxes(
        tuple(_of_image(listed[file][1], found[listed[file][0]]) for file in files),
        tuple(categories),
    )


def _categories(reader: _Reader, whole: Mapping[str, Any]) -> dict[int, int]:
    rows = reader.rows(whole, "categories", MOST_CATEGORIES)
    numbers = [reader.whole(row, "id", "a category") for row in rows]
    if not numbers or len(set(numbers)) < len(numbers):
        raise reader.error("has no categories, or one of them twice")
    return {number: place for place, number in enumerate(sorted(numbers))}


def _images(
    reader: _Reader, whole: Mapping[str, Any], files: Sequence[str]
) -> dict[str, tuple[int, tuple[int, int]]]:
    """Identifier and (H, W) of each file, found by its path, else by its bare name."""
    by_path: dict[str, Mapping[str, Any]] = {}
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for row in reader.rows(whole, "images", 1 << 20):
        path = str(row.get("file_name", ""))
        by_path[path] = row
        by_name.setdefault(PurePosixPath(path).name, []).append(row)
    found, taken = {}, set()
    for file in files:
        bare = by_name.get(PurePosixPath(file).name, [])
        if file not in by_path and len(bare) != 1:
            raise reader.error(f"does not list the image {file[:80]!r}")
        row = by_path[file] if file in by_path else bare[0]
        number = reader.whole(row, "id", "an image")
        if number in taken:
            raise reader.error(f"gives two images the id {number}")
        taken.add(number)
        height, width = (reader.whole(row, side, f"the image {number}")
                         for side in ("height", "width"))  # fmt: skip
        found[file] = number, (height, width)
    return found


def _box(
    reader: _Reader, row: Mapping[str, Any], size: tuple[int, int], categories: Mapping[int, int]
) -> tuple[tuple[float, ...], int, bool]:
    category = reader.whole(row, "category_id", "a box")
    if category not in categories:
        raise reader.error(f"has a box of the category {category}, which it does not list")
    bbox = row.get("bbox")
    numbers = bbox if isinstance(bbox, list) and len(bbox) == 4 else [math.nan]
    if not all(isinstance(v, int | float) and abs(v) < 1 << 31 for v in numbers):
        raise reader.error(f"has a bbox {str(bbox)[:60]}; it takes [left, top, width, height]")
    left, top, width, height = map(float, numbers)
    right, bottom = left + width, top + height
    outside = min(left, top) < -SLACK or right > size[1] + SLACK or bottom > size[0] + SLACK
    if width < 0 or height < 0 or outside:
        raise reader.error(
            f"has a bbox {[left, top, width, height]} that does not lie in its image of "
            f"{size[1]} x {size[0]} pixels"
        )
    return (left, top, right, bottom), categories[category], bool(row.get("iscrowd", 0))


def _of_image(
    size: tuple[int, int], boxes: Sequence[tuple[tuple[float, ...], int, bool]]
) -> ImageBoxes:
    return ImageBoxes(
        size,
        np.array([corners for corners, _, _ in boxes], np.float64).reshape(-1, 4),
        np.array([category for _, category, _ in boxes], np.int64),
        np.array([crowd for _, _, crowd in boxes], np.bool_),
    )
