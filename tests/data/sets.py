"""Small image sets to read."""

import csv
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (10, 20, 30)]


def solid(color: tuple[int, int, int], height: int = 4, width: int = 6) -> np.ndarray:
    """An image of one RGB color."""
    return np.full((height, width, 3), color, np.uint8)


def png(image: np.ndarray) -> bytes:
    """RGB pixels as a PNG."""
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip of files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def labels_csv(rows: Mapping[str, object]) -> bytes:
    """A labels.csv with its header."""
    text = io.StringIO()
    csv.writer(text).writerows([("file", "label"), *rows.items()])
    return text.getvalue().encode()
