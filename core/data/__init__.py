"""Image sets -> feeds: labelled or not, from arrays, folders and zips; also preprocessed tensors.

Imports neither onnx nor a model runtime: a worker that times must start fast.
"""

from core.data.admission import admit, describe, shared_images, split, thinned
from core.data.annotations import (
    IGNORED,
    KINDS,
    Annotations,
    Boxes,
    ImageBoxes,
    Labels,
    Masks,
    kind_of,
    of_some,
)
from core.data.archive import Archive, Bounds
from core.data.input_sizes import (
    at,
    called,
    model_at,
    open_dims,
    shape_text,
    told,
)
from core.data.opening import open_set
from core.data.preprocess import (
    PRESETS,
    check_channels,
    default_preprocess,
    fitted,
    image_input,
    read_preprocess,
    same_pixels,
)
from core.data.roles import assigned, halves
from core.data.sets import ImageSet, check_labels, has_background_class
from core.data.size_proposals import Proposal, proposed, usual
from core.data.synthetic import synthetic_feeds

__all__ = [
    "IGNORED",
    "KINDS",
    "PRESETS",
    "Annotations",
    "Archive",
    "Bounds",
    "Boxes",
    "ImageBoxes",
    "ImageSet",
    "Labels",
    "Masks",
    "Proposal",
    "admit",
    "assigned",
    "at",
    "called",
    "check_channels",
    "check_labels",
    "default_preprocess",
    "describe",
    "fitted",
    "halves",
    "has_background_class",
    "image_input",
    "kind_of",
    "model_at",
    "of_some",
    "open_dims",
    "open_set",
    "proposed",
    "read_preprocess",
    "same_pixels",
    "shape_text",
    "shared_images",
    "split",
    "synthetic_feeds",
    "thinned",
    "told",
    "usual",
]
