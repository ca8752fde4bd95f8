"""Outputs of a file over an image set, as an evaluation keeps them on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.records import ModelSummary


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs of one file on one backend over a set: `folder`/I.npy, one row per image.

    Attributes:
        images: rows of each array.
        ragged: outputs whose shape depends on the image; what they do not fill is NaN.
        shared: outputs of which nothing shows that each row belongs to one image: the model was run
            on several at once and their first axis counts something else, such as boxes.
    """

    model: ModelSummary
    backend: str
    folder: Path
    images: int
    ragged: frozenset[int] = frozenset()
    shared: frozenset[int] = frozenset()

    def array(self, index: int) -> np.ndarray[Any, Any]:
        """Output `index`, (images, ...) float32, memory-mapped."""
        mapped: np.ndarray[Any, Any] = np.load(self.folder / f"{index}.npy", mmap_mode="r")
        return mapped
