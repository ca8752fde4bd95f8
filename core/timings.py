"""How long single layers take, measured on one backend of one device: the staircase behind a ratio.

A `Chain` is what is timed as one: a single layer, or the layers that would replace one. The table
answers with what was measured, or, where it is asked for an `estimate`, with an interpolation over
the channel counts that says so. It never answers from MACs.

Interpolation: kernels work in blocks of channels, so time is a staircase; between two neighbouring
measured counts it is taken as linear, first over the output channels, then over the input channels.
Inside a step that is too optimistic by at most the height of the step. Nothing is extrapolated.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.errors import StoreError
from core.records import Json, Target, TensorSpec, from_json, to_json
from core.records.targets import DEFAULT_PRECISION


@dataclass(frozen=True, slots=True)
class LayerSignature:
    """Everything that decides how long a layer takes, but for the values of its weights.

    Attributes:
        op_type: ONNX operator (Conv, ConvTranspose, Gemm, MatMul, or Concat in a replacement).
        inputs, outputs: channels.
        kernel, strides, dilations: per spatial axis; empty for Gemm and MatMul.
        pads: begins, then ends, as in ONNX.
        group: of a convolution.
        size: spatial size of the input; for MatMul its axes between batch and channels.
        batch: samples at once.
        precision: "f32", or "int8" for a layer between QuantizeLinear and DequantizeLinear.
        fused: elementwise operators behind it that runtimes fuse into it, in order.
    """

    op_type: str
    inputs: int
    outputs: int
    kernel: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    group: int = 1
    size: tuple[int, ...] = ()
    batch: int = 1
    precision: str = "f32"
    fused: tuple[str, ...] = ()

    @property
    def depthwise(self) -> bool:
        """Whether each output channel reads one input channel: the two counts move together."""
        return self.group > 1 and self.group == self.inputs

    @property
    def output_size(self) -> tuple[int, ...]:
        """Spatial size of the output."""
        if not self.kernel:
            return self.size
        rank = len(self.kernel)
        axes = zip(
            self.size, self.kernel, self.strides, self.dilations,
            self.pads[:rank], self.pads[rank:], strict=True,
        )  # fmt: skip
        if self.op_type == "ConvTranspose":
            return tuple((n - 1) * s + (k - 1) * d + 1 - b - e for n, k, s, d, b, e in axes)
        return tuple((n + b + e - (k - 1) * d - 1) // s + 1 for n, k, s, d, b, e in axes)

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        if self.op_type == "Concat":
            return 0
        return self.inputs * self.outputs // self.group * math.prod(self.kernel) + self.outputs

    @property
    def macs(self) -> int:
        """Multiply-accumulates for the whole batch."""
        if self.op_type == "Concat":
            return 0
        spread = self.size if self.op_type == "ConvTranspose" else self.output_size
        return self.batch * math.prod(spread) * (self.parameters - self.outputs)

    def resized(self, inputs: int, outputs: int) -> LayerSignature:
        """The same layer with other channel counts; a depthwise layer keeps its multiplier."""
        group = inputs if self.depthwise else self.group
        return replace(self, inputs=inputs, outputs=outputs, group=group)


Chain = tuple[LayerSignature, ...]


@dataclass(frozen=True, slots=True)
class LayerTime:
    """One row: a chain with its time, or the reason why there is none.

    Attributes:
        chain: what was timed.
        seconds: for one pass through it, inside a network; None where it could not be timed.
        low, high: 95 % interval.
        reason: why there is no time.
    """

    chain: Chain
    seconds: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A time, and whether it was measured for this very chain or lies between measured ones."""

    seconds: float
    interpolated: bool


