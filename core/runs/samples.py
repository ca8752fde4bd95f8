"""The sample models and images that ship with the project."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

from core.errors import StoreError
from core.records import SampleModel

FOLDER = Path(__file__).resolve().parents[2] / "sample_models"
CALIBRATION, EVALUATION = "calibration.zip", "evaluation.zip"


@functools.cache
def table() -> tuple[SampleModel, ...]:
    """Every sample with its facts, without opening a model.

    Raises:
        StoreError: the list is not readable.
    """
    try:
        rows = json.loads((FOLDER / "samples.json").read_text(encoding="utf-8"))
        return tuple(
            SampleModel(
                name=row["name"],
                title=row["title"],
                description=row["description"],
                digest=row["digest"],
                top1=row["top1"],
                parameters=row["parameters"],
                macs=row["macs"],
                size_bytes=row["size_bytes"],
                batch_norms=row["batch_norms"],
            )
            for row in rows
        )
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"The list of sample models cannot be read: {error}.") from error


def model_file(name: str) -> Path:
    """The file of a sample.

    Raises:
        StoreError: no sample has this name.
    """
    if name not in {sample.name for sample in table()}:
        raise StoreError(f"There is no sample model named {name!r}.")
    return FOLDER / f"{name}.onnx"


@functools.cache
def data_digest(name: str) -> str:
    """The digest of one of the two image sets, as admission computes it."""
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()
