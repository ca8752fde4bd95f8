"""Encoded image files -> pixels; the size in the header is judged before anything is decoded."""

from __future__ import annotations

import io
import warnings

import numpy as np

from core.data.preprocess import Pixels
from core.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".pgm"})
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM")
MAX_PIXELS = 64 << 20
MAX_BYTES = 128 << 20


def measure(content: bytes, name: str) -> tuple[int, int]:
    """(H, W) from the header alone.

    Raises:
        DataError: not an image of a known format, or more pixels than are taken.
    """
    from PIL import Image

    if not content:
        raise DataError(f"{name} is empty.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        raise DataError(f"{name} has more than {MAX_PIXELS >> 20} megapixels.") from None
    except (OSError, ValueError, SyntaxError, EOFError):
        raise DataError(f"{name} is not a PNG, JPEG, WebP, BMP or PNM image.") from None
    if not width * height:
        raise DataError(f"{name} has no pixels ({width} x {height}).")
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{name} is {width} x {height}: more than {MAX_PIXELS >> 20} megapixels are not taken."
        )
    return height, width


def decode(content: bytes, name: str) -> Pixels:
    """(H, W, 3) uint8, RGB.

    Raises:
        DataError: as `measure`, or pixels that cannot be decoded.
    """
    import cv2

    size = measure(content, name)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise DataError(f"{name} cannot be decoded: {error.err}.") from None
    if image is None or sorted(image.shape[:2]) != sorted(size):
        raise DataError(f"{name} is damaged: its pixels cannot be decoded.")
    return np.asarray(image, np.uint8)
