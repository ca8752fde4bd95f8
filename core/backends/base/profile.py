"""What a backend tells of its own layers: times, kernels, and where each layer comes from.

Runtimes fuse, rename and insert layers. A row is named after the layer of the file that carries
the weights (`Conv + BatchNormalization + Relu` is that Conv), so that the rows of two candidates
can be laid side by side; what the runtime put in itself keeps its own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from core.backends.base import Tensors
from core.records import RunOptions

COMPUTE, QUANTIZE, CAST, REORDER, OTHER = "compute", "quantize", "cast", "reorder", "other"
WEIGHTED = frozenset(
    {"Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DeformConv", "Gemm", "MatMul"}
    | {"MatMulInteger", "QLinearMatMul", "LSTM", "GRU", "RNN"}
    | {"Convolution", "GroupConvolution", "ConvolutionBackpropData"}
)
_FUSED = frozenset(
    {"BatchNormalization", "BatchNormInference", "Relu", "LeakyRelu", "PRelu", "Clip", "Clamp"}
    | {"Elu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "HSwish", "Swish", "Gelu", "Mish"}
    | {"Add", "Sub", "Subtract", "Mul", "Multiply", "Div", "Divide", "Cast", "Convert", "Identity"}
    | {"QuantizeLinear", "DequantizeLinear", "FakeQuantize", "Reshape"}
)
_MULTIPLIES = re.compile(r"Conv(?!ert)|Gemm|MatMul|FullyConnected|Deconvolution|InnerProduct")
_FURTHEST = 8


@dataclass(frozen=True, slots=True)
class TimedLayer:
    """One layer as the runtime ran it.

    Attributes:
        node: the runtime's own name, unique in a profile.
        name: the layer of the model file that it came from.
        op_type: the runtime's word for it.
        role: compute, quantize, cast, reorder or other.
        precision: what it computed in ("f32", "f16", "bf16", "int8", ...); empty if not told.
        provider: what it ran on.
        implementation: the kernel.
        sources: `node`s that it reads from.
        seconds: one per run.
    """

    node: str
    name: str
    op_type: str
    role: str
    precision: str
    provider: str = ""
    implementation: str = ""
    sources: tuple[str, ...] = ()
    seconds: tuple[float, ...] = ()


class ProfileSession(Protocol):
    """A model loaded so that the runtime keeps the time of each layer."""

    def run(self, feeds: Tensors) -> None:
        """Run once and keep the times.

        Raises:
            InferenceFailed: the runtime rejected the feeds or failed while running.
        """
        ...

    def layers(self) -> tuple[TimedLayer, ...]:
        """Every layer that ran, in the order of running; asked once, when all runs are done."""
        ...

    def close(self) -> None:
        """Free the runtime's memory and files."""
        ...


@runtime_checkable
class Profiled(Protocol):
    """A backend that can say how long its layers take."""

    def profile(self, artifact: Path, options: RunOptions) -> ProfileSession:
        """A session that keeps layer times.

        Raises:
            BackendUnavailable, InferenceFailed
        """
        ...


@dataclass(frozen=True, slots=True)
class FileNode:
    """A node of the model file: its operator, and who makes the activations that it reads."""

    op_type: str
    parents: tuple[str, ...] = ()


@dataclass
class Origins:
    """From what a runtime calls a layer to the layer of the file.

    Attributes:
        nodes: name of a node of the file -> what it is.
        values: name of a tensor of the file -> the node that makes it.
    """

    nodes: Mapping[str, FileNode] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)

    def of(self, op_type: str, names: Iterable[str]) -> str:
        """The first of these names that the file knows, empty if it knows none.

        For what multiplies with weights it is the layer with weights that this one was fused into.
        """
        known = [self.values.get(n, n) for n in names if n in self.nodes or n in self.values]
        first = known[0] if known else ""
        if not _MULTIPLIES.search(op_type):
            return first
        return next(filter(None, map(self._weighted, known)), first)

    def _weighted(self, name: str) -> str:
        """Upwards through what runtimes fuse into the layer before it."""
        for _ in range(_FURTHEST):
            node = self.nodes.get(name)
            if node is None:
                return ""
            if node.op_type in WEIGHTED:
                return name
            if node.op_type not in _FUSED or len(node.parents) != 1:
                return ""
            name = node.parents[0]
        return ""
