"""Class labels by folders: the class of an image is the folder that it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from core.data.annotations.class_numbers import Labelling, classes_of
from core.data.annotations.labels_csv import LABELS_FILE
from core.errors import DataError


def read(files: Sequence[str], name: str) -> Labelling | None:
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
    return classes_of([folder[0] for folder in folders], name, "The folders of classes")
