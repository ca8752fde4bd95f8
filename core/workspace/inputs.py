"""The inputs of models: sizes of open dimensions, preprocessing of pixels, what sets share."""

from core.data import (
    PRESETS,
    Proposal,
    assigned,
    at,
    called,
    fitted,
    halves,
    model_at,
    open_dims,
    proposed,
    read_preprocess,
    same_pixels,
    shape_text,
    shared_images,
    told,
)
from core.runs.preprocess_search import PixelTrial

__all__ = [
    "PRESETS",
    "PixelTrial",
    "Proposal",
    "assigned",
    "at",
    "called",
    "fitted",
    "halves",
    "model_at",
    "open_dims",
    "proposed",
    "read_preprocess",
    "same_pixels",
    "shape_text",
    "shared_images",
    "told",
]
