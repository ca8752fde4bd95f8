"""At which sizes a model with open dimensions is run: a free batch is one image, the rest is asked.

A network that takes any height and width can be run at 1 x 1 pixel, and its time there says nothing
of its time on a photograph. So nothing is timed at a size that nobody stated: the user does, or
the images do (what the preprocessing makes of them, else their own size where all have the same).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from core.data.preprocess import (
    COLORS,
    MOST_CHANNELS,
    Size,
    channels_last,
    default_preprocess,
    final_size,
)
from core.errors import DataError
from core.records import DataSummary, ModelSummary, Preprocess, TensorSpec

FREE_BATCH = 1
IMAGES = "images"  # name of the array that holds pixels in `DataSummary.shapes`
MOST = 1 << 16
Dims = Mapping[str, int]


def batches(specs: Sequence[TensorSpec]) -> frozenset[str]:
    """The dimensions that count samples: the open first axis of an input, where it is no side."""
    first = {s.shape[0] for s in specs if len(s.shape) > 1 and 0 not in (sides(s) or ())}
    first |= {s.shape[0] for s in specs if len(s.shape) == 1 and "int" in s.dtype}
    later = {d for s in specs for d in s.shape[1:]} | {d for s in specs for d in _sides_of(s)}
    return frozenset(d for d in first - later if isinstance(d, str))


def open_dims(specs: Sequence[TensorSpec]) -> tuple[str, ...]:
    """The dimensions of which a size must be stated before the model can be measured."""
    free = batches(specs)
    names = (d for s in specs for d in s.shape if isinstance(d, str) and d not in free)
    return tuple(dict.fromkeys(names))


def at(specs: Sequence[TensorSpec], dims: Dims) -> tuple[TensorSpec, ...]:
    """The inputs with the sizes of `dims`; a dimension that they do not have is let be."""
    return tuple(
        replace(s, shape=tuple(dims.get(d, d) if isinstance(d, str) else d for d in s.shape))
        for s in specs
    )


def model_at(model: ModelSummary, dims: Dims) -> ModelSummary:
    """The model as it is measured at these sizes; its file stays as it is."""
    return replace(model, inputs=at(model.inputs, dims))


def shape_text(specs: Sequence[TensorSpec]) -> str:
    """What goes in, as it stands beside a time: "1x3x224x224", with names where there are several.

    A free batch is the one image that latency is measured with.
    """
    free = batches(specs)
    shapes = ["x".join(str(FREE_BATCH if d in free else d) for d in s.shape) for s in specs]
    if len(specs) == 1:
        return shapes[0]
    return ", ".join(f"{s.name} {shape}" for s, shape in zip(specs, shapes, strict=True))


def sides(spec: TensorSpec) -> tuple[int, int] | None:
    """The axes of height and width of an input that takes images; None for another."""
    shape = spec.shape
    if len(shape) == 4:
        return (1, 2) if channels_last(shape) else (2, 3)
    if len(shape) == 3 and shape[0] == COLORS["rgb"]:
        return 1, 2
    if len(shape) == 3 and shape[2] == COLORS["rgb"] and isinstance(shape[1], str):
        return None if _counts_samples(shape[0]) else (0, 1)
    return None


def _counts_samples(dim: int | str) -> bool:
    return isinstance(dim, int) or "batch" in dim.lower() or dim.lower() == "n"


def _sides_of(spec: TensorSpec) -> list[int | str]:
    return [spec.shape[axis] for axis in sides(spec) or ()]


def told(
    specs: Sequence[TensorSpec],
    preprocess: Preprocess | None,
    data: DataSummary | None,
    given: Dims,
) -> dict[str, int]:
    """The sizes that the user gives, and those that the images tell of what is open beside them.

    Args:
        specs: the model's inputs.
        preprocess: how pixels become the input; None guesses.
        data: the images, or arrays; None for none.
        given: sizes that were stated.
    """
    known = {d for s in specs for d in s.shape if isinstance(d, str)}
    sizes = {name: size for name, size in given.items() if name in known}
    if data is None or not open_dims(at(specs, sizes)):
        return sizes
    if data.kind == "images":
        return sizes | _of_images(at(specs, sizes), preprocess, data)
    return sizes | _of_arrays(at(specs, sizes), data)


def _of_images(
    specs: Sequence[TensorSpec], preprocess: Preprocess | None, data: DataSummary
) -> dict[str, int]:
    try:
        chosen = preprocess or default_preprocess(specs)
    except DataError:
        return {}
    stated = chosen.resize is not None or chosen.resize_after_crop is not None
    whole = data.shapes.get(IMAGES, ())
    if not stated and len(whole) != 3:
        return {}
    channels = COLORS[chosen.color] or (whole[2] if len(whole) == 3 else 0)
    size = final_size((whole[0], whole[1]) if len(whole) == 3 else (MOST, MOST), chosen)
    return sized_for(specs[0], size, channels)


def sized_for(spec: TensorSpec, size: Size, channels: int) -> dict[str, int]:
    """Sizes of the open dimensions of an image input that takes images of `size`.

    Where one side is fixed the other one keeps the shape of the images, as resizing them does. A
    name that would get two sizes gets none.
    """
    axes = sides(spec)
    if axes is None:
        return {}
    shape = spec.shape
    height, width = shape[axes[0]], shape[axes[1]]
    if isinstance(height, int) and isinstance(width, str):
        size = height, max(1, round(size[1] * height / size[0]))
    elif isinstance(width, int) and isinstance(height, str):
        size = max(1, round(size[0] * width / size[1])), width
    wanted = dict(zip(axes, size, strict=True))
    if len(shape) == 4 and 0 < channels <= MOST_CHANNELS:
        wanted[3 if axes == (1, 2) else 1] = channels
    return _agreeing((shape[axis], size) for axis, size in wanted.items())


def _of_arrays(specs: Sequence[TensorSpec], data: DataSummary) -> dict[str, int]:
    alone = next(iter(data.shapes.values()), ()) if len(specs) == len(data.shapes) == 1 else ()
    pairs: list[tuple[int | str, int]] = []
    for spec in specs:
        pairs += zip(spec.shape[1:], data.shapes.get(spec.name, alone), strict=False)
    return _agreeing(pairs)


def _agreeing(pairs: Iterable[tuple[int | str, int]]) -> dict[str, int]:
    """Name -> size, without the names that would get several."""
    found: dict[str, set[int]] = {}
    for name, size in pairs:
        if isinstance(name, str):
            found.setdefault(name, set()).add(size)
    return {name: sizes.pop() for name, sizes in found.items() if len(sizes) == 1}


def called(specs: Sequence[TensorSpec], dim: str) -> str:
    """What a person calls an open dimension: "height", "width", "length"."""
    for spec in specs:
        if dim not in spec.shape:
            continue
        axes = [axis for axis, name in enumerate(spec.shape) if name == dim]
        words = [
            word
            for axis, word in zip(sides(spec) or (), ("height", "width"), strict=False)
            if axis in axes
        ]
        if words:
            return " and ".join(words)
        if len(spec.shape) == 4 and axes[0] in (1, 3):
            return "channels"
        return "batch" if dim in batches(specs) else "length"
    return "size"
