"""Which size to propose for a model with open dimensions, and why; a proposal is never measured.

In this order: what the preprocessing says, the other models of the same question, the images, the
kind of network. The last are the sizes that the field publishes its times at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.data.input_sizes import at, open_dims, sides, sized_for, told
from core.data.preprocess import COLORS, Size
from core.records import DataSummary, ModelSummary, Preprocess, TensorSpec

LINE_HEIGHT = 64  # of text, at most: an input as low and as wide as wanted reads lines
LINE = (48, 320)
BOXES, MAPS, CLASSES = 640, 320, 224
SEQUENCE = 128
STRIDE = 32  # of the networks that halve five times
LONGEST = 640  # of images of many sizes
BOX = 4  # numbers
MOST_NUMBERS = 1024  # of a row of boxes and classes; readers of text give longer ones


@dataclass(frozen=True, slots=True)
class Proposal:
    """A size for each open dimension, and in words where it comes from."""

    dims: dict[str, int]
    why: str


def proposed(
    model: ModelSummary,
    data: DataSummary | None = None,
    given: dict[str, int] | None = None,
    others: Sequence[ModelSummary] = (),
    preprocess: Preprocess | None = None,
) -> Proposal:
    """Sizes for what `told` leaves open, one for each dimension.

    Args:
        model: with open dimensions.
        data: the images it shall be measured on.
        given: sizes that are stated.
        others: models that it is compared with.
        preprocess: what the images go through, if it is not the model's own.
    """
    how = preprocess or model.preprocess
    known = told(model.inputs, how, data, given or {})
    specs = at(model.inputs, known)
    found, why = _first(specs, model, how, data, others)
    left = {name: SEQUENCE for name in open_dims(at(specs, found))}
    if left:
        why = "; ".join(filter(None, (why, f"{SEQUENCE} for a length, a guess")))
    return Proposal({name: (found | left)[name] for name in open_dims(specs)}, why)


def usual(specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The inputs at the size that networks of this kind are usually run at; for trials."""
    images = [spec for spec in specs if sides(spec)]
    found = _fit(images, _of_kind(images[0], ())[0], 0) if images else {}
    left = {name: SEQUENCE for name in open_dims(at(specs, found))}
    return at(specs, found | left)


def _first(
    specs: Sequence[TensorSpec],
    model: ModelSummary,
    how: Preprocess | None,
    data: DataSummary | None,
    others: Sequence[ModelSummary],
) -> tuple[dict[str, int], str]:
    """Sizes of the sides of images, from the first source that has any."""
    channels = COLORS[how.color] if how else 0
    images = [spec for spec in specs if sides(spec)]
    stated = (how.resize_after_crop or how.crop or how.resize) if how else None
    if stated and images:
        return _fit(images, stated, channels), "the size in the preprocessing"
    for other in others:
        if sizes := _as_in(specs, other.inputs):
            return sizes, f"the size of {other.name}"
    if not images:
        return {}, ""
    if data is not None and data.kind == "images" and len(data.image_shape) == 3:
        first = _rounded((data.image_shape[0], data.image_shape[1]))
        return _fit(images, first, channels), "the shape of the first image, in multiples of 32"
    size, why = _of_kind(images[0], model.outputs)
    return _fit(images, size, channels), why


def _fit(images: Sequence[TensorSpec], size: Size, channels: int) -> dict[str, int]:
    """Sizes for every open dimension of the images; a side that is both gets the longer one."""
    found: dict[str, int] = {}
    for spec in images:
        found |= sized_for(spec, size, channels or COLORS["rgb"])
        for axis in sides(spec) or ():
            if isinstance(name := spec.shape[axis], str):
                found.setdefault(name, max(size))
    return found


def _as_in(specs: Sequence[TensorSpec], fixed: Sequence[TensorSpec]) -> dict[str, int]:
    """The sizes that inputs of the same names have elsewhere; none unless all are there."""
    shapes = {spec.name: spec.shape for spec in fixed}
    found = {
        name: size
        for spec in specs
        for name, size in zip(spec.shape, shapes.get(spec.name, ()), strict=False)
        if isinstance(name, str) and isinstance(size, int)
    }
    return found if set(open_dims(specs)) <= set(found) else {}


def _rounded(size: Size) -> Size:
    """About this size, in multiples of the stride, the longer side of bounded length."""
    scale = min(1.0, LONGEST / max(size))
    height, width = (max(1, round(side * scale / STRIDE)) * STRIDE for side in size)
    return height, width


def _of_kind(image: TensorSpec, outputs: Sequence[TensorSpec]) -> tuple[Size, str]:
    """What networks of this kind are usually run at."""
    height, width = (image.shape[axis] for axis in sides(image) or (0, 0))
    if isinstance(height, int) and isinstance(width, str):
        if height <= LINE_HEIGHT:
            return (height, LINE[1]), "usual for lines of text"
        return (height, height), "a square"
    if isinstance(width, int):
        return (width, width), "a square"
    if any(_reads(spec) for spec in outputs):
        return LINE, "usual for lines of text"
    if any(_boxes(spec, image.shape[0]) for spec in outputs):
        return (BOXES, BOXES), "usual for networks that give boxes"
    if any(len(spec.shape) == 4 and not _fixed(spec.shape[1:]) for spec in outputs):
        return (MAPS, MAPS), "usual for networks that give maps"
    return (CLASSES, CLASSES), "usual for networks that classify"


def _reads(spec: TensorSpec) -> bool:
    """Whether an output looks like scores of characters, one row for each place of a line."""
    shape = spec.shape
    return len(shape) == 3 and isinstance(shape[2], int) and shape[2] > MOST_NUMBERS


def _fixed(dims: Sequence[int | str]) -> bool:
    return all(isinstance(dim, int) for dim in dims)


def _boxes(spec: TensorSpec, batch: int | str) -> bool:
    """Whether an output looks like rows of boxes: four numbers, or four and scores of classes.

    A row for each image of the batch is no row for each box.
    """
    shape = spec.shape
    if "box" in spec.name.lower() and 2 <= len(shape) <= 4:
        return True
    numbers = [dim for dim in shape[1:] if isinstance(dim, int)]
    free = any(isinstance(dim, str) for dim in shape[1:])
    if len(shape) == 2:
        rows = isinstance(shape[0], str) and shape[0] != batch
        return rows and shape[1] in range(BOX, BOX + 4)
    return len(shape) == 3 and free and len(numbers) == 1 and BOX <= numbers[0] <= MOST_NUMBERS
