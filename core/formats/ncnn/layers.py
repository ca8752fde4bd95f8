"""ncnn's model file: a list of layers in text (.param), their weights one after the other (.bin).

A layer has a type, a name, blobs that it reads and makes, and numbered parameters. Weights of a
layer that may be stored in several types begin with a tag; all others are plain float32.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Array = np.ndarray[Any, Any]
Parameter = int | float | Sequence[int] | Sequence[float]
MAGIC = 7767517
FLOAT_TAG, HALF_TAG, INT8_TAG = 0x00000000, 0x01306B47, 0x000D4B38
ALIGNMENT = 4
ARRAYS = -23300  # parameter `n` that is a list is written as ARRAYS - n
LONGEST_NAME = 200  # of ncnn's 255
LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class Weight:
    """Numbers of a layer.

    Attributes:
        data: float32, or int8 for codes.
        tagged: whether their type is told in front, so that it may be another one than float32.
    """

    data: Array
    tagged: bool = False


@dataclass(frozen=True)
class Layer:
    """One line of the .param file, and its part of the .bin file."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[int, Parameter] = field(default_factory=dict)
    weights: tuple[Weight, ...] = ()

    def __str__(self) -> str:
        """The line."""
        counts = [str(len(self.inputs)), str(len(self.outputs))]
        given = [_parameter(key, value) for key, value in sorted(self.parameters.items())]
        return " ".join([self.kind, self.name, *counts, *self.inputs, *self.outputs, *given])


class Names:
    """Names as ncnn's reader takes them: without spaces, short, and each only once."""

    def __init__(self) -> None:
        """No name is taken yet."""
        self._taken: set[str] = set()

    def of(self, wanted: str) -> str:
        """A name that is not taken, like the one that is wanted."""
        plain = "_".join(wanted.split())[:LONGEST_NAME] or "unnamed"
        found, count = plain, 1
        while found in self._taken:
            count += 1
            found = f"{plain}_{count}"
        self._taken.add(found)
        return found


def shared(layers: Iterable[Layer], outputs: Iterable[str], names: Names) -> list[Layer]:
    """The layers with a Split behind each blob that several read: ncnn hands a blob on once.

    Args:
        layers: in the order of running.
        outputs: blobs that are read from outside, and that keep their names.
        names: of what is in the file.
    """
    layers, kept = list(layers), set(outputs)
    readers = Counter(name for layer in layers for name in layer.inputs)
    copies: dict[str, list[str]] = {}
    found: list[Layer] = []
    for layer in layers:
        inputs = tuple(copies[name].pop() if name in copies else name for name in layer.inputs)
        made = [name for name in layer.outputs if readers[name] + (name in kept) > 1]
        sources = {name: names.of(f"{name}_all") if name in kept else name for name in made}
        named = tuple(sources.get(name, name) for name in layer.outputs)
        found.append(replace(layer, inputs=inputs, outputs=named))
        for name, source in sources.items():
            ends = [names.of(f"{name}_{i}") for i in range(readers[name])]
            copies[name] = ends[::-1]
            more = (name,) if name in kept else ()
            found.append(Layer("Split", names.of(f"split_{name}"), (source,), (*ends, *more)))
    return found


def write(layers: Sequence[Layer], text: Path, weights: Path, halves: bool) -> int:
    """Write both files.

    Args:
        layers: in the order of running.
        text: the .param file.
        weights: the .bin file.
        halves: whether weights that may be are stored in 16 bits.

    Returns:
        How many weights stay in 32 bits because their numbers do not fit into 16.
    """
    blobs = sum(len(layer.outputs) for layer in layers)
    lines = [str(MAGIC), f"{len(layers)} {blobs}", *map(str, layers)]
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    whole = 0
    with weights.open("wb") as file:
        for weight in (weight for layer in layers for weight in layer.weights):
            whole += not _store(file, weight, halves)
    return whole


def _store(file: BinaryIO, weight: Weight, halves: bool) -> bool:
    """Write one weight; whether it has the type that was asked for."""
    data, tag, fits = weight.data, FLOAT_TAG, True
    if weight.tagged and data.dtype == np.int8:
        tag = INT8_TAG
    elif weight.tagged and halves:
        fits = bool(np.abs(data).max(initial=0.0) <= LARGEST_HALF)
        if fits:
            data, tag = data.astype("<f2"), HALF_TAG
    if weight.tagged:
        file.write(np.array(tag, "<u4").tobytes())
    plain = np.ascontiguousarray(data, data.dtype if tag != FLOAT_TAG else "<f4")
    file.write(plain.data.cast("B") if plain.ndim else plain.tobytes())
    file.write(bytes(-plain.nbytes % ALIGNMENT))
    return fits


def _parameter(key: int, value: Parameter) -> str:
    if isinstance(value, int | float | np.number):
        return f"{key}={_number(value)}"
    return f"{ARRAYS - key}={','.join([str(len(value)), *map(_number, value)])}"


def _number(value: float) -> str:
    """Integers as such; what has a point is a float for ncnn, which reads nine digits of it."""
    return str(int(value)) if isinstance(value, int | np.integer) else f"{float(value):.8e}"
