"""How pixels become a model input: x = (pixel * scale - mean) / std, after resize, crop, resize.

Resizing is bilinear, crops are centred. `fit` names what the model's own input size adds to that.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.errors import DataError
from core.records import Preprocess, TensorSpec

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Size = tuple[int, int]

PRESETS: Mapping[str, Preprocess] = {
    "0 … 1, RGB": Preprocess(),
    "ImageNet mean and deviation, RGB": Preprocess(
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    ),
    "CIFAR-10 mean and deviation, RGB": Preprocess(
        mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)
    ),
    "−1 … 1, RGB": Preprocess(mean=(0.5,), std=(0.5,)),
    "raw 0 … 255, RGB": Preprocess(scale=1.0),
    "raw 0 … 255, BGR": Preprocess(color="bgr", scale=1.0),
    "raw minus mean, BGR (Caffe)": Preprocess(color="bgr", scale=1.0, mean=(104.0, 117.0, 123.0)),
}
AS_STORED = "as_stored"  # depth beside colour, twelve bands: every channel that the images have
COLORS = {"rgb": 3, "bgr": 3, "gray": 1, AS_STORED: 0}
MOST_CHANNELS = 32
LARGEST_SIDE = 8192
RANK = 4  # of an input that takes images


def read_preprocess(data: object) -> Preprocess:
    """The record that the parsed JSON of a preprocessing file describes.

    Raises:
        DataError: a field that does not exist or a value that it cannot take, by name.
    """
    if not isinstance(data, Mapping):
        raise DataError("The preprocessing must be a JSON object like {'color': 'rgb', ...}.")
    known = {f.name for f in dataclasses.fields(Preprocess)}
    if unknown := sorted(str(key) for key in data if key not in known):
        raise DataError(
            f"Preprocessing has no field {unknown[0]!r}; it takes: {', '.join(sorted(known))}."
        )
    fields: dict[str, Any] = {}
    for name, value in data.items():
        fields[name] = _READERS[name](name, value)
    if any(std == 0 for std in fields.get("std", ())):
        raise DataError("Preprocessing: a std of 0 would divide by zero.")
    channels = COLORS[fields.get("color", "rgb")]
    for name in ("mean", "std"):
        if channels and len(fields.get(name, (0,))) not in (1, channels):
            raise DataError(f"Preprocessing: {name} needs one number, or one per channel.")
    return Preprocess(**fields)


def _choice(*choices: str) -> Any:
    def read(name: str, value: object) -> str:
        if value not in choices:
            raise DataError(
                f"Preprocessing: {name} is {str(value)[:80]!r}; it takes one of: "
                f"{', '.join(choices)}."
            )
        return str(value)

    return read


def _number(name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if isinstance(value, bool) or not math.isfinite(number):
        raise DataError(f"Preprocessing: {name} is {str(value)[:80]}; it takes a finite number.")
    return number


def _numbers(name: str, value: object) -> tuple[float, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    if not values:
        raise DataError(f"Preprocessing: {name} is empty.")
    return tuple(_number(name, v) for v in values)


def _size(name: str, value: object) -> Size | None:
    if value is None:
        return None
    sides = value if isinstance(value, list | tuple) else ()
    if len(sides) != 2 or not all(
        isinstance(s, int) and not isinstance(s, bool) and 1 <= s <= LARGEST_SIDE for s in sides
    ):
        raise DataError(f"Preprocessing: {name} is {str(value)[:80]}; it takes [height, width].")
    return int(sides[0]), int(sides[1])


_READERS: Mapping[str, Any] = {
    "color": _choice(*COLORS),
    "scale": _number,
    "mean": _numbers,
    "std": _numbers,
    "resize": _size,
    "crop": _size,
    "resize_after_crop": _size,
    "layout": _choice("NCHW", "NHWC"),
    "dtype": _choice("float32", "uint8"),
}


def image_input(specs: Sequence[TensorSpec]) -> TensorSpec:
    """The one input that takes images.

    Raises:
        DataError: the model takes something else.
    """
    if len(specs) != 1 or len(specs[0].shape) != RANK:
        wanted = ", ".join(f"{s.name} {list(s.shape)}" for s in specs) or "nothing"
        raise DataError(
            f"Images cannot feed this model: it takes {wanted}.",
            "Give a .npz with one preprocessed array per input instead.",
        )
    return specs[0]


def default_preprocess(specs: Sequence[TensorSpec]) -> Preprocess:
    """A first guess from the input's shape and type: 0..1 RGB, or raw pixels for an uint8 input.

    Raises:
        DataError: the model does not take images.
    """
    spec = image_input(specs)
    layout = "NHWC" if channels_last(spec.shape) else "NCHW"
    channels = spec.shape[3 if layout == "NHWC" else 1]
    raw = spec.dtype == "uint8"
    return Preprocess(
        color=_color_of(channels),
        scale=1.0 if raw else 1 / 255,
        layout=layout,
        dtype="uint8" if raw else "float32",
    )


def channels_last(shape: Sequence[int | str]) -> bool:
    """Whether the last axis of four is that of the channels: 1 or 3 decide, then the shorter."""
    first, last = shape[1], shape[3]
    if first in (1, 3) or last in (1, 3):
        return first not in (1, 3)
    if not isinstance(last, int) or last > MOST_CHANNELS:
        return False
    return not isinstance(first, int) or last < first


def _color_of(channels: int | str) -> str:
    if channels == 1:
        return "gray"
    return AS_STORED if isinstance(channels, int) and channels != 3 else "rgb"


def fitted(preset: Preprocess, specs: Sequence[TensorSpec]) -> Preprocess:
    """A preset with the layout, type, channels and image size that the model's input asks for."""
    try:
        asked = default_preprocess(specs)
    except DataError:
        return preset
    return dataclasses.replace(
        preset,
        layout=asked.layout,
        dtype=asked.dtype,
        resize=model_size(specs[0], asked),
        color=preset.color if asked.color == "rgb" else asked.color,
    )


