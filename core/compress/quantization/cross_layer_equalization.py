"""Cross-layer equalisation: give every channel of an activation the same share of its grid.

Between two layers that only a ReLU separates, channel c can be divided by s_c > 0 on its way out
(row c of the first weight, its bias) and multiplied back on its way in (column c of the second):
nothing changes but how well one scale fits all channels.

With one weight scale per output channel the rows of the first layer are free, and a depthwise
second layer is free as well. So s_c brings every channel of the activation to the full range where
the second layer is depthwise; otherwise it balances activation range a_c against the second layer's
column range w_c:   s_c = sqrt(a_c / w_c), scaled so that the largest activation stays.

Channels keep to themselves through pools and Concat, so the second layers may lie behind these (the
batch norms of a DenseNet do). All that meets in one Concat is brought to one range: then its parts
share a scale, and joining them is copying.

A Clip at m between them commutes with s_c only while the channel stays below m. A channel that
reaches m is therefore left as it is (it fills the range already); one that stays below m
on all images is stretched to at most m. Exact on the calibration images; beyond them an outlier is
clipped at m/s_c' instead of m.

Source: Nagel et al. 2019, arXiv:1906.04721, section 4.1; balance: Xiao et al. 2022,
arXiv:2211.10438, equation 4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from core import graph as graphs
from core.compress.quantization import shared_weights
from core.compress.quantization.observers import Observer
from core.compress.quantization.partition import is_weighted
from core.compress.refit.linear_layers import Layer

Array = np.ndarray[Any, Any]

LARGEST_FACTOR = 32.0
BETWEEN = frozenset({"Relu", "Clip", "LeakyRelu"})
PER_CHANNEL = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool"})
MARGIN = 0.98  # of a Clip's bound: what stays below it on the images shall stay below it elsewhere


@dataclass(frozen=True, eq=False)
class Link:
    """Two or more layers between which channels can be scaled.

    Attributes:
        maker: makes the channels.
        readers: all that read them.
        tensor: the activation between them.
        bound: the Clip's upper bound, if there is one.
        offsets: of each reader, which of its input channels is the first of these.
        joint: the last Concat that they pass, by the name of its output; the tensor if none.
    """

    maker: Layer
    readers: tuple[Layer, ...]
    tensor: str
    bound: float | None = None
    offsets: tuple[int, ...] = ()
    joint: str = ""

    @property
    def alone(self) -> bool:
        """Whether the readers read nothing else."""
        return self.joint == self.tensor

    @property
    def free(self) -> bool:
        """Whether every reader has a scale for each of these channels."""
        return all(map(_depthwise, self.readers))


def links(graph: ir.Model) -> list[Link]:
    """Every place where channels can be scaled, in the order of the graph.

    None where layers share a weight: to scale it for one of them would make it two.
    """
    layers = {node: Layer(node, _groups(node)) for node in graph.graph if is_weighted(node)}
    uses = Counter(shared_weights.firsts(layers).values())
    shared = {n for n, head in shared_weights.firsts(layers).items() if uses[head] > 1}
    found = (_link(layer, layers) for node, layer in layers.items() if node.op_type == "Conv")
    return [
        link
        for link in found
        if link is not None
        and shared.isdisjoint(la.node.name for la in (link.maker, *link.readers))
    ]


def equalise(found: list[Link], seen: Mapping[str, Observer]) -> dict[str, Array]:
    """Rescale in place; output of each layer that changed -> what its channels were divided by.

    Args:
        found: what `links` gave.
        seen: activation -> its extremes per channel, float graph.
    """
    changed: dict[str, Array] = {}
    extents: dict[str, Array] = {}
    for link in found:
        observer = seen.get(link.tensor)
        if observer is None or observer.channel_low is None or observer.channel_high is None:
            continue
        extents[link.tensor] = np.maximum(-observer.channel_low, observer.channel_high)
    joints: dict[str, list[Link]] = {}
    for link in found:
        if link.tensor in extents and len(extents[link.tensor]) == _outputs(link.maker):
            joints.setdefault(link.joint, []).append(link)
    for meeting in joints.values():
        for link, factors in _together(meeting, extents):
            if np.abs(np.log(factors)).max(initial=0.0) > 0.01:
                _rescale(link, factors)
                changed[link.maker.node.outputs[0].name or ""] = factors
    return changed


def _together(meeting: list[Link], extents: Mapping[str, Array]) -> Iterator[tuple[Link, Array]]:
    """s_c for all links that meet: what each channel is divided by."""
    reaches = [extents[link.tensor].astype(np.float64) for link in meeting]
    top = max(reach.max(initial=0.0) for reach in reaches)
    if top <= 0:
        return
    raw = [_balanced(*pair) for pair in zip(meeting, reaches, strict=True)]
    largest = max((reach / factors).max() for reach, factors in zip(reaches, raw, strict=True))
    for link, reach, factors in zip(meeting, reaches, raw, strict=True):
        yield link, _bounded(link, reach, factors * (largest / top), top)


def _balanced(link: Link, reach: Array) -> Array:
    """s_c but for a number common to all."""
    reach = np.maximum(reach, 1e-12)
    dense = [(r, o) for r, o in zip(link.readers, link.offsets, strict=True) if not _depthwise(r)]
    if not dense:
        return reach
    width = _outputs(link.maker)
    columns = np.max([_columns(r)[o : o + width] for r, o in dense], axis=0)
    return np.asarray(np.sqrt(reach / np.maximum(columns, 1e-12)))


def _bounded(link: Link, reach: Array, factors: Array, top: float) -> Array:
    factors = np.clip(factors, 1 / LARGEST_FACTOR, LARGEST_FACTOR)
    if link.bound is not None:
        room = reach / (MARGIN * link.bound)
        factors = np.where(room >= 1.0, 1.0, np.maximum(factors, room))
    factors[reach <= top * 1e-6] = 1.0
    return np.asarray(factors)


def _rescale(link: Link, factors: Array) -> None:
    matrix, bias = link.maker.matrix(), link.maker.bias()
    per_group = factors.reshape(matrix.shape[0], -1)
    had_bias = bias.any()
    link.maker.write(matrix / per_group[:, :, None], bias / factors if had_bias else bias)
    for reader, offset in zip(link.readers, link.offsets, strict=True):
        inner = reader.matrix()
        every = np.ones(_inputs(reader))
        every[offset : offset + len(factors)] = factors
        columns = np.repeat(every, reader.taps).reshape(inner.shape[0], 1, -1)
        reader.write(inner * columns, reader.bias())


def _link(layer: Layer, layers: Mapping[ir.Node, Layer]) -> Link | None:
    value, bound = layer.node.outputs[0], None
    users = _users(value)
    if len(users) == 1 and users[0].op_type in BETWEEN:
        if users[0].op_type == "Clip":
            bounds = [graphs.constant(v) for v in users[0].inputs[1:3]]
            if len(bounds) < 2 or any(b is None for b in bounds) or float(bounds[0]) != 0.0:  # type: ignore[arg-type]
                return None
            bound = float(np.asarray(bounds[1]).reshape(-1)[0])
        value = users[0].outputs[0]
    joints = [value.name or ""]
    found = list(_readers(value, 0, layers, joints))
    fitting = [(reader, offset) for reader, offset in found if reader is not None]
    if not fitting or len(fitting) < len(found):
        return None
    if any(_inputs(reader) < offset + _outputs(layer) for reader, offset in fitting):
        return None
    readers, offsets = zip(*fitting, strict=True)
    return Link(layer, readers, value.name or "", bound, offsets, joints[-1])


def _readers(
    value: ir.Value, offset: int, layers: Mapping[ir.Node, Layer], joints: list[str]
) -> Iterator[tuple[Layer | None, int]]:
    """The convolutions behind a tensor, and where its channels are among their inputs.

    Pools and Concat are looked through; None where something else reads.
    """
    if value.is_graph_output():
        yield None, 0
    for user in _users(value):
        if user in layers and user.op_type == "Conv" and user.inputs[0] is value:
            groups = layers[user].groups
            yield layers[user] if groups in (1, _inputs(layers[user])) else None, offset
        elif user.op_type in PER_CHANNEL:
            yield from _readers(user.outputs[0], offset, layers, joints)
        elif user.op_type == "Concat" and user.attributes.get_int("axis", -1) == 1:
            for start in _starts(user, value):
                if start is None:
                    yield None, 0
                    continue
                joints.append(user.outputs[0].name or "")
                yield from _readers(user.outputs[0], offset + start, layers, joints)
        else:
            yield None, 0


def _starts(concat: ir.Node, value: ir.Value) -> Iterator[int | None]:
    """Where the channels of `value` begin in what a Concat makes; None if a width is unknown."""
    start: int | None = 0
    for given in concat.inputs:
        if given is value:
            yield start
        shape = given.shape if given is not None else None
        width = shape[1] if shape is not None and len(shape) > 1 else None
        start = start + width if isinstance(width, int) and start is not None else None


def _users(value: ir.Value) -> list[ir.Node]:
    return [] if value.is_graph_output() else list(dict.fromkeys(u.node for u in value.uses()))


def _groups(node: ir.Node) -> int:
    return node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1


def _inputs(layer: Layer) -> int:
    return int(layer.weight.shape[1]) * layer.groups


def _outputs(layer: Layer) -> int:
    return int(layer.weight.shape[0])


def _depthwise(layer: Layer) -> bool:
    return layer.groups > 1


def _columns(layer: Layer) -> Array:
    """Largest weight of each input channel, each row first brought to its own scale."""
    matrix = layer.matrix()[0]
    rows = np.abs(matrix) / np.maximum(np.abs(matrix).max(1, keepdims=True), 1e-12)
    return np.asarray(rows.reshape(len(matrix), -1, layer.taps).max(2).max(0))