@dataclass(frozen=True, slots=True)
class MicroModel:
    """Files that time a chain: the same net with the chain once, and `copies` times.

    Attributes:
        chain: what is timed.
        one, many: the two files.
        copies: how often the chain stands in `many`.
        inputs, outputs: the signature that both files share.
    """

    chain: Chain
    one: Path
    many: Path
    copies: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class LayerTimes:
    """The table. Frozen: `extended` gives a larger one."""

    target: Target
    rows: tuple[LayerTime, ...] = ()
    _at: Mapping[Chain, LayerTime] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_at", {row.chain: row for row in self.rows})

    def __contains__(self, chain: Chain) -> bool:
        """Whether the chain was timed, or tried in vain."""
        return chain in self._at

    def row(self, chain: Chain) -> LayerTime | None:
        """The row of this very chain."""
        return self._at.get(chain)

    def seconds(self, *chain: LayerSignature) -> float | None:
        """The measured time of this very chain; None if it was not measured."""
        row = self._at.get(chain)
        return row.seconds if row else None

    def estimate(self, *chain: LayerSignature) -> Estimate | None:
        """The measured time, or for a single layer one between its measured neighbours."""
        exact = self.seconds(*chain)
        if exact is not None:
            return Estimate(exact, False)
        if len(chain) != 1:
            return None
        between = self._between(chain[0])
        return None if between is None else Estimate(between, True)

    def extended(self, rows: Iterable[LayerTime]) -> LayerTimes:
        """The table with more rows; the later row of a chain counts."""
        merged = dict(self._at) | {row.chain: row for row in rows}
        return LayerTimes(self.target, tuple(merged.values()))

    def _between(self, layer: LayerSignature) -> float | None:
        """Linear over the outputs at each measured input count, then linear over the inputs."""
        grid: dict[int, dict[int, float]] = {}
        for other, seconds in self._siblings(layer):
            grid.setdefault(other.inputs, {})[other.outputs] = seconds
        if layer.depthwise:
            return _linear({i: s for i, row in grid.items() for s in row.values()}, layer.inputs)
        across = {i: _linear(row, layer.outputs) for i, row in grid.items()}
        return _linear({i: s for i, s in across.items() if s is not None}, layer.inputs)

    def _siblings(self, layer: LayerSignature) -> Iterator[tuple[LayerSignature, float]]:
        for chain, row in self._at.items():
            if len(chain) != 1 or row.seconds is None:
                continue
            (other,) = chain
            if other.depthwise == layer.depthwise and _kind(other) == _kind(layer):
                yield other, row.seconds


def _kind(layer: LayerSignature) -> LayerSignature:
    """The layer without its channel counts, but with the multiplier of a depthwise one."""
    return layer.resized(1, layer.outputs // layer.inputs if layer.depthwise else 1)


def _linear(points: Mapping[int, float], at: int) -> float | None:
    """Between the nearest points around `at`; None outside of them."""
    below = max((p for p in points if p <= at), default=None)
    above = min((p for p in points if p >= at), default=None)
    if below is None or above is None:
        return None
    if below == above:
        return points[below]
    share = (at - below) / (above - below)
    return points[below] + share * (points[above] - points[below])


def load(path: Path) -> LayerTimes:
    """The table that `start` and `append` wrote; a line cut off by a crash is left out.

    Raises:
        StoreError: no such file, or not a table of times.
    """
    try:
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        target = _target(json.loads(head))
        rows = tuple(from_json(LayerTime, record) for record in _records(lines))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path.name} is not a readable table of layer times: {error}",
            "Delete it; the times are measured again.",
        ) from error
    return LayerTimes(target).extended(rows)


def _records(lines: list[str]) -> Iterator[object]:
    """What can be read; a crash leaves at most the beginning of a line, which is timed again."""
    for line in lines:
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def _target(head: Json) -> Target:
    """What the times of a table come from; version 0.1.0 named a host by a digest there."""
    if "host" not in head:
        return from_json(Target, head)
    name, _, precision = head["backend"].partition(":")
    precision = precision or DEFAULT_PRECISION
    return Target(head["host"], name, head["version"], precision, head["threads"])


def start(path: Path, target: Target) -> None:
    """Begin an empty table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(to_json(target)) + "\n", encoding="utf-8")


def rewrite(path: Path, table: LayerTimes) -> None:
    """Put a table into its file, whole or not at all."""
    rows = (json.dumps(to_json(row)) + "\n" for row in table.rows)
    part = path.with_suffix(".part")
    part.write_text("".join([json.dumps(to_json(table.target)) + "\n", *rows]), encoding="utf-8")
    part.replace(path)


def append(path: Path, row: LayerTime) -> None:
    """Add a row at the end of the file, on a line of its own whatever a crash left there."""
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(to_json(row)) + "\n")