def same_pixels(a: Preprocess, b: Preprocess) -> bool:
    """Whether two make the same numbers of a pixel, however they are written."""
    alike = a.color == b.color or "gray" in (a.color, b.color)  # grey has no order
    channels = max(3, len(a.mean), len(a.std), len(b.mean), len(b.std))
    if any(len(v) not in (1, channels) for v in (a.mean, a.std, b.mean, b.std)):
        return False
    return alike and bool(np.allclose(_line(a, channels), _line(b, channels), rtol=1e-4, atol=1e-6))


def _line(of: Preprocess, channels: int) -> Pixels:
    """Slope and offset for each channel."""
    mean, std = (np.broadcast_to(np.asarray(v, float), channels) for v in (of.mean, of.std))
    return np.stack([of.scale / std, -mean / std])


def model_size(spec: TensorSpec, preprocess: Preprocess) -> Size | None:
    """(H, W) that the model's input demands; None where it is dynamic."""
    height, width = spec.shape[1:3] if preprocess.layout == "NHWC" else spec.shape[2:4]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def check_channels(spec: TensorSpec, preprocess: Preprocess) -> None:
    """Hold the preprocessing to the channels that the model takes.

    Raises:
        DataError: they differ.
    """
    axis = 3 if preprocess.layout == "NHWC" else 1
    wanted, given = spec.shape[axis], COLORS[preprocess.color]
    if given and isinstance(wanted, int) and wanted != given:
        raise DataError(
            f"Input {spec.name!r} {list(spec.shape)} takes {wanted} channels at axis {axis}; "
            f"{preprocess.color} {preprocess.layout} gives {given}.",
            "Choose another color or layout in the preprocessing.",
        )


def final_size(image: Size, preprocess: Preprocess) -> Size:
    """(H, W) of an image after the preprocessing's own steps."""
    height, width = preprocess.resize or image
    if preprocess.crop:
        height, width = min(height, preprocess.crop[0]), min(width, preprocess.crop[1])
    return preprocess.resize_after_crop or (height, width)


