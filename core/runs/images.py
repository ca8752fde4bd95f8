"""The images of a run: what passes see, and what accuracy is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.data import split
from core.errors import DataError
from core.runs.home import Home


@dataclass(frozen=True)
class ImageSource:
    """An admitted image set, or half of one; no path and no digest for none."""

    path: Path | None
    digest: str


def sources(home: Home, calibration: str, evaluation: str) -> tuple[ImageSource, ImageSource]:
    """Calibration and evaluation images; a set that serves for both is split.

    Args:
        home: where the sets are.
        calibration: digest of an admitted set; empty for none.
        evaluation: likewise.

    Raises:
        DataError: a set is gone, or one that serves for both has a single image.
    """
    found = [ImageSource(home.data_path(digest), digest) for digest in (calibration, evaluation)]
    if any(one.digest and one.path is None for one in found):
        raise DataError("An image set is gone.", "Upload it again.")
    whole = found[0].path
    if whole is not None and calibration == evaluation:
        found = [ImageSource(part.path, part.digest) for part in split(whole, calibration)]
    return found[0], found[1]
