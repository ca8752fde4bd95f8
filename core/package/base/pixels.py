"""Pixels: the steps by which an image becomes a model's input, as a program takes them.

They are those of `core.data.preprocess`. What is known of sizes before an image is seen is worked
out here, so that a program has the numbers, and steps that change nothing are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.data.preprocess import (
    AS_STORED,
    COLORS,
    Size,
    default_preprocess,
    image_input,
    model_size,
)
from core.records import Preprocess, TensorSpec

FED = ("float16", "float32", "float64", "uint8")  # what `normalised` gives where it is asked for


@dataclass(frozen=True, slots=True)
class Resize:
    """Bilinear, to (height, width)."""

    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Crop:
    """The centre; `top` and `left` are None where they depend on the image."""

    height: int
    width: int
    top: int | None = None
    left: int | None = None


@dataclass(frozen=True, slots=True)
class Pixels:
    """How an image becomes the input.

    Attributes:
        how: color, scale, mean, std, layout.
        guessed: whether nobody stated it.
        steps: in their order.
        dtype: of the input.
        channels: of the input; None where it is open.
        size: (H, W) of the input; None where it follows the image.
    """

    how: Preprocess
    guessed: bool
    steps: tuple[Resize | Crop, ...]
    dtype: str
    channels: int | None
    size: Size | None

    @property
    def is_decoded(self) -> bool:
        """Whether image files have the channels that the model takes; else it takes arrays."""
        return self.how.color != AS_STORED or self.channels == COLORS["rgb"]

    @property
    def is_raw(self) -> bool:
        """Whether pixels go in as they are."""
        how = self.how
        return how.scale == 1 and set(how.mean) == {0} and set(how.std) == {1}

    @property
    def rounded(self) -> bool:
        """Whether what was scaled is rounded to whole numbers again."""
        return self.how.dtype == "uint8" and not self.is_raw


def pixels_of(specs: Sequence[TensorSpec], preprocess: Preprocess | None) -> Pixels:
    """How an image becomes the input of a model.

    Args:
        specs: its inputs.
        preprocess: None guesses from the input, as measuring does.

    Raises:
        DataError: the model does not take images.
    """
    spec = image_input(specs)
    how = preprocess or default_preprocess(specs)
    wanted = model_size(spec, how)
    steps, size = _steps(how, wanted)
    channels = spec.shape[3 if how.layout == "NHWC" else 1]
    return Pixels(
        how=how,
        guessed=preprocess is None,
        steps=steps,
        dtype=spec.dtype if spec.dtype in FED else how.dtype,
        channels=channels if isinstance(channels, int) else COLORS[how.color] or None,
        size=size,
    )


def _steps(how: Preprocess, wanted: Size | None) -> tuple[tuple[Resize | Crop, ...], Size | None]:
    """The steps that may change an image, and the size that comes out; None where it is open."""
    found: list[Resize | Crop] = []
    known: Size | None = None

    def resize(size: Size | None) -> None:
        nonlocal known
        if size is not None and size != known:
            found.append(Resize(*size))
            known = size

    resize(how.resize)
    if how.crop and known is None:
        found.append(Crop(*how.crop))
    elif how.crop and known is not None:
        height, width = min(known[0], how.crop[0]), min(known[1], how.crop[1])
        if (height, width) != known:
            found.append(Crop(height, width, (known[0] - height) // 2, (known[1] - width) // 2))
            known = height, width
    resize(how.resize_after_crop)
    resize(wanted)
    return tuple(found), known