def fit(image: Pixels, preprocess: Preprocess, size: Size | None) -> Pixels:
    """Resize, crop, resize, in the color asked for.

    Args:
        image: (H, W, C) uint8, RGB or gray.
        preprocess: what to do.
        size: (H, W) that the model takes.
    """
    image = _colored(image, preprocess.color)
    if preprocess.resize:
        image = _resized(image, preprocess.resize)
    if preprocess.crop:
        image = _cropped(image, preprocess.crop)
    if preprocess.resize_after_crop:
        image = _resized(image, preprocess.resize_after_crop)
    return image if size is None else _resized(image, size)


def normalised(pixels: Pixels, preprocess: Preprocess, dtype: str) -> np.ndarray[Any, Any]:
    """(N, H, W, C) uint8 -> the batch that goes into the model."""
    raw = preprocess.scale == 1 and set(preprocess.mean) == {0} and set(preprocess.std) == {1}
    if raw:
        x = pixels if preprocess.dtype == "uint8" else pixels.astype(np.float32)
    else:
        x = pixels.astype(np.float32)
        x *= np.float32(preprocess.scale)
        x -= np.asarray(preprocess.mean, np.float32)
        x /= np.asarray(preprocess.std, np.float32)
        if preprocess.dtype == "uint8":
            x = np.clip(np.rint(x), 0, 255).astype(np.uint8)
    if preprocess.layout == "NCHW":
        x = x.transpose(0, 3, 1, 2)
    wanted = dtype if dtype in ("float16", "float32", "float64", "uint8") else preprocess.dtype
    return np.ascontiguousarray(x, dtype=wanted)


def check_stored(image: Pixels, spec: TensorSpec, preprocess: Preprocess) -> None:
    """Hold an image to the channels that the model takes; those of colours can be converted.

    Raises:
        DataError: they differ, or there are not as many means as channels.
    """
    if preprocess.color != AS_STORED:
        if image.shape[2] == 2:  # neither grey nor colours
            raise DataError(
                f"The images have 2 channels; input {spec.name!r} {list(spec.shape)} takes "
                "colours or grey."
            )
        return
    wanted, given = spec.shape[3 if preprocess.layout == "NHWC" else 1], image.shape[2]
    if isinstance(wanted, int) and wanted != given:
        raise DataError(
            f"The images have {given} channels; input {spec.name!r} {list(spec.shape)} takes "
            f"{wanted}.",
            f"Give a .npz whose `images` are (N, H, W, {wanted}) uint8, or one preprocessed array "
            f"named {spec.name!r}.",
        )
    for name in ("mean", "std"):
        if len(getattr(preprocess, name)) not in (1, given):
            raise DataError(f"Preprocessing: {name} needs one number, or {given}.")


def _colored(image: Pixels, color: str) -> Pixels:
    channels = image.shape[2]
    if color == AS_STORED:
        return image
    if color == "gray":
        if channels == 1:
            return image
        weights = np.array([0.299, 0.587, 0.114], np.float32)
        gray = np.rint(image[:, :, :3].astype(np.float32) @ weights)
        return np.asarray(gray, np.uint8)[:, :, None]
    image = np.repeat(image, 3, axis=2) if channels == 1 else image[:, :, :3]
    return image[:, :, ::-1] if color == "bgr" else image


def _resized(image: Pixels, size: Size) -> Pixels:
    if image.shape[:2] == size:
        return image
    import cv2

    resized = cv2.resize(
        np.ascontiguousarray(image), (size[1], size[0]), interpolation=cv2.INTER_LINEAR
    )
    return np.asarray(resized, np.uint8).reshape(*size, image.shape[2])


def _cropped(image: Pixels, size: Size) -> Pixels:
    height, width = image.shape[:2]
    top, left = max(0, (height - size[0]) // 2), max(0, (width - size[1]) // 2)
    return image[top : top + size[0], left : left + size[1]]
