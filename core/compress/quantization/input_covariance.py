"""Covariance of the inputs of layers, made and used by parts that fit into the memory.

All layers of a part are summed up in one walk over the images, so larger parts mean fewer walks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from core.calibration.services import Tensors
from core.compress.linalg import parallel
from core.compress.quantization import effort, gptq, shared_weights
from core.compress.quantization.images import CalibrationSplit
from core.compress.refit.linear_layers import Layer
from core.compress.refit.normal_equations import LARGE, Gram
from core.devices.local import memory
from core.graph.operators import PRODUCTS

SMALLEST_BYTES, LARGEST_BYTES = 128 << 20, 768 << 20  # of sums that are held at a time
SHARE = 6  # of the memory that is free
IMAGES = 128
LEAST_PLACES, MOST_PLACES = 16, 64  # of one of so many images
DENSEST = 96  # where there are fewer images: more places hardly differ from their neighbours


def grams(
    graph: ir.Model, layers: Mapping[str, Layer], names: Sequence[str], images: CalibrationSplit
) -> Iterator[dict[str, Gram]]:
    """Sums over the inputs of these layers of the float graph, as many at a time as memory bears.

    Layers that read the same places of the same tensor share theirs, and so do those that share a
    weight, whatever they read.
    """
    most = effort.calibration(graph, IMAGES)
    for part in _parts(layers, names):
        found = {key: Gram(layers[shared[0]].groups) for key, shared in part.items()}
        readers = {key: _distinct(layers[name] for name in shared) for key, shared in part.items()}
        inputs = list(dict.fromkeys(la.input for some in readers.values() for la in some))
        order = sorted(part, key=lambda key: -size_bytes(readers[key][0]))
        for turn, values in enumerate(images.values(graph, inputs, most)):

            def add(key: Hashable, values: Tensors = values, turn: int = turn) -> None:
                for layer in readers[key]:  # noqa: B023 - done before the next part
                    x = values[layer.input]
                    sites = layer.sites(x.shape, _per_image(layer, most), turn)
                    found[key].add(layer.rows(x, sites))  # noqa: B023

            parallel.each(add, order)
        for gram in found.values():
            gram.finish()  # layers on different cores may share it
        yield {name: found[key] for key, shared in part.items() for name in shared}


def _per_image(layer: Layer, images: int) -> int:
    """Enough rows for a stable sum: ten per input, over so many images."""
    most = min(MOST_PLACES * IMAGES // images, DENSEST)
    return int(np.clip(10 * columns(layer) // images, LEAST_PLACES, most))


def _parts(layers: Mapping[str, Layer], names: Sequence[str]) -> list[dict[Hashable, list[str]]]:
    """What is read -> layers that read it, in parts whose sums fit into the memory."""
    room = memory.budget_bytes() // SHARE
    bound = int(np.clip(room, SMALLEST_BYTES, LARGEST_BYTES))
    shared: dict[Hashable, list[str]] = {}
    heads = shared_weights.firsts(layers[name].node for name in names)
    uses = Counter(heads.values())
    for name in names:
        head = heads[name]
        key: Hashable = (_reading(layers[head]), head if uses[head] > 1 else "")
        shared.setdefault(key, []).append(name)
    parts: list[dict[Hashable, list[str]]] = [{}]
    size = 0
    for key, readers in shared.items():
        here = size_bytes(layers[readers[0]])
        if parts[-1] and size + here > bound:
            parts.append({})
            size = 0
        parts[-1][key] = readers
        size += here
    return parts


def _distinct(layers: Iterable[Layer]) -> list[Layer]:
    """One of those that read the same rows."""
    return list({_reading(layer): layer for layer in layers}.values())


def _reading(layer: Layer) -> Hashable:
    """Equal for layers with the same rows."""
    node = layer.node
    if node.op_type in PRODUCTS:
        return layer.input, "rows"
    if node.op_type != "Conv":
        return layer.output
    known = [node.attributes.get(n) for n in ("strides", "pads", "dilations")]
    geometry = tuple(tuple(a.as_ints()) if a is not None else () for a in known)
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    return layer.input, layer.groups, tuple(layer.weight.shape[2:]), geometry, auto


def size_bytes(layer: Layer) -> int:
    """Of the sums over the layer's inputs."""
    width = columns(layer) + 1
    return layer.groups * width**2 * (4 if width > LARGE else 8)


def columns(layer: Layer) -> int:
    """Inputs of one output: columns of the layer's matrix."""
    weight = layer.weight
    return int(weight.size // weight.shape[gptq.output_axis(layer)])
