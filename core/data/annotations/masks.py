"""Segmentation masks: one PNG for each image in a folder `masks/`, of the same stem and size.

Its pixels are class numbers, grey or by a palette (as PASCAL VOC writes them); 255 is ignored.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np

from core.data import pictures
from core.data.annotations import Mask, Masks
from core.errors import DataError

FOLDER = "masks"
DEPTH = 24  # the byte of a PNG that says how many bits a sample has
MODES = ("L", "P", "1")  # grey, palette, black and white


def belongs(files: Sequence[str]) -> frozenset[str]:
    """Which of the image files are masks; none where `masks/` is a folder of a class.

    Args:
        files: of a set, as relative paths.
    """
    found = frozenset(f for f in files if PurePosixPath(f).parts[0] == FOLDER and "/" in f)
    others = {PurePosixPath(f).parts[0] if "/" in f else "" for f in files if f not in found}
    is_masks = len(others) == 1 and others <= {"", "images"}
    return found if is_masks and all(f.lower().endswith(".png") for f in found) else frozenset()


def read(
    masks: frozenset[str], images: Sequence[str], content: Callable[[str], bytes], name: str
) -> Masks:
    """The mask of each image.

    Args:
        masks: their files.
        images: the image files, in the order of the set.
        content: file -> bytes.
        name: of the set.

    Raises:
        DataError: an image has no mask, or a mask no image.
    """
    by_stem = {PurePosixPath(file).stem: file for file in sorted(masks)}
    stems = [PurePosixPath(file).stem for file in images]
    if missing := [stem for stem in stems if stem not in by_stem]:
        raise DataError(
            f"{name}: {len(missing):,} images have no mask in {FOLDER}/, {missing[0]!r} first.",
            f"Put one PNG of class numbers for each image into {FOLDER}/, with its name.",
        )
    if len(set(stems)) < len(stems) or len(masks) > len(stems):
        raise DataError(
            f"{name}: {len(masks):,} masks stand beside {len(stems):,} images; each image needs "
            "one of its name."
        )
    files = [by_stem[stem] for stem in stems]
    return Masks(lambda i: decode(content(files[i]), f"{name}: {files[i]!r}"), len(files))


def decode(content: bytes, name: str) -> Mask:
    """(H, W) uint8 class numbers.

    Raises:
        DataError: not a PNG of one channel of at most 8 bits, or too large.
    """
    from PIL import Image

    height, width = pictures.measure(content, name)
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.mode not in MODES:
                raise DataError(
                    f"{name} is a {image.mode} image: a mask has one channel of class numbers from "
                    "0 to 254, and 255 where a pixel is ignored."
                )
            pixels = np.array(image, np.uint8)
            if image.mode == "L" and content[DEPTH] < 8:  # which Pillow stretches to 0 .. 255
                pixels //= 255 // ((1 << content[DEPTH]) - 1)
    except (OSError, ValueError, SyntaxError, EOFError):
        raise DataError(f"{name} is damaged: its pixels cannot be decoded.") from None
    return pixels.reshape(height, width)
